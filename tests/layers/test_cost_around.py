"""The cost layer in the order of the stack: below what replays and what limits tokens."""

import asyncio

import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from tests.asgi import running
from tests.layers.costs import BOOK, COST, NOW, TOKEN, Watched, ask, estimated
from tests.layers.keyed import ALICE, Stage, keyed, pause
from tests.layers.limits import Known, plain, streaming
from tests.layers.limits import Watched as WatchedLimiter
from tests.layers.probe import SSE, Script
from tests.layers.streams import CHAT_WITH_USAGE, DONE, USAGE, compact
from tests.layers.test_cost_ends import Above
from tests.lint import Lint
from veneer.budgets.policy import BudgetPolicy
from veneer.layers.cost import CostMiddleware
from veneer.layers.idempotency import IdempotencyMiddleware
from veneer.layers.ratelimit import RateLimitMiddleware
from veneer.layers.relay import RelayMiddleware
from veneer.quotas.policy import QuotaPolicy

TOKENS = QuotaPolicy("1000/minute", unit="tokens", partition="all")
TEAM = BudgetPolicy("1")


def stacked(
    app: ASGIApp,
    ledger: Watched,
    limiter: WatchedLimiter | None = None,
    *,
    tokens: QuotaPolicy = TOKENS,
    detach: float = 600.0,
) -> Above:
    """Return idempotency, a limit of tokens and the cost layer around the relay around an app."""
    cost = CostMiddleware(
        Lint(RelayMiddleware(Lint(app))),
        prices=BOOK,
        ledger=ledger,
        budgets=[TEAM],
        estimator=estimated,
        clock=lambda: NOW,
    )
    limit = RateLimitMiddleware(
        Lint(cost), policies=[tokens], limiter=limiter or WatchedLimiter(), estimator=estimated
    )
    return Above(Known(IdempotencyMiddleware(Lint(limit), detach=detach), ALICE))


async def red(ledger: Watched) -> tuple[int, int]:
    return await ledger.stands(TEAM, ("team", "red"))


@pytest.mark.parametrize("stream", [False, True])
async def test_a_replay_is_never_billed_twice(*, stream: bool) -> None:
    ledger, limiter = Watched(), WatchedLimiter()
    layer = stacked(streaming() if stream else plain(), ledger, limiter)
    first = await ask(layer, keyed(stream=stream))
    assert layer.cost is not None
    assert layer.cost.total == COST, "the cost of the call is known above"
    again = await ask(layer, keyed(stream=stream))
    assert again.header("idempotent-replayed") == "true"
    assert again.body == first.body, "the receipt is that of the call"
    assert b'"cost":0.000011' in again.body
    assert ledger.end.total == COST
    assert await red(ledger) == (COST, 0)
    assert limiter.settled == [8]


async def test_who_asks_while_it_runs_shares_the_call_and_its_receipt() -> None:
    ledger, stage = Watched(), Stage()
    layer = stacked(Script(stage, compact({"usage": USAGE})), ledger)
    first, second = keyed(), keyed()
    async with running(layer, first) as one, running(layer, second) as other:
        await stage.reached.wait()
        await pause()
        stage.go.set()
        await asyncio.gather(one, other)
    assert first.body == second.body
    assert len(ledger.holds) == 1
    assert ledger.end.total == COST


async def test_a_call_that_goes_on_without_its_client_is_billed_once() -> None:
    ledger, stage = Watched(), Stage()
    layer = stacked(Script(*CHAT_WITH_USAGE[:2], stage, *CHAT_WITH_USAGE[2:], headers=SSE), ledger)
    exchange = keyed(stream=True)
    async with running(layer, exchange) as task:
        await stage.reached.wait()
        exchange.disconnect.set()
        await asyncio.wait({task})
        assert ledger.settled == []
        stage.go.set()
        await pause()
    assert (ledger.end.state, ledger.end.total) == ("completed", COST)
    again = await ask(layer, keyed(stream=True))
    assert again.body.endswith(DONE)
    assert len(ledger.settled) == 1


async def test_a_call_that_is_left_and_does_not_go_on_pays_what_came() -> None:
    ledger, app = Watched(), Script(*CHAT_WITH_USAGE[:2], headers=SSE, torso=True)

    async def noticing(scope: Scope, receive: Receive, send: Send) -> None:
        await app(scope, receive, send)
        assert (await receive())["type"] == "http.disconnect"

    exchange = keyed(stream=True)
    async with running(stacked(noticing, ledger, detach=0), exchange) as task:
        await exchange.until(b"lo")
        exchange.disconnect.set()
        await asyncio.wait({task})
        await pause()
    end = ledger.end
    assert (end.state, end.total) == ("disconnected", (10 + 2 * 2) * TOKEN)
    assert await red(ledger) == (end.total, 0)


async def test_what_a_budget_refuses_takes_no_tokens_and_is_not_replayed() -> None:
    ledger, limiter = Watched(), WatchedLimiter()
    poor = BudgetPolicy("0", name="poor", partition="all")
    cost = CostMiddleware(
        RelayMiddleware(plain()), prices=BOOK, ledger=ledger, budgets=[poor], clock=lambda: NOW
    )
    limit = RateLimitMiddleware(cost, policies=[TOKENS], limiter=limiter, estimator=estimated)
    layer = Known(IdempotencyMiddleware(limit), ALICE)
    for _ in range(2):
        answer = await ask(layer, keyed())
        assert (answer.status, answer.header("idempotent-replayed")) == (429, None)
    assert limiter.settled == [0, 0]
    assert ledger.holds == []


async def test_what_the_limit_of_tokens_refuses_is_not_held() -> None:
    ledger = Watched()
    tight = QuotaPolicy("20/minute", unit="tokens", partition="all")
    assert (await ask(stacked(plain(), ledger, tokens=tight), keyed())).status == 429
    assert (ledger.holds, ledger.settled) == ([], [])


async def test_both_layers_settle_before_the_answer_is_there() -> None:
    ledger, limiter = Watched(), WatchedLimiter()
    answer = await ask(stacked(plain(), ledger, limiter), keyed())
    assert answer.json()["usage"]["cost"] == 0.000011
    assert (limiter.settled, ledger.end.total) == ([8], COST)
    assert answer.header("x-ratelimit-remaining-tokens") is not None
    assert answer.header("x-cost-usd") == "0.000011"
