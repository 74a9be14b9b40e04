"""The ledger in memory."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec
import pytest

from tests.ledger.contract import *  # noqa: F403 - the suite of all ledgers
from tests.ledger.contract import KEY, TEAM, Setting, admits, end, hold, standing
from veneer.ledger.ledger import Ledger, LedgerUnavailableError
from veneer.ledger.memory import MemoryLedger


@pytest.fixture
async def setting() -> AsyncIterator[Setting]:
    ledger = MemoryLedger()
    async with ledger.lifespan():
        yield Setting(ledger, ledger)


@pytest.fixture
def another() -> Callable[[], Ledger]:
    return MemoryLedger


async def test_of_closed_rows_the_last_are_kept_and_open_ones_always() -> None:
    ledger = MemoryLedger(max_closed=3)
    first = hold(1, TEAM)
    await ledger.hold(first)
    held = [hold(1, TEAM) for _ in range(5)]
    for each in held:
        await ledger.hold(each)
        await ledger.settle(end(each, 1))
    found = [await ledger.find(each.call) is not None for each in (first, *held)]
    assert found == [True, False, False, True, True, True]
    assert await standing(ledger, TEAM) == [(5, 1)]


async def test_open_rows_are_bounded() -> None:
    ledger = MemoryLedger(max_open=2)
    held = [hold(1, TEAM) for _ in range(2)]
    for each in held:
        await ledger.hold(each)
    with pytest.raises(LedgerUnavailableError, match="2 calls are open"):
        await ledger.hold(hold(1, TEAM))
    await ledger.settle(end(held[0], 1))
    assert await admits(ledger, hold(1, TEAM))


async def test_accounts_are_dropped_a_day_after_their_period_unless_something_is_held() -> None:
    now = 8000.0
    ledger = MemoryLedger(clock=lambda: now)
    other = msgspec.structs.replace(KEY, partition=("key", "l"))
    await ledger.hold(hold(1, other))
    spent = hold(1, KEY)
    await ledger.hold(spent)
    await ledger.settle(end(spent, 1))
    now += 86400.0
    for hour in range(3, 6):
        await ledger.hold(hold(1, msgspec.structs.replace(KEY, starts=hour * 3600, ends=10**6)))
    assert await standing(ledger, KEY, other) == [(0, 0), (0, 1)]


@pytest.mark.parametrize("bounds", [{"max_open": 0}, {"max_closed": -1}])
def test_bounds_that_cannot_be_are_refused(bounds: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="too few"):
        MemoryLedger(**bounds)
