"""Two layers in one stack: who is asked, by whom, and how it is told."""

import asyncio
from collections.abc import Iterable
from typing import Any

import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from tests.asgi import Exchange, Responder, http_scope, running
from tests.layers.limits import (
    ANSWER,
    REQUESTS,
    SLOTS,
    TOKENS,
    Known,
    Watched,
    ask,
    estimated,
    limited,
    plain,
)
from tests.layers.probe import Script, call
from tests.lint import Lint
from veneer import facts
from veneer.facts import Principal, RequestFact
from veneer.layer import Layer
from veneer.layers.models import ModelsMiddleware
from veneer.layers.ratelimit import RateLimitMiddleware
from veneer.quotas.policy import QuotaPolicy

KEYED = [(b"idempotency-key", b"a")]


class Replays(Layer):
    """A layer that may answer by itself what names a key."""

    replayable_by = frozenset({b"idempotency-key"})

    def __init__(self, app: ASGIApp, *, answers: bool = False) -> None:
        super().__init__(app)
        self.answers = answers

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Replay, or pass on."""
        keyed = any(name in self.replayable_by for name, _ in scope["headers"])
        if self.answers and keyed:
            await Responder(ANSWER)(scope, receive, send)
            return
        await self.app(scope, receive, send)


class Tenant(RequestFact, frozen=True):
    """What a host's layer between says."""

    name: str


class Names(Layer):
    """A host's layer that says whose call it is."""

    writes = (Tenant,)

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Say it."""
        facts.put(scope, Tenant("me"))
        await self.app(scope, receive, send)


class Foreign:
    """A middleware that is none of ours, and says whose call it is."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Say it."""
        await self.app({**scope, "tenant": "me"}, receive, send)


def twice(
    watched: Watched,
    app: ASGIApp | None = None,
    *,
    below: Iterable[QuotaPolicy] = (TOKENS, SLOTS),
    between: Any = None,
    inner: Watched | None = None,
    **options: Any,
) -> RateLimitMiddleware:
    """Return a layer for requests above one for `below`, with something between."""
    given = inner or watched
    lower: ASGIApp = limited(app or plain(), *below, limiter=given, **options)
    lower = lower if between is None else between(lower)
    return RateLimitMiddleware(
        lower, policies=[REQUESTS], limiter=watched, **{"estimator": estimated, **options}
    )


def keyed() -> Exchange:
    exchange = call()
    exchange.scope["headers"] += KEYED
    return exchange


def charged(watched: Watched) -> list[list[tuple[str, int]]]:
    """Return what each take asked for."""
    return [[(charge.quota.policy, charge.cost) for charge in take] for take in watched.takes]


def remaining(answer: Exchange) -> tuple[str | None, str | None]:
    return (
        answer.header("x-ratelimit-remaining-requests"),
        answer.header("x-ratelimit-remaining-tokens"),
    )


@pytest.mark.parametrize("between", [None, Replays])
async def test_what_nothing_can_replay_is_asked_for_once(between: Any) -> None:
    watched = Watched()
    answer = await ask(twice(watched, between=between))
    assert charged(watched) == [[("requests", 1), ("tokens", 30), ("concurrent-requests", 1)]]
    assert remaining(answer) == ("9", "970")
    assert (watched.settled, watched.unsettled) == ([8], 0)


async def test_what_may_be_replayed_is_looked_at_above_and_taken_below() -> None:
    watched = Watched()
    answer = await ask(twice(watched, between=Replays, draft="draft-11"), keyed())
    assert charged(watched) == [
        [("requests", 1), ("tokens", 0), ("concurrent-requests", 0)],
        [("tokens", 30), ("concurrent-requests", 1)],
    ]
    assert remaining(answer) == ("9", "970"), "how it stands after it was taken"
    assert answer.header("ratelimit") == (
        '"requests";r=9;t=6, "tokens";r=970;t=1, "concurrent-requests";r=0'
    ), "each once"
    assert (watched.settled, watched.unsettled) == ([8], 0)


async def test_a_replay_costs_a_request_and_shows_how_tokens_stand() -> None:
    watched = Watched()
    layer = twice(watched, between=lambda app: Replays(app, answers=True))
    assert remaining(await ask(layer)) == ("9", "970")
    assert remaining(await ask(layer, keyed())) == ("8", "992")
    assert len(watched.takes) == 2
    assert watched.settled == [8]


async def test_a_replay_is_given_to_who_has_no_tokens_left() -> None:
    watched = Watched()
    tokens = QuotaPolicy("30/minute", unit="tokens", partition="all")
    between = lambda app: Replays(app, answers=True)  # noqa: E731 - short, and needed once
    layer = twice(watched, below=[tokens], between=between)
    assert [(await ask(layer)).status for _ in range(2)] == [200, 429]
    assert (await ask(layer, keyed())).status == 200


async def test_a_refusal_below_tells_the_same() -> None:
    watched = Watched()
    tokens = QuotaPolicy("35/minute", unit="tokens", partition="all")
    layer = twice(watched, below=[tokens], between=Replays)
    assert (await ask(layer, keyed())).status == 200
    refused = await ask(layer, keyed())
    assert (refused.status, remaining(refused)) == (429, ("8", "27"))
    assert refused.json()["error"]["type"] == "tokens"


async def test_on_limiters_of_their_own_each_asks_for_itself() -> None:
    above, below = Watched(), Watched()
    same_name = QuotaPolicy("3/minute", partition="all")
    answer = await ask(twice(above, below=[same_name, TOKENS], inner=below))
    assert charged(above) == [[("requests", 1)]]
    assert charged(below) == [[("requests", 1), ("tokens", 30)]]
    assert remaining(answer) == ("2", "970"), "the tighter of both"
    assert answer.header("x-ratelimit-limit-requests") == "3"


async def test_a_third_layer_is_not_taken_for_the_second() -> None:
    watched, other = Watched(), Watched()
    peers = QuotaPolicy("5/minute", name="peers", partition="peer")
    for third in (watched, other):
        middle = RateLimitMiddleware(
            limited(plain(), TOKENS, limiter=third), policies=[peers], limiter=watched
        )
        layer = RateLimitMiddleware(middle, policies=[REQUESTS], limiter=watched)
        takes = len(third.takes)
        answer = await ask(layer)
        assert [policy for policy, _ in charged(third)[-1]] == ["tokens"]
        assert len(third.takes) - takes == (2 if third is watched else 1)
        assert answer.header("x-ratelimit-remaining-tokens") is not None


async def test_what_goes_by_a_caller_known_only_between_is_asked_for_below() -> None:
    watched = Watched()
    keys = QuotaPolicy("100/minute", unit="tokens")
    layer = twice(watched, below=[keys], between=lambda app: Known(app, Principal(id="alice")))
    await ask(layer)
    assert charged(watched) == [[("requests", 1)], [("tokens", 30)]]
    assert await watched.left(keys, ("key", "alice")) == 92


@pytest.mark.parametrize("between", [Names, Foreign])
async def test_what_goes_by_a_host_s_function_is_asked_for_where_it_can_tell(between: Any) -> None:
    def own(scope: Scope) -> str | None:
        known = facts.get(scope, Tenant)
        return scope.get("tenant") if known is None else known.name

    watched = Watched()
    policy = QuotaPolicy("100/minute", unit="tokens", partition=own)
    await ask(twice(watched, below=[policy], between=between))
    assert charged(watched) == [[("requests", 1)], [("tokens", 30)]]
    assert await watched.left(policy, ("own", "me")) == 92


async def test_a_host_s_function_that_could_tell_above_is_asked_there() -> None:
    watched = Watched()
    policy = QuotaPolicy("100/minute", unit="tokens", partition=lambda _: "me")
    await ask(twice(watched, below=[policy], between=Replays))
    assert charged(watched) == [[("requests", 1), ("tokens", 30)]]


async def test_both_wait_in_one_queue() -> None:
    watched = Watched()
    hold = asyncio.Event()
    layer = twice(watched, Script(hold.wait, b"{}"), between=Replays, max_wait=60.0)
    one, two, three = call(), keyed(), call()
    async with running(layer, one) as first:
        await watched.was_asked(1)
        async with running(layer, two) as second, running(layer, three) as third:
            await watched.was_asked(3)
            hold.set()
            async with asyncio.timeout(0.5):
                assert [(await task).status for task in (first, second, third)] == [200] * 3
    assert (watched.unsettled, await watched.left(SLOTS)) == (0, 1)


def test_two_policies_of_one_name_on_one_limiter_are_refused() -> None:
    watched = Watched()
    with pytest.raises(ValueError, match=r"^Two policies are called 'requests', and would share"):
        limited(plain(), REQUESTS, QuotaPolicy("1/day", partition="peer"), limiter=watched)
    with pytest.raises(ValueError, match="'requests'"):
        twice(watched, below=[QuotaPolicy("1/day", partition="peer")])
    deep = limited(plain(), REQUESTS, limiter=watched)
    for between in (Lint, Foreign):
        middle = RateLimitMiddleware(between(deep), policies=[SLOTS], limiter=Watched())
        with pytest.raises(ValueError, match="'requests'"):
            RateLimitMiddleware(middle, policies=[REQUESTS], limiter=watched)


async def test_the_model_of_an_upload_counts_below_whoever_reads_it() -> None:
    watched = Watched()
    slots = QuotaPolicy(
        1, unit="concurrent-requests", partition="all", models={"whisper*": 2}, name="slots"
    )
    layer = twice(watched, below=(slots,), between=ModelsMiddleware)
    head = b'Content-Disposition: form-data; name="model"'
    body = b"--x\r\n%b\r\n\r\nwhisper-1\r\n--x--" % head
    kind = (b"content-type", b"multipart/form-data; boundary=x")
    answer = await ask(
        layer, Exchange(http_scope(path="/v1/audio/translations", headers=[kind]), [body])
    )
    assert answer.status == 200
    assert charged(watched) == [[("requests", 1)], [("slots:whisper*", 1)]]
    assert watched.unsettled == 0
