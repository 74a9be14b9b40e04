"""The rate-limit layer: whom it holds to what, and what it refuses and how."""

import asyncio
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Any

import pytest

from tests.asgi import Exchange, Responder, http_scope, json_request
from tests.layers.limits import (
    REQUESTS,
    SLOTS,
    TOKENS,
    Known,
    Watched,
    ask,
    limited,
    plain,
)
from tests.layers.probe import call, upload
from tests.limiters.virtual import run
from tests.lint import Lint
from veneer.facts import Principal
from veneer.layers.ratelimit import RateLimitMiddleware
from veneer.layers.relay import RelayMiddleware
from veneer.limiters.memory import MemoryLimiter
from veneer.quotas.limiter import Decision, LimiterUnavailableError
from veneer.quotas.policy import QuotaPolicy
from veneer.quotas.quota import Charge

ONE = QuotaPolicy("1/minute", partition="all")


class Away:
    """A limiter that cannot be asked."""

    def __init__(self, error: Exception) -> None:
        self.error = error
        self.asked = 0

    async def take(self, _charges: Sequence[Charge], /) -> Decision:
        """Fail."""
        self.asked += 1
        raise self.error

    def settle(self, taken: Any, tokens: int, /) -> None:
        """Fail: nothing was taken."""
        raise AssertionError((taken, tokens))

    def lifespan(self) -> AbstractAsyncContextManager[object]:
        """Be there."""
        return nullcontext()


async def test_what_does_not_fit_is_refused_and_goes_no_further() -> None:
    watched = Watched()
    app = plain()
    layer = limited(app, ONE, limiter=watched)
    assert (await ask(layer)).status == 200
    app.request = b""
    refused = await ask(layer)
    assert app.request == b""
    assert refused.status == 429
    assert (refused.header("retry-after"), refused.header("retry-after-ms")) == ("60", "60000")
    assert refused.header("x-should-retry") is None
    assert refused.json()["error"] == {
        "message": "Rate limit reached on requests per minute: limit 1, remaining 0, requested 1. "
        "Try again in 1m0s.",
        "type": "requests",
        "param": None,
        "code": "rate_limit_exceeded",
    }
    watched.now += 59.9
    assert (await ask(layer)).status == 429
    watched.now += 0.11
    assert (await ask(layer)).status == 200


async def test_long_waits_are_not_for_clients_to_wait() -> None:
    layer = limited(plain(), QuotaPolicy("1/hour", partition="all"), limiter=Watched())
    await ask(layer)
    refused = await ask(layer)
    assert (refused.header("retry-after"), refused.header("x-should-retry")) == ("3600", "false")


async def test_more_than_a_whole_limit_is_refused_for_good() -> None:
    watched = Watched()
    policy = QuotaPolicy("29/minute", unit="tokens", partition="all")
    refused = await ask(limited(plain(), policy, SLOTS, limiter=watched))
    assert refused.status == 429
    assert refused.header("x-should-retry") == "false"
    assert refused.header("retry-after") is None
    assert "for small on tokens per minute" in refused.json()["error"]["message"]
    assert await watched.left(policy) == 29
    assert await watched.left(SLOTS) == 1


async def test_the_estimate_is_a_bound_unless_another_is_given() -> None:
    layer = RateLimitMiddleware(
        RelayMiddleware(plain()), policies=[TOKENS], limiter=(watched := Watched())
    )
    await ask(layer, call(max_tokens=100))
    [[charge]] = watched.takes
    assert 100 < charge.cost < 200


@pytest.mark.parametrize("cap", [-5, 10**30, "many", 1.5, None, [1], True])
async def test_nonsense_as_a_cap_is_the_upstream_s_to_judge(cap: Any) -> None:
    watched = Watched()
    big = QuotaPolicy("100000/minute", unit="tokens", partition="all")
    layer = RateLimitMiddleware(RelayMiddleware(plain()), policies=[big], limiter=watched)
    assert (await ask(layer, call(max_tokens=cap))).status in (200, 429)
    [[charge]] = watched.takes
    assert charge.cost > 0


async def test_pages_of_the_host_are_left_alone() -> None:
    watched = Watched()
    app = Responder(b"page", content_type="text/html")
    layer = RateLimitMiddleware(Lint(app), policies=[ONE], limiter=watched)
    for _ in range(3):
        page = await ask(layer, Exchange(http_scope("GET", "/docs")))
        assert (page.status, page.header("x-ratelimit-limit-requests")) == (200, None)
    assert watched.takes == []


async def test_uploads_count_as_requests_and_slots_unread() -> None:
    watched = Watched()
    layer = limited(plain(body=b"{}"), REQUESTS, TOKENS, SLOTS, limiter=watched)
    answer = await ask(layer, upload())
    assert answer.status == 200
    assert [[charge.quota.unit for charge in take] for take in watched.takes] == [
        ["requests", "concurrent-requests"]
    ]
    assert (watched.unsettled, await watched.left(SLOTS)) == (0, 1)


async def test_a_body_that_cannot_be_read_has_cost_a_request_and_nothing_else() -> None:
    watched = Watched()
    layer = limited(plain(), REQUESTS, TOKENS, limiter=watched)
    answer = await ask(layer, json_request(b"{"))
    assert answer.status == 400
    assert [[charge.cost for charge in take] for take in watched.takes] == [[1, 0]]
    assert answer.header("x-ratelimit-remaining-requests") == "9"
    assert answer.header("x-ratelimit-remaining-tokens") == "1000"


async def test_partitions_are_told_apart_whatever_is_in_them() -> None:
    watched = Watched()
    layer = limited(plain(), QuotaPolicy("1/minute", partition=("team", "key")), limiter=watched)
    callers = [("a/b", "c"), ("a", "b/c"), ("a\n", "b"), ("a", "\nb"), ("", "a" * 10_000), ("", "")]
    for team, key in callers:
        assert (await ask(Known(layer, Principal(id=key, team=team)))).status == 200
    for team, key in callers:
        assert (await ask(Known(layer, Principal(id=key, team=team)))).status == 429


async def test_a_principal_s_own_limit_stands_in_place_of_the_common_one() -> None:
    layer = limited(plain(), QuotaPolicy("1/minute"), limiter=Watched())
    mine = Known(layer, Principal(id="a", limits={"requests": "3/minute"}))
    assert [(await ask(mine)).status for _ in range(4)] == [200, 200, 200, 429]
    other = Known(layer, Principal(id="b", limits={"tokens": "1/minute"}))
    assert [(await ask(other)).status for _ in range(2)] == [200, 429]
    free = Known(layer, Principal(id="c", limits={"requests": "unlimited"}))
    answers = [await ask(free) for _ in range(5)]
    assert {(a.status, a.header("x-ratelimit-limit-requests")) for a in answers} == {(200, None)}


async def test_exceptions_by_model_and_operation_have_counters_of_their_own() -> None:
    policy = QuotaPolicy(
        "1/minute", partition="all", models={"big*": "2/minute"}, operations={"embeddings": "3/day"}
    )
    layer = limited(plain(), policy, limiter=Watched())

    async def asked(path: str, model: str) -> str | None:
        exchange = json_request({"model": model, "input": "x"}, path)
        return (await ask(layer, exchange)).header("x-ratelimit-remaining-requests")

    assert await asked("/v1/chat/completions", "big-1") == "1"
    assert await asked("/v1/embeddings", "small") == "2"
    assert await asked("/v1/embeddings", "big-2") == "0"
    assert await asked("/v1/chat/completions", "small") == "0"


async def test_a_function_of_the_host_may_say_whose_call_it_is_or_nobody_s() -> None:
    def own(scope: Any) -> str | None:
        return dict(scope["headers"]).get(b"x-tenant", b"").decode() or None

    layer = limited(plain(), QuotaPolicy("1/minute", partition=own), limiter=Watched())

    async def asked(*headers: tuple[bytes, bytes]) -> int:
        return (await ask(layer, json_request({"model": "m"}, headers=headers))).status

    assert [await asked((b"x-tenant", b"a")) for _ in range(2)] == [200, 429]
    assert [await asked() for _ in range(3)] == [200] * 3


@pytest.mark.parametrize("max_wait", [0.0, 5.0])
async def test_who_cannot_tell_is_unavailable(max_wait: float) -> None:
    app = plain()
    away = Away(LimiterUnavailableError("the socket /tmp/secret is gone"))
    answer = await ask(limited(app, ONE, limiter=away, max_wait=max_wait))
    assert (answer.status, answer.header("retry-after")) == (503, "1")
    assert answer.json()["error"]["code"] == "limits_unavailable"
    assert b"secret" not in answer.body
    assert app.request == b""
    assert answer.header("x-ratelimit-limit-requests") is None


def test_who_waits_its_turn_gets_it() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        limiter = MemoryLimiter(clock=loop.time)
        policy = QuotaPolicy("20/minute", partition="all")
        layer = limited(plain(), policy, limiter=limiter, max_wait=4.0)
        began = loop.time()
        answers = await asyncio.gather(*(ask(layer) for _ in range(21)))
        assert {answer.status for answer in answers} == {200}
        assert 3.0 <= loop.time() - began <= 3.1

    run(main())


async def test_a_call_that_would_wait_too_long_is_refused_at_once() -> None:
    layer = limited(plain(), ONE, limiter=Watched(), max_wait=5.0)
    assert [(await ask(layer)).status for _ in range(2)] == [200, 429]
