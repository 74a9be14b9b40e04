"""The ledger in an SQLite file, among real processes."""

import asyncio
import random
import signal
import sqlite3
import time
from contextlib import ExitStack, closing
from itertools import cycle
from pathlib import Path

import pytest

from tests.clock import Clock
from tests.ledger.contract import COUNTED, TEAM, admits, comes_to, end, hold, standing
from tests.ledger.programs import BUDGET, go, line, program
from veneer.ledger.sqlite import SqliteLedger


def url_of(path: Path) -> str:
    return f"sqlite:///{path}"


async def bury(ledger: SqliteLedger, clock: Clock) -> None:
    """Have a ledger look as often as it takes to believe that all who show no life are over."""
    for _ in range(4):
        clock.now += 16.0
        await ledger.balances([])


def beats(path: Path) -> list[tuple[object, ...]]:
    """Return how often the first to come has shown that it lives."""
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("SELECT beats FROM owners ORDER BY id LIMIT 1").fetchall()


def sums(path: Path) -> list[tuple[object, ...]]:
    """Return what accounts are off by, compared with their rows: what is spent, what is held."""
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(
            "SELECT accounts.budget, "
            "accounts.spent - ifnull(sum(entries.total), 0), "
            "accounts.held - ifnull(sum(CASE state WHEN 'held' THEN amount END), 0) "
            "FROM accounts LEFT JOIN entries ON EXISTS "
            "(SELECT 1 FROM json_each(entries.accounts) WHERE value = accounts.id) "
            "GROUP BY accounts.id"
        ).fetchall()


async def test_of_four_processes_with_50_tasks_nobody_ever_gets_over_the_budget(
    tmp_path: Path,
) -> None:
    path = tmp_path / "ledger"
    with ExitStack() as stack:
        programs = [stack.enter_context(program("spend", url_of(path))) for _ in range(4)]
        assert [line(started) for started in programs] == ["ready"] * 4
        for started in programs:
            go(started)
        spent = sum(line(started) for started in programs)
        assert [started.wait(30) for started in programs] == [0] * 4
    # The last refusals were of 200 at the most.
    assert 10_000 - 200 <= spent <= 10_000
    ledger = SqliteLedger(path, timeout=20.0)
    async with ledger.lifespan():
        assert await standing(ledger, BUDGET, COUNTED) == [(spent, 0)] * 2
    assert sums(path) == [("budget", 0, 0), ("all", 0, 0)]


@pytest.mark.parametrize("charge", [False, True])
async def test_what_a_killed_process_held_is_closed_and_given_back(
    tmp_path: Path, *, charge: bool
) -> None:
    path = tmp_path / "ledger"
    with program("stay", url_of(path)) as holder:
        assert line(holder) == "held"
        clock = Clock()
        ledger = SqliteLedger(path, timeout=20.0, charge_abandoned=charge, clock=clock)
        async with ledger.lifespan():
            for _ in range(5):
                # As long as it lives, nothing is taken from it.
                before = beats(path)
                while beats(path) == before:  # noqa: ASYNC110 - a file tells nobody
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
    assert sums(path) == [("team", 0, 0), ("all", 0, 0)]


async def test_a_stopped_process_that_goes_on_settles_what_was_taken_from_it(
    tmp_path: Path,
) -> None:
    path = tmp_path / "ledger"
    clock = Clock()
    stopped = SqliteLedger(path, timeout=20.0)
    other = SqliteLedger(path, timeout=20.0, clock=clock)
    held = hold(50, TEAM)
    async with stopped.lifespan(), other.lifespan():
        await stopped.hold(held)
        assert stopped._turns.writer is not None
        with stopped._turns.writer._file.using:
            await bury(other, clock)
            assert await standing(other, TEAM) == [(0, 0)]
        await stopped.settle(end(held, 40))
        await comes_to(other, TEAM, (40, 0))
        assert await admits(stopped, hold(60, TEAM))
        assert await standing(other, TEAM) == [(40, 60)]
    assert sums(path) == [("team", 0, 0)]


async def test_the_file_is_sound_and_sums_are_right_whenever_a_process_is_killed(
    tmp_path: Path,
) -> None:
    path = tmp_path / "ledger"
    for _ in range(4):
        with program("work", url_of(path)) as one, program("work", url_of(path)) as two:
            assert [line(one), line(two)] == ["working"] * 2
            time.sleep(random.uniform(0.0, 0.1))  # noqa: S311, ASYNC251 - any moment will do
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert sums(path) == [("all", 0, 0)]
    clock = Clock()
    ledger = SqliteLedger(path, timeout=20.0, clock=clock)
    async with ledger.lifespan():
        await bury(ledger, clock)
        ((_, left),) = await standing(ledger, COUNTED)
        assert left == 0
    assert sums(path) == [("all", 0, 0)]


async def test_clocks_that_jump_harm_nobody(tmp_path: Path) -> None:
    path = tmp_path / "ledger"
    times = cycle([1e9, -1e9, 5e9, 0.0, 1e9, 3e9])
    clock = Clock()
    one = SqliteLedger(path, timeout=20.0, clock=clock, wall=lambda: next(times))
    two = SqliteLedger(path, timeout=20.0, clock=clock, wall=lambda: -next(times))
    async with one.lifespan(), two.lifespan():
        for ledger in (one, two):
            assert await admits(ledger, hold(5, TEAM))
        for _ in range(10):
            clock.now += 11.0
            for ledger in (one, two):
                assert await standing(ledger, TEAM) == [(0, 10)]
    assert sums(path) == [("team", 0, 0)]


def test_a_ledger_can_be_used_on_both_sides_of_a_fork(tmp_path: Path) -> None:
    path = tmp_path / "ledger"
    with program("fork", url_of(path)) as started:
        assert line(started) == 0
    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute("SELECT call, state FROM entries ORDER BY call").fetchall()
    assert rows == [("child", "completed"), ("open", "abandoned"), ("parent", "completed")]
    assert sums(path) == [("all", 0, 0)]
