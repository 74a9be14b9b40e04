"""A call that is paid for is settled once, whatever becomes of it."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from tests.asgi import Exchange
from tests.layers.costs import COST, HELD, TOKEN, Watched, ask, charged
from tests.layers.limits import plain, streaming
from tests.layers.probe import SSE, Script, call
from tests.layers.streams import CHAT_WITH_USAGE, chunk
from tests.layers.test_ratelimit_cancelled import cancelled_after, steady, steps
from veneer import facts
from veneer.budgets.policy import BudgetPolicy
from veneer.dialects import Kind
from veneer.errors import Error
from veneer.facts import Cost, Route, Unreached
from veneer.layer import Layer

ALL = BudgetPolicy("1", partition="all")


def answering(app: ASGIApp, *known: object) -> ASGIApp:
    """Return an app that leaves facts before it answers."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        for fact in known:
            facts.put(scope, fact)
        await app(scope, receive, send)

    return answer


class Above(Layer):
    """Notes the cost that is known when the call is over."""

    cost: Cost | None = None

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Look."""
        try:
            await self.app(scope, receive, send)
        finally:
            self.cost = facts.get(scope, Cost)


@pytest.mark.parametrize("status", [400, 401, 404, 429, 500, 503])
async def test_an_answer_that_is_an_error_costs_nothing(status: int) -> None:
    watched = Watched()
    answer = await ask(charged(plain(status=status), ALL, ledger=watched))
    assert (answer.status, answer.header("x-cost-usd")) == (status, None)
    end = watched.end
    assert (end.state, end.total, end.parts, end.status) == ("failed", 0, {}, status)
    assert await watched.stands(ALL) == (0, 0)


@pytest.mark.parametrize("stream", [False, True])
async def test_an_answer_that_is_not_what_was_asked_for_costs_nothing(*, stream: bool) -> None:
    watched = Watched()
    app = plain() if stream else streaming()
    answer = await ask(charged(app, ledger=watched), call(stream=stream))
    assert (answer.status, watched.end.state, watched.end.total) == (502, "failed", 0)


async def test_a_call_that_reached_nobody_is_released() -> None:
    watched = Watched()
    app = answering(Error(Kind.UPSTREAM_UNREACHABLE, "Gone."), Unreached())
    assert (await ask(charged(app, ALL, ledger=watched))).status == 502
    assert (watched.end.state, watched.end.total) == ("released", 0)
    assert await watched.stands(ALL) == (0, 0)


async def test_where_a_call_went_is_in_its_row() -> None:
    watched = Watched()
    app = answering(plain(), Route(target="gpu-1", status=200))
    await ask(charged(app, ledger=watched))
    assert (watched.end.target, watched.end.total) == ("gpu-1", COST)


async def test_a_stream_that_breaks_costs_what_came() -> None:
    watched = Watched()
    app = Script(chunk("Hel"), chunk("lo"), RuntimeError("broken"), headers=SSE)
    layer = Above(charged(app, ALL, ledger=watched))
    with pytest.raises(RuntimeError):
        await ask(layer, call(stream=True))
    end = watched.end
    assert (end.state, end.total, end.estimated) == ("failed", (10 + 2 * 2) * TOKEN, True)
    assert await watched.stands(ALL) == (end.total, 0)
    assert layer.cost is not None
    assert layer.cost.total == end.total


async def test_a_stream_that_breaks_after_its_receipt_costs_what_that_says() -> None:
    watched = Watched()
    app = Script(*CHAT_WITH_USAGE[:-1], RuntimeError("broken"), headers=SSE)
    exchange = call(stream=True, stream_options={"include_usage": True})
    with pytest.raises(RuntimeError):
        await ask(charged(app, ledger=watched), exchange)
    assert b'"cost":0.000011}' in exchange.body
    assert (watched.end.state, watched.end.total, watched.end.estimated) == ("failed", COST, False)


async def test_an_exception_before_an_answer_costs_nothing() -> None:
    watched = Watched()

    async def broken(_scope: Scope, _receive: Receive, _send: Send) -> None:
        raise RuntimeError("broken")

    with pytest.raises(RuntimeError):
        await ask(charged(broken, ALL, ledger=watched))
    assert (watched.end.state, watched.end.total, watched.end.status) == ("failed", 0, None)


def leaving(exchange: Exchange, *parts: bytes) -> ASGIApp:
    """Return an app whose client leaves after some events, which it notices."""

    async def leaves() -> None:
        exchange.disconnect.set()

    app = Script(*parts, leaves, headers=SSE, torso=True)

    async def notices(scope: Scope, receive: Receive, send: Send) -> None:
        await app(scope, receive, send)
        assert (await receive())["type"] == "http.disconnect"

    return notices


async def test_a_client_that_leaves_a_stream_pays_what_came() -> None:
    watched = Watched()
    exchange = call(stream=True)
    await ask(charged(leaving(exchange, chunk("a"), chunk("b")), ledger=watched), exchange)
    end = watched.end
    assert (end.state, end.total, end.estimated) == ("disconnected", (10 + 2 * 2) * TOKEN, True)


async def test_a_client_that_leaves_before_its_answer_pays_its_input() -> None:
    watched = Watched()
    exchange = call()

    async def waits(scope: Scope, receive: Receive, send: Send) -> None:
        del scope, send
        await receive()
        exchange.disconnect.set()
        assert (await receive())["type"] == "http.disconnect"

    await ask(charged(waits, ledger=watched), exchange)
    end = watched.end
    assert (end.state, end.total, end.estimated) == ("disconnected", 10 * TOKEN, True)
    assert end.status is None


STREAMED = Script(*steps(*CHAT_WITH_USAGE), headers=SSE)
WHOLE = Script(*steps(b'{"usage":{"prompt_tokens":5,"completion_tokens"', b":3}}"))
BROKEN = Script(*steps(chunk("Hel")), RuntimeError("broken"), headers=SSE)


@pytest.mark.parametrize(
    ("app", "stream"), [(STREAMED, True), (WHOLE, False), (BROKEN, True)], ids=["s", "w", "b"]
)
@pytest.mark.parametrize("away", [False, True])
async def test_cancelled_at_any_step_it_is_settled_once(
    app: Script, *, stream: bool, away: bool
) -> None:
    count, early = 0, True
    while early:
        watched = Watched(slow=True, away=away)
        layer = charged(app, ALL, ledger=watched, on_failure="open")
        early = await cancelled_after(count, layer, steady(stream=stream))
        assert watched.open == 0, count
        assert len(watched.settled) <= 1
        assert len(watched.settled) >= len(watched.holds)
        spent = sum(end.total for end in watched.settled)
        assert await watched.stands(ALL) == (spent, 0), count
        assert all(end.total <= HELD for end in watched.settled)
        count += 1
    assert count > 10, "it was cancelled in many places"


async def test_while_the_ledger_is_away_no_call_is_made(caplog: pytest.LogCaptureFixture) -> None:
    watched, app = Watched(away=True), plain()
    layer = charged(app, ledger=watched)
    for _ in range(2):
        answer = await ask(layer)
        assert (answer.status, answer.header("retry-after")) == (503, "1")
        assert answer.json()["error"]["code"] == "ledger_unavailable"
        assert b"secret" not in answer.body
    assert app.request == b""
    assert caplog.text.count("are not made") == 1, "it is said once"
    watched.away = False
    assert (await ask(layer)).status == 200
    watched.away = True
    assert (await ask(layer)).status == 503
    assert caplog.text.count("are not made") == 2


async def test_or_calls_are_made_outside_all_budgets_and_get_their_rows() -> None:
    watched = Watched(away=True)
    poor = BudgetPolicy("0", partition="all")
    layer = charged(plain(), poor, ledger=watched, on_failure="open")
    answers = [await ask(layer) for _ in range(3)]
    assert [answer.json()["usage"]["cost"] for answer in answers] == [0.000011] * 3
    assert len({end.call for end in watched.settled}) == 3
    for end in watched.settled:
        row = await watched.find(end.call)
        assert row is not None
        assert row.settlement is not None
        assert (row.hold.amount, row.settlement.total) == (HELD, COST)
    assert await watched.stands(poor) == (3 * COST, 0)
    watched.away = False
    assert (await ask(layer)).status == 429


async def test_calls_that_are_not_in_the_ledger_are_bounded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("veneer.layers._till.PATIENCE", 0.0)
    watched = Watched(away=True)
    layer = charged(plain(), ledger=watched, on_failure="open")
    watched.full = True
    assert (await ask(layer)).status == 200, "it does not wait for ever, and loses nothing"
    assert (await ask(layer)).status == 503
    assert len(watched.settled) == 1
    watched.away = watched.full = False
    assert (await ask(layer)).status == 200
    watched.away = True
    assert (await ask(layer)).status == 200, "there is room again"


async def test_many_at_once_never_hold_more_than_there_is() -> None:
    limit = 4 * HELD + COST
    watched = Watched(slow=True)
    policy = BudgetPolicy(f"0.{limit:012d}", partition="all")
    most = 0

    async def look() -> None:
        nonlocal most
        spent, held = await watched.stands(policy)
        most = max(most, spent + held)
        await asyncio.sleep(0)

    layer = charged(Script(look, *plain().steps), policy, ledger=watched)
    answers = await asyncio.gather(*(ask(layer) for _ in range(50)))
    admitted = sum(answer.status == 200 for answer in answers)
    assert {answer.status for answer in answers} == {200, 429}
    assert admitted >= 4
    assert limit - HELD < most <= limit
    assert await watched.stands(policy) == (admitted * COST, 0)


@pytest.mark.parametrize("make", [plain, lambda: Script(b"{}", status=500)])
async def test_a_clock_that_jumps_harms_nothing(make: Callable[[], Any]) -> None:
    times = iter([2e9, 1e9, 1.5e9, 3e9, 0.0, 1e9])
    watched = Watched()
    layer = charged(
        make(),
        BudgetPolicy("1", partition="all", period="hour"),
        ledger=watched,
        clock=lambda: next(times),
    )
    for _ in range(3):
        await ask(layer)
    assert (len(watched.settled), watched.open) == (3, 0)
