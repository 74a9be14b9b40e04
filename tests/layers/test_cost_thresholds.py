"""The cost layer and soft thresholds: who is told, and when."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from tests.asgi import Responder
from tests.layers.costs import BOOK, COST, NOW, Watched, ask, charged, estimated
from tests.layers.streams import USAGE, compact
from veneer.budgets.policy import BudgetPolicy
from veneer.budgets.thresholds import Crossing
from veneer.budgets.webhook import ThresholdWebhook
from veneer.layers.cost import CostMiddleware
from veneer.layers.relay import RelayMiddleware
from veneer.ledger.sqlite import SqliteLedger
from veneer.lifetime import lifespan
from veneer.prices.money import shown

# A hundred calls, so that what is held for a few fits.
LIMIT = shown(100 * COST)


def answering() -> Responder:
    """Return an app that takes no part in the lifespan, and costs the same each time."""
    return Responder(compact({"usage": USAGE}))


def soft(*thresholds: float) -> BudgetPolicy:
    return BudgetPolicy(LIMIT, partition="all", soft=thresholds)


async def test_a_call_that_reaches_a_threshold_is_told_of(caplog: pytest.LogCaptureFixture) -> None:
    told: list[Crossing] = []
    cost = charged(answering(), soft(0.02, 0.03), on_threshold=told.append)
    async with lifespan(cost):
        for _ in range(4):
            await ask(cost)
    assert [(each.threshold, each.spent) for each in told] == [(0.02, 2 * COST), (0.03, 3 * COST)]
    assert {(each.budget, each.by, each.limit) for each in told} == {
        ("month", ("all",), 100 * COST)
    }
    assert len(caplog.messages) == 2


async def test_without_thresholds_nobody_watches() -> None:
    ledger = Watched()
    charged(answering(), BudgetPolicy("1", partition="all"), ledger=ledger)
    assert ledger.ledger._watchers == []
    with pytest.raises(ValueError, match="no budget has a threshold to tell of"):
        charged(answering(), BudgetPolicy("1", partition="all"), on_threshold=print)


async def test_a_host_that_fails_disturbs_no_call(caplog: pytest.LogCaptureFixture) -> None:
    async def fail(_crossing: Crossing) -> None:
        raise RuntimeError("down")

    ledger = Watched()
    cost = charged(answering(), soft(0.01), ledger=ledger, on_threshold=fail)
    async with lifespan(cost):
        answer = await ask(cost)
    assert answer.status == 200
    assert ledger.end.total == COST
    assert "on_threshold has failed" in caplog.messages


async def test_a_host_takes_part_in_the_lifespan() -> None:
    events: list[str] = []

    class Host:
        @asynccontextmanager
        async def lifespan(self) -> AsyncIterator[None]:
            events.append("open")
            yield
            events.append("closed")

        def __call__(self, crossing: Crossing) -> None:
            events.append(str(crossing.threshold))

    cost = charged(answering(), soft(0.01), on_threshold=Host())
    async with lifespan(cost):
        await ask(cost)
    assert events == ["open", "0.01", "closed"]


async def test_what_the_ledger_settles_last_is_still_told_and_delivered(tmp_path: Path) -> None:
    """Two layers on one file, as two processes have them, told by one webhook each."""
    bodies: list[bytes] = []

    def receive(request: httpx.Request) -> httpx.Response:
        bodies.append(request.content)
        return httpx.Response(204)

    def one() -> CostMiddleware:
        webhook = ThresholdWebhook(
            "https://hooks.test/", transport=httpx.MockTransport(receive), clock=lambda: NOW
        )
        return CostMiddleware(
            RelayMiddleware(answering()),
            prices=BOOK,
            ledger=SqliteLedger(tmp_path / "ledger.db"),
            budgets=[soft(0.02, 0.06)],
            estimator=estimated,
            on_threshold=webhook,
            clock=lambda: NOW,
        )

    first, second = one(), one()
    async with lifespan(first), lifespan(second):
        for number in range(6):
            answer = await ask((first, second)[number % 2])
            assert answer.status == 200
    events = [json.loads(body) for body in bodies]
    assert sorted(event["data"]["threshold"] for event in events) == [0.02, 0.06]
    assert len({event["id"] for event in events}) == 2
    assert {event["data"]["limit_usd"] for event in events} == {LIMIT}
