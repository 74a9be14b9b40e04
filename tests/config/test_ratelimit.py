"""What `[ratelimit]` describes."""

import inspect
from pathlib import Path
from typing import Any

import pytest

from tests.asgi import Exchange, Responder, http_scope, json_request
from tests.layers.streams import CHAT_WITH_USAGE
from veneer import RateLimitMiddleware, Stack
from veneer.cli.shared import shared_by_workers
from veneer.config import build, parse
from veneer.config.ratelimit_tables import PolicyTable, RateLimitTable
from veneer.limiters.guarded import Guarded
from veneer.limiters.memory import MemoryLimiter
from veneer.limiters.queued import Queued
from veneer.quotas.policy import QuotaPolicy
from veneer.wiring import chain

ANSWER = b'{"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}'


def policy(limit: str | int = "1/minute", **options: Any) -> dict[str, Any]:
    return {"limit": limit, "partition": "all", **options}


def document(*policies: dict[str, Any], **options: Any) -> dict[str, Any]:
    return {"ratelimit": {**options, "policies": list(policies)}}


def built(*policies: dict[str, Any], **options: Any) -> Stack:
    return build(parse(document(*policies, **options)), Responder(ANSWER))


def limiting(stack: Stack) -> list[RateLimitMiddleware]:
    return [part for part in chain(stack) if isinstance(part, RateLimitMiddleware)]


async def ask(stack: Stack, **body: Any) -> Exchange:
    return await json_request({"model": "m", "messages": [{}], **body}).run(stack)


def test_without_policies_nothing_is_limited() -> None:
    assert limiting(built()) == []
    assert limiting(built(draft="draft-11", store="redis://localhost")) == []


def test_requests_stand_above_what_is_given_back() -> None:
    tokens = policy("100/minute", unit="tokens")
    slots = policy(2, unit="concurrent-requests")
    assert [
        layer.counting.charging.names for layer in limiting(built(slots, policy(), tokens))
    ] == [
        ["requests"],
        ["concurrent-requests", "tokens"],
    ]
    assert len(limiting(built(policy()))) == len(limiting(built(tokens))) == 1


def test_requests_are_counted_above_the_gate_and_tokens_below_it() -> None:
    stack = built(policy(), policy("9/minute", unit="tokens"))
    names = [type(part).__name__ for part in chain(stack)]
    limits = [index for index, name in enumerate(names) if name == "RateLimitMiddleware"]
    assert limits[0] < names.index("OperationsMiddleware") < limits[1]
    assert names.index("IdempotencyMiddleware") < limits[1] < names.index("RelayMiddleware")


async def test_what_the_gate_refuses_has_cost_a_request_and_says_so() -> None:
    stack = built(policy("2/minute", partition="all"))
    for request in (json_request(b"{"), Exchange(http_scope("PUT"))):
        refused = await request.run(stack)
        assert refused.status in (400, 405)
        assert refused.header("x-ratelimit-limit-requests") == "2"
    assert (await json_request({"model": "m", "messages": [{}]}).run(stack)).status == 429


async def test_a_limit_is_held_and_told() -> None:
    stack = built(policy("2/minute"), policy("9000/minute", unit="tokens"), draft="draft-11")
    answers = [await ask(stack) for _ in range(3)]
    assert [answer.status for answer in answers] == [200, 200, 429]
    assert answers[0].header("x-ratelimit-remaining-requests") == "1"
    assert (answers[0].header("ratelimit") or "").startswith('"requests";r=1')
    refusal = answers[2].json()["error"]
    assert refusal["code"] == "rate_limit_exceeded"
    assert refusal["request_id"] == answers[2].header("x-request-id")


@pytest.mark.parametrize(
    ("options", "tokens"),
    [
        ({"estimate": "bound"}, 1000),
        ({"estimate": "bound", "output_tokens": 10}, 10),
        ({"estimate": "openai", "output_tokens": 500}, 500),
    ],
)
async def test_tokens_are_estimated_as_configured(options: dict[str, Any], tokens: int) -> None:
    stack = built(policy("100000/minute", unit="tokens"), **options)
    left = int((await ask(stack)).header("x-ratelimit-remaining-tokens") or 0)
    assert tokens <= 100_000 - left < tokens + 60


@pytest.mark.parametrize(("option", "shown"), [("hide", "1"), ("pass", "77")])
async def test_upstream_fields_are_treated_as_configured(option: str, shown: str) -> None:
    fields = [(b"x-ratelimit-limit-requests", b"77")]
    given = parse(document(policy(), upstream_fields=option))
    stack = build(given, Responder(ANSWER, headers=fields))
    assert (await ask(stack)).header("x-ratelimit-limit-requests") == shown


async def test_exceptions_and_strictness_are_the_policy_s() -> None:
    stack = built(
        policy(models={"big*": "2/minute"}, operations={"models": "unlimited"}, strict=True)
    )
    assert (await ask(stack, model="big-1")).header("x-ratelimit-limit-requests") == "2"
    models = await Exchange(http_scope("GET", "/v1/models")).run(stack)
    assert models.header("x-ratelimit-limit-requests") is None


async def test_a_key_s_own_limits_stand_in_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEY", "sk-1")
    keys = [{"id": "a", "secret": "env:KEY", "limits": {"calls": "5/minute"}}]
    given = document({"limit": "1/minute", "name": "calls"}) | {"auth": {"keys": keys}}
    stack = build(parse(given), Responder(ANSWER))
    shown = json_request({"model": "m", "messages": [{}]}, headers=[(b"api-key", b"sk-1")])
    assert (await shown.run(stack)).header("x-ratelimit-limit-requests") == "5"


async def test_peers_are_told_apart_through_trusted_proxies() -> None:
    given = document(policy(partition="peer")) | {"auth": {"trusted_proxies": ["127.0.0.1"]}}
    stack = build(parse(given), Responder(ANSWER))
    for peer, status in ((b"192.0.2.1", 200), (b"192.0.2.2", 200), (b"192.0.2.1", 429)):
        exchange = json_request(
            {"model": "m", "messages": [{}]}, headers=[(b"x-forwarded-for", peer)]
        )
        assert (await exchange.run(stack)).status == status


@pytest.mark.parametrize("stream", [False, True])
async def test_a_replay_costs_a_request_and_no_tokens(*, stream: bool) -> None:
    parts = (b"".join(CHAT_WITH_USAGE),) if stream else (ANSWER,)
    kind = "text/event-stream" if stream else "application/json"
    given = document(policy("9/day"), policy("9000/day", unit="tokens"))
    stack = build(parse(given), Responder(*parts, content_type=kind))
    body = {"model": "m", "messages": [{}], "max_tokens": 100, "stream": stream}
    told = []
    async with stack.lifespan():
        for key in (b"a", b"a", b"b"):
            exchange = json_request(body, headers=[(b"idempotency-key", key)])
            answer = await exchange.run(stack)
            assert answer.status == 200
            fields = [answer.header(f"x-ratelimit-remaining-{u}") for u in ("requests", "tokens")]
            told.append([int(field or -1) for field in fields])
    used = 8 if stream else 2
    assert [requests for requests, _ in told] == [8, 7, 6]
    first, replay, other = (tokens for _, tokens in told)
    assert first < 9000 - 100, "what was taken, before its use was known"
    assert replay == 9000 - used, "how it stands, and nothing taken"
    assert other == first - used


def test_calls_wait_where_that_is_configured() -> None:
    [above, below] = limiting(
        built(policy(), policy(1, unit="concurrent-requests"), max_wait=2.5, max_waiting=7)
    )
    assert isinstance(above.counting.limiter, Queued)
    assert above.counting.limiter is below.counting.limiter
    assert above.counting.queue == (2.5, 7)


def test_both_layers_count_on_one_limiter(tmp_path: Path) -> None:
    both = (policy(), policy("9/minute", unit="tokens"))
    [above, below] = limiting(built(*both))
    assert isinstance(above.counting.limiter, MemoryLimiter)
    assert above.counting.limiter is below.counting.limiter
    for store in (f"shared://{tmp_path}/limits", "redis://localhost:1", "valkey://localhost:1"):
        [above, below] = limiting(built(*both, store=store, timeout=0.2))
        assert isinstance(above.counting.limiter, Guarded)
        assert above.counting.limiter is below.counting.limiter
        assert above.counting.limiter._timeout == 0.2
    assert not (tmp_path / "limits").exists(), "it is opened when it is used"


@pytest.mark.parametrize(("failure", "status"), [("open", 200), ("local", 200), ("closed", 503)])
async def test_what_happens_while_the_store_is_away_is_the_policy_s(
    failure: str, status: int
) -> None:
    stack = built(policy(on_failure=failure), store="redis://127.0.0.1:1", timeout=0.5)
    async with stack.lifespan():
        answers = [await ask(stack) for _ in range(2)]
    assert answers[0].status == status
    assert answers[1].status == (429 if failure == "local" else status)


def test_defaults_are_those_of_the_layer_and_of_its_policies() -> None:
    parameters = inspect.signature(RateLimitMiddleware).parameters
    for option in ("upstream_fields", "draft", "max_wait", "max_waiting"):
        assert getattr(RateLimitTable(), option) == parameters[option].default
    parameters = inspect.signature(QuotaPolicy).parameters
    for option in ("unit", "name", "partition", "strict", "on_failure", "models", "operations"):
        assert getattr(PolicyTable(limit="1/day"), option) == parameters[option].default


def test_several_workers_share_what_nobody_has_named(tmp_path: Path) -> None:
    config = parse(document(policy()) | {"serve": {"workers": 2}})
    with shared_by_workers(config) as shared:
        store = shared.ratelimit.store
        assert store is not None
        folder = Path(store.removeprefix("shared://")).parent
        assert folder.is_dir()
        assert len(limiting(build(shared, Responder()))) == 1
    assert not folder.exists()
    named = parse(document(policy(), store=f"shared://{tmp_path}/l") | {"serve": {"workers": 2}})
    for same in (named, parse(document(policy()))):
        with shared_by_workers(same) as shared:
            assert shared.ratelimit == same.ratelimit
