"""Refusals: what a caller is told, and what real clients make of it."""

import time
from math import inf

import httpx2
import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.asgi import Exchange, http_scope
from veneer.dialects import Kind
from veneer.dialects.rate_limits import ietf_fields
from veneer.errors import Error
from veneer.facts import Standing
from veneer.limiters.decide import decide, meter_for
from veneer.quotas.limiter import Decision
from veneer.quotas.quota import CONCURRENT, REQUESTS, TOKENS, Charge, Quota, Unit
from veneer.quotas.refusal import UNAVAILABLE, refusal


def quota(unit: Unit = TOKENS, limit: int = 30000, window: float = 60.0) -> Quota:
    return Quota(policy=f"the host's {unit}", unit=unit, limit=limit, window=window)


def standing(counted: Quota, remaining: int, reset: float = 1.0) -> Standing:
    return Standing(
        policy=counted.policy,
        unit=counted.unit,
        limit=counted.limit,
        window=counted.window,
        remaining=remaining,
        reset=reset,
    )


def refused(
    counted: Quota, *, cost: int = 1, remaining: int = 0, wait: float = 1.0, model: str | None = "m"
) -> Error:
    """Return the refusal of a request that is held by one quota."""
    charge = Charge(counted, ("k",), cost)
    decision = Decision(standings=(standing(counted, remaining),), refused=(0,), wait=wait)
    return refusal([charge], decision, model, "chat_completions_post")


def header(error: Error, name: bytes) -> bytes | None:
    return dict(error.headers).get(name)


MINUTE = quota(REQUESTS, 60)
RUNNING = quota(CONCURRENT, 4, 0.0)


def test_tokens_of_a_minute() -> None:
    error = refused(quota(), cost=2000, remaining=1000, wait=2.5, model="gpt-4o")

    assert error == Error(
        Kind.TOKENS_LIMITED,
        "Rate limit reached for gpt-4o on tokens per minute: limit 30000, remaining 1000, "
        "requested 2000. Try again in 2.5s.",
        headers=((b"retry-after", b"3"), (b"retry-after-ms", b"2500")),
        terms={"wait": "3", "endpoint": "chat_completions_post"},
    )


def test_requests_without_a_model() -> None:
    error = refused(MINUTE, model=None)

    assert error.kind is Kind.REQUESTS_LIMITED
    assert error.message == (
        "Rate limit reached on requests per minute: limit 60, remaining 0, requested 1. "
        "Try again in 1s."
    )


def test_concurrent_requests_have_no_window() -> None:
    error = refused(RUNNING)

    assert error.kind is Kind.CONCURRENCY_LIMITED
    assert error.message == (
        "Rate limit reached for m on concurrent requests: limit 4, remaining 0, requested 1. "
        "Try again in 1s."
    )


@pytest.mark.parametrize(
    ("window", "name"),
    [
        (1.0, "second"),
        (60.0, "minute"),
        (3600.0, "hour"),
        (86400.0, "day"),
        (0.5, "0.5 seconds"),
        (300.0, "300 seconds"),
        (31_536_000.0, "31536000 seconds"),
    ],
)
def test_windows_have_names(window: float, name: str) -> None:
    assert f" on tokens per {name}: " in refused(quota(window=window)).message


def test_the_policys_name_is_the_hosts_own() -> None:
    for counted in (quota(), MINUTE, RUNNING):
        assert "host" not in refused(counted).message
        assert "host" not in refused(counted, cost=10**6, wait=inf).message


def test_what_is_more_than_the_whole_limit_is_not_to_be_tried_again() -> None:
    error = refused(quota(), cost=50000, remaining=30000, wait=inf)

    assert error == Error(
        Kind.OVER_WHOLE_LIMIT,
        "Request too large for m on tokens per minute: limit 30000, remaining 30000, "
        "requested 50000. Waiting does not help.",
        retry=False,
    )


def both(*held: tuple[Quota, int, float, int], wait: float) -> Error:
    """Return the refusal of what several quotas refused: each with remaining, reset and cost."""
    charges = [Charge(counted, ("k",), cost) for counted, _, _, cost in held]
    standings = tuple(standing(counted, left, reset) for counted, left, reset, _ in held)
    decision = Decision(standings=standings, refused=tuple(range(len(held))), wait=wait)
    return refusal(charges, decision, None)


def test_the_quota_that_admits_last_is_named() -> None:
    minute = (quota(TOKENS, 60), 0, 60.0, 10)
    day = (quota(TOKENS, 1000, 86400.0), 5, 85968.0, 10)

    # 10 of 60 are free after 10 seconds, 10 of 1000 (5 are left) after 432.
    for held in ((minute, day), (day, minute)):
        assert "tokens per day: limit 1000, remaining 5" in both(*held, wait=432.0).message


def test_a_call_that_runs_is_waited_for_a_second() -> None:
    running = (RUNNING, 0, 0.0, 1)
    soon = (quota(TOKENS, 60, 1.0), 0, 1.0, 1)
    late = (quota(TOKENS, 60), 0, 60.0, 10)

    assert both(running, soon, wait=1.0).kind is Kind.CONCURRENCY_LIMITED
    assert both(running, late, wait=10.0).kind is Kind.TOKENS_LIMITED


def test_what_never_fits_is_named_before_all_else() -> None:
    too_much = (quota(TOKENS, 60), 60, 0.0, 61)
    day = (quota(TOKENS, 1000, 86400.0), 0, 86400.0, 61)

    assert "tokens per minute" in both(day, too_much, wait=inf).message


def test_only_what_was_refused_is_named() -> None:
    charges = [Charge(MINUTE, ("k",), 1), Charge(quota(), ("k",), 2000)]
    standings = (standing(MINUTE, 0, 60.0), standing(charges[1].quota, 1000, 58.0))
    error = refusal(charges, Decision(standings=standings, refused=(1,), wait=2.0), None)

    assert error.kind is Kind.TOKENS_LIMITED


@pytest.mark.parametrize(
    ("wait", "seconds", "milliseconds"),
    [
        (0.0, b"1", b"1"),
        (0.0001, b"1", b"1"),
        (0.25, b"1", b"250"),
        (1.0, b"1", b"1000"),
        (1.0001, b"2", b"1001"),
        (59.5, b"60", b"59500"),
        (432.0, b"432", b"432000"),
    ],
)
def test_advice_is_rounded_up(wait: float, seconds: bytes, milliseconds: bytes) -> None:
    error = refused(quota(), wait=wait)

    assert header(error, b"retry-after") == seconds
    assert header(error, b"retry-after-ms") == milliseconds


@pytest.mark.parametrize(("wait", "retry"), [(59.9, None), (60.0, None), (60.001, False)])
def test_clients_are_kept_from_waits_that_node_would_not_keep(
    wait: float,
    retry: bool | None,  # noqa: FBT001 - a table's column
) -> None:
    assert refused(quota(), wait=wait).retry is retry


@st.composite
def held(draw: st.DrawFn) -> tuple[Quota, int, int, float]:
    """Make a quota, what was taken of it, what is asked for, and how much later."""
    unit: Unit = draw(st.sampled_from([REQUESTS, TOKENS]))
    strict = draw(st.booleans())
    limit = draw(st.integers(1, 10**6))
    window = draw(st.sampled_from([1.0, 60.0, 3600.0, 86400.0]))
    counted = Quota(policy="p", unit=unit, limit=limit, window=window, strict=strict)
    taken = draw(st.integers(1, limit))
    return counted, taken, draw(st.integers(1, limit)), draw(st.floats(0, window))


@given(held())
def test_who_comes_back_when_told_is_admitted(given_: tuple[Quota, int, int, float]) -> None:
    counted, taken, cost, later = given_
    meter = meter_for(counted)
    start = 1000.0
    decide([Charge(counted, ("k",), taken)], [meter], start)
    now = start + later
    charges = [Charge(counted, ("k",), cost)]
    judged = decide(charges, [meter], now)
    if not judged.refused:
        return
    decision = Decision(standings=judged.standings, refused=judged.refused, wait=judged.wait)
    error = refusal(charges, decision, None)
    milliseconds = int(header(error, b"retry-after-ms") or 0)
    seconds = int(header(error, b"retry-after") or 0)

    assert 0 < milliseconds <= seconds * 1000 < milliseconds + 1000
    assert error.retry is (False if judged.wait > 60 else None)
    if not counted.strict:
        # The time in RateLimit is never later than Retry-After.
        limit = dict(ietf_fields("draft-11")(judged.standings))[b"ratelimit"]
        assert int(limit.rpartition(b";t=")[2]) <= seconds
    # A microsecond covers what a clock of this size cannot tell.
    assert not decide(charges, [meter], now + milliseconds / 1000 + 1e-6).refused


def sent_by_node(error: Error, status: int, retry: str | None) -> float | None:
    """Return after how long Node's client tries again by its rules; None for not at all.

    Those of `shouldRetry` and `retryRequest` in openai 7; inf stands for a delay of its own.
    """
    if retry == "false" or (retry != "true" and status not in {408, 409, 429} and status < 500):
        return None
    given_ms, given_s = header(error, b"retry-after-ms"), header(error, b"retry-after")
    delay = float(given_ms) if given_ms is not None else float(given_s or "nan") * 1000
    return delay / 1000 if 0 <= delay <= 60_000 else inf


@given(st.floats(0.001, 1e6))
async def test_nodes_client_waits_as_told_or_not_at_all(wait: float) -> None:
    error = refused(quota(), wait=wait)
    exchange = await Exchange(http_scope()).run(error)
    waits = sent_by_node(error, exchange.status, exchange.header("x-should-retry"))

    if wait > 60:
        assert waits is None
    else:
        assert waits is not None
        assert wait <= waits < wait + 0.0011


async def answer_of(error: Error) -> httpx2.Response:
    exchange = await Exchange(http_scope()).run(error)
    headers = [(name.decode(), value.decode()) for name, value in exchange.headers]
    return httpx2.Response(exchange.status, headers=headers, content=exchange.body)


class Server:
    """Gives one answer to everybody, and counts."""

    def __init__(self, answer: httpx2.Response) -> None:
        self.answer = answer
        self.asked = 0

    def __call__(self, _request: httpx2.Request) -> httpx2.Response:
        """Answer, with a response of its own for every request."""
        self.asked += 1
        known = self.answer
        return httpx2.Response(known.status_code, headers=known.headers, content=known.content)


@pytest.mark.parametrize(
    ("error", "type_", "code", "waits"),
    [
        (refused(MINUTE), "requests", "rate_limit_exceeded", [1.0, 1.0]),
        (refused(quota(), wait=2.5), "tokens", "rate_limit_exceeded", [2.5, 2.5]),
        (refused(RUNNING), "requests", "concurrency_limit_exceeded", [1.0, 1.0]),
        (refused(quota(), wait=61.0), "tokens", "rate_limit_exceeded", []),
        (refused(quota(), cost=50000, wait=inf), "tokens", "rate_limit_exceeded", []),
    ],
)
async def test_the_real_client_raises_and_waits_as_told(
    error: Error, type_: str, code: str, waits: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    server = Server(await answer_of(error))
    with (
        httpx2.Client(transport=httpx2.MockTransport(server)) as http,
        openai.OpenAI(api_key="k", base_url="http://veneer.test/v1", http_client=http) as client,
        pytest.raises(openai.RateLimitError) as caught,
    ):
        client.chat.completions.create(model="m", messages=[])

    assert (caught.value.type, caught.value.code) == (type_, code)
    assert error.message in str(caught.value)
    assert slept == waits
    assert server.asked == 1 + len(waits)


async def test_advice_is_given_once() -> None:
    exchange = await Exchange(http_scope()).run(refused(quota(), cost=50000, wait=inf))
    names = [name for name, _ in exchange.headers]

    assert exchange.header("x-should-retry") == "false"
    assert exchange.header("retry-after") is None
    assert len(names) == len(set(names))


async def test_limits_that_cannot_be_checked_are_busy() -> None:
    exchange = await Exchange(http_scope()).run(UNAVAILABLE)

    assert exchange.status == 503
    assert exchange.header("retry-after") == "1"
    assert exchange.header("x-should-retry") is None
    assert exchange.json()["error"]["code"] == "limits_unavailable"
