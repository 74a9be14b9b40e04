"""Soft thresholds: what is crossed, who is told of it, and how often."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.budgets.crossings import ENDS, STARTS, account, crossing, moved
from tests.ledger.contract import comes_to, end, hold
from tests.limiters import virtual
from veneer.budgets.policy import BudgetPolicy
from veneer.budgets.thresholds import AT_ONCE, FAREWELL, Crossing, Thresholds
from veneer.ledger.entry import Account, Moved
from veneer.ledger.sqlite import SqliteLedger

MONTH = BudgetPolicy("20", soft=[0.95, 0.8, 1.0])


async def told(*moves: Moved) -> list[Crossing]:
    """Return what somebody is told of these."""
    found: list[Crossing] = []
    thresholds = Thresholds([MONTH], found.append)
    async with thresholds.lifespan():
        for move in moves:
            thresholds.watch([move])
    return found


async def test_what_reaches_a_threshold_is_told_with_the_account(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING, "veneer.cost"):
        assert await told(moved(0, 79), moved(79, 80), moved(80, 94)) == [
            Crossing(
                budget="month",
                partition=("team", "acme"),
                by=("team",),
                period="month",
                starts=STARTS,
                ends=ENDS,
                threshold=0.8,
                limit=100,
                spent=80,
            )
        ]
    [message] = caplog.messages
    assert message == (
        "a soft threshold is reached: the budget month (team 'acme') at 0.8 of its limit, with "
        "0.00000000008 of 0.0000000001 dollars spent"
    )


async def test_several_are_told_lowest_first_and_the_limit_itself_may_be_one() -> None:
    assert [each.threshold for each in await told(moved(10, 120))] == [0.8, 0.95, 1.0]
    assert [each.threshold for each in await told(moved(99, 100), moved(100, 300))] == [1.0]


async def test_the_limit_that_counts_is_the_accounts() -> None:
    [found] = await told(moved(0, 80, limit=None), moved(0, 80, limit=1000), moved(0, 9, limit=10))
    assert (found.limit, found.spent) == (10, 9)


async def test_what_others_count_on_the_same_ledger_is_theirs() -> None:
    assert await told(moved(0, 100, budget="day")) == []


@given(st.lists(st.integers(0, 40), max_size=20), st.integers(1, 200))
def test_of_however_many_steps_each_threshold_is_crossed_once(steps: list[int], limit: int) -> None:
    spent, found = 0, []
    for step in steps:
        found += MONTH.crossed(spent, spent + step, limit)
        spent += step
    assert found == [
        share for share in (0.8, 0.95, 1.0) if round(share * 100) * limit <= spent * 100
    ]


async def test_without_a_host_it_is_logged_alone(caplog: pytest.LogCaptureFixture) -> None:
    thresholds = Thresholds([MONTH])
    async with thresholds.lifespan():
        thresholds.watch([moved(0, 80)])
    assert len(caplog.messages) == 1


def test_a_name_that_a_client_has_given_makes_no_line_of_its_own() -> None:
    shown = str(crossing(team="a\nERROR \u202e" + "b" * 1000))
    assert shown.startswith(r"the budget month (team 'a\nERROR \u202ebbb")
    assert shown.endswith("...) at 0.8 of its limit, with 16.02 of 20 dollars spent")
    assert shown.isprintable()
    assert len(shown) < 400
    everybody = Crossing(
        budget="all",
        partition=("all", ""),
        by=("all",),
        period="total",
        starts=0,
        ends=None,
        threshold=1.0,
        limit=1,
        spent=1,
    )
    assert str(everybody).startswith("the budget all (all) at 1 of its limit")


@pytest.mark.parametrize("policies", [[], [BudgetPolicy("1")]])
def test_who_wants_to_be_told_needs_a_threshold(policies: list[BudgetPolicy]) -> None:
    assert not Thresholds(policies).any
    with pytest.raises(ValueError, match=r"no budget has a threshold to tell of: give one soft"):
        Thresholds(policies, print)


async def test_what_a_host_raises_is_logged_and_disturbs_nobody(
    caplog: pytest.LogCaptureFixture,
) -> None:
    found: list[float] = []

    def plain(each: Crossing) -> None:
        found.append(each.threshold)
        raise RuntimeError("down")

    async def asynchronous(each: Crossing) -> None:
        await asyncio.sleep(0)
        plain(each)

    for host in (plain, asynchronous):
        caplog.clear()
        thresholds = Thresholds([MONTH], host)
        async with thresholds.lifespan():
            thresholds.watch([moved(0, 100)])
        assert found == [0.8, 0.95, 1.0]
        found.clear()
        failures = [each for each in caplog.records if each.message == "on_threshold has failed"]
        assert len(failures) == 3
        assert all(each.exc_info and str(each.exc_info[1]) == "down" for each in failures)


def test_a_host_that_never_returns_is_left_behind_and_the_rest_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def main() -> None:
        calls = 0

        async def stuck(_crossing: Crossing) -> None:
            nonlocal calls
            calls += 1
            await asyncio.Event().wait()

        thresholds = Thresholds([BudgetPolicy("20", name="month", soft=[0.5])], stuck)
        async with thresholds.lifespan():
            for _ in range(AT_ONCE + 5):
                thresholds.watch([moved(0, 80)])
            began = asyncio.get_running_loop().time()
        assert asyncio.get_running_loop().time() <= began + FAREWELL + 1
        assert calls == AT_ONCE

    virtual.run(main())
    lost = [each for each in caplog.messages if each.startswith("on_threshold was not told of the")]
    assert len(lost) == AT_ONCE + 5
    assert lost[0].endswith("it was not done in time when the process stopped")


async def test_a_hosts_lifespan_is_around_all_that_it_is_told() -> None:
    events: list[str] = []

    class Host:
        @asynccontextmanager
        async def lifespan(self) -> AsyncIterator[None]:
            events.append("open")
            yield
            events.append("closed")

        async def __call__(self, each: Crossing) -> None:
            await asyncio.sleep(0)
            events.append(str(each.threshold))

    thresholds = Thresholds([MONTH], Host())
    async with thresholds.lifespan():
        thresholds.watch([moved(0, 80)])
    assert events == ["open", "0.8", "closed"]


async def test_over_two_processes_on_one_ledger_a_crossing_is_told_once(tmp_path: Path) -> None:
    """Two ledgers on one file, which know as little of each other as two processes do."""
    found: list[Crossing] = []
    team = account(100)
    spender = Account("unwatched", ("team", "acme"), STARTS, ENDS, 1000)
    ledgers = [SqliteLedger(tmp_path / "ledger.db") for _ in range(2)]
    both = [Thresholds([MONTH], found.append) for _ in ledgers]
    for ledger, thresholds in zip(ledgers, both, strict=True):
        ledger.watch(thresholds.watch)
    async with (
        both[0].lifespan(),
        both[1].lifespan(),
        ledgers[0].lifespan(),
        ledgers[1].lifespan(),
    ):

        async def spend(ledger: SqliteLedger) -> None:
            held = hold(4, team, spender)
            await ledger.hold(held)
            await ledger.settle(end(held, 4))

        await asyncio.gather(*(spend(ledgers[number % 2]) for number in range(25)))
        await comes_to(ledgers[0], team, (100, 0))
    assert sorted(each.threshold for each in found) == [0.8, 0.95, 1.0]
    by_threshold = {each.threshold: each.spent for each in found}
    assert by_threshold == {0.8: 80, 0.95: 96, 1.0: 100}
