"""The ledger in PostgreSQL, among real processes."""

import asyncio
import random
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import cycle
from typing import Any

import psycopg
import pytest

from tests.clock import Clock
from tests.ledger.contract import COUNTED, TEAM, admits, hold, standing
from tests.ledger.programs import BUDGET, LEASE, go, line, program
from tests.stores.databases import postgresql_schema
from veneer.ledger._postgresql_sweep import SWEPT
from veneer.ledger.postgresql import PostgresqlLedger


@pytest.fixture
def url() -> Iterator[str]:
    with postgresql_schema() as url:
        yield url


def query(url: str, statement: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(url) as connection:
        return connection.execute(statement.encode()).fetchall()


def beats(url: str) -> list[tuple[Any, ...]]:
    """Return how often the first to come has shown that it lives."""
    return query(url, "SELECT beats FROM veneer_owners ORDER BY id LIMIT 1")


def sums(url: str) -> list[tuple[Any, ...]]:
    """Return what accounts are off by, compared with their rows: what is spent, what is held."""
    return query(
        url,
        "SELECT account.budget, "
        "account.spent - coalesce(sum(entry.total), 0), "
        "account.held - coalesce(sum(entry.amount) FILTER (WHERE entry.state = 'held'), 0) "
        "FROM veneer_accounts AS account "
        "LEFT JOIN veneer_entries AS entry ON account.id = ANY(entry.accounts) "
        "GROUP BY account.id ORDER BY account.budget",
    )


async def test_of_four_processes_with_50_tasks_nobody_ever_gets_over_the_budget(url: str) -> None:
    with ExitStack() as stack:
        programs = [stack.enter_context(program("spend", url)) for _ in range(4)]
        assert [line(started) for started in programs] == ["ready"] * 4
        for started in programs:
            go(started)
        spent = sum(line(started) for started in programs)
        assert [started.wait(30) for started in programs] == [0] * 4
    # The last refusals were of 200 at the most.
    assert 10_000 - 200 <= spent <= 10_000
    ledger = PostgresqlLedger(url, timeout=20.0)
    async with ledger.lifespan():
        assert await standing(ledger, BUDGET, COUNTED) == [(spent, 0)] * 2
    assert sums(url) == [("all", 0, 0), ("budget", 0, 0)]


@pytest.mark.parametrize("charge", [False, True])
async def test_what_a_killed_process_held_is_closed_and_given_back(
    url: str, *, charge: bool
) -> None:
    with program("stay", url) as holder:
        assert line(holder) == "held"
        clock = Clock()
        ledger = PostgresqlLedger(url, timeout=20.0, charge_abandoned=charge, clock=clock)
        async with ledger.lifespan():
            for _ in range(5):
                # As long as it lives, nothing is taken from it.
                before = beats(url)
                while beats(url) == before:  # noqa: ASYNC110 - a table tells nobody
                    await asyncio.sleep(0.01)
                clock.now += 16.0
                assert await standing(ledger, TEAM) == [(3, 7)]
            holder.send_signal(signal.SIGKILL)
            holder.wait()
            clock.now += 16.0
            assert await standing(ledger, TEAM) == [(3, 7)]
            # Its last sign of life may have come after our last look.
            for _ in range(2):
                clock.now += 16.0
                await ledger.balances([TEAM])
            assert await standing(ledger, TEAM) == [(10 if charge else 3, 0)]
            found = await ledger.find("left")
    assert found is not None
    assert found.settlement is not None
    assert found.settlement.state == "abandoned"
    assert found.settlement.parts == ({"held": 7} if charge else {})
    assert found.settlement.estimated is charge
    assert sums(url) == [("all", 0, 0), ("team", 0, 0)]


async def test_sums_are_right_whenever_a_process_is_killed(url: str) -> None:
    for _ in range(2):
        with program("work", url) as one, program("work", url) as two:
            assert [line(one), line(two)] == ["working"] * 2
            time.sleep(random.uniform(0.0, 0.1))  # noqa: S311, ASYNC251 - any moment will do
    ledger = PostgresqlLedger(url, lease=LEASE, timeout=20.0)
    async with ledger.lifespan():
        async with asyncio.timeout(20):
            while (await standing(ledger, COUNTED))[0][1]:  # noqa: ASYNC110 - a table tells nobody
                await asyncio.sleep(0.01)
    assert sums(url) == [("all", 0, 0)]


async def test_several_that_close_what_a_dead_process_has_left_close_each_row_once(
    url: str,
) -> None:
    gone = PostgresqlLedger(url, timeout=20.0)
    calls = 3 * SWEPT
    async with gone.lifespan():
        await asyncio.gather(*(gone.hold(hold(2, COUNTED, TEAM)) for _ in range(50)))
        await asyncio.gather(*(gone.hold(hold(2, COUNTED)) for _ in range(calls - 50)))
        with psycopg.connect(url) as connection:
            connection.execute("DELETE FROM veneer_owners")
        heirs = [PostgresqlLedger(url, timeout=20.0, charge_abandoned=True) for _ in range(3)]
        async with heirs[0].lifespan(), heirs[1].lifespan(), heirs[2].lifespan():
            async with asyncio.timeout(20):
                while await standing(heirs[0], COUNTED, TEAM) != [(2 * calls, 0), (100, 0)]:  # noqa: ASYNC110 - as above
                    await asyncio.sleep(0.01)
    assert sums(url) == [("all", 0, 0), ("team", 0, 0)]


async def test_clocks_that_jump_harm_nobody(url: str) -> None:
    times = cycle([1e9, -1e9, 5e9, 0.0, 1e9, 3e9])
    clock = Clock()
    one = PostgresqlLedger(url, timeout=20.0, clock=clock, wall=lambda: next(times))
    two = PostgresqlLedger(url, timeout=20.0, clock=clock, wall=lambda: -next(times))
    async with one.lifespan(), two.lifespan():
        for ledger in (one, two):
            assert await admits(ledger, hold(5, TEAM))
        for _ in range(10):
            clock.now += 11.0
            for ledger in (one, two):
                assert await standing(ledger, TEAM) == [(0, 10)]
    assert sums(url) == [("team", 0, 0)]


def test_a_ledger_can_be_used_on_both_sides_of_a_fork(url: str) -> None:
    with program("fork", url) as started:
        assert line(started) == 0
    rows = query(url, "SELECT call, state FROM veneer_entries ORDER BY call")
    assert rows == [("child", "completed"), ("open", "abandoned"), ("parent", "completed")]
    assert sums(url) == [("all", 0, 0)]
