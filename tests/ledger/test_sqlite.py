"""The ledger in an SQLite file, in one process."""

import asyncio
import logging
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.idempotency.sqlite_files import locked
from tests.ledger.contract import *  # noqa: F403 - the suite of all ledgers
from tests.ledger.contract import (
    COUNTED,
    KEY,
    TEAM,
    Setting,
    admits,
    comes_to,
    end,
    hold,
    settled,
    standing,
)
from veneer.ledger import _queued as module
from veneer.ledger import _sqlite_accounts
from veneer.ledger._sqlite_tables import FORMAT
from veneer.ledger.entry import Exhausted
from veneer.ledger.ledger import Ledger, LedgerUnavailableError
from veneer.ledger.sqlite import SqliteLedger


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


@pytest.fixture
async def setting(path: Path) -> AsyncIterator[Setting]:
    ledger = SqliteLedger(path, timeout=20.0)
    sibling = SqliteLedger(path, timeout=20.0)
    async with ledger.lifespan(), sibling.lifespan():
        yield Setting(ledger, sibling)


@pytest.fixture
def another(tmp_path: Path) -> Callable[[], Ledger]:
    return lambda: SqliteLedger(tmp_path / "another.db", timeout=20.0)


@pytest.fixture
async def ledger(path: Path) -> AsyncIterator[SqliteLedger]:
    ledger = SqliteLedger(path, timeout=20.0)
    async with ledger.lifespan():
        yield ledger


def query(path: Path, statement: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(statement).fetchall()


def change(path: Path, statement: str) -> None:
    """Do what nobody but an operator does."""
    with closing(sqlite3.connect(path, isolation_level=None, timeout=20.0)) as connection:
        connection.execute(statement)


async def test_files_are_for_their_owner_only_and_gone_is_what_sqlite_put_beside(
    path: Path,
) -> None:
    ledger = SqliteLedger(path, timeout=20.0)
    async with ledger.lifespan():
        await ledger.hold(hold(1, TEAM))
        modes = {file.name: file.stat().st_mode & 0o777 for file in path.parent.iterdir()}
        assert modes == {path.name: 0o600, f"{path.name}-wal": 0o600, f"{path.name}-shm": 0o600}
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    assert query(path, "SELECT count(*) FROM owners") == [(0,)]


async def test_settlements_wait_for_a_lock_and_holds_only_for_their_time(
    ledger: SqliteLedger, path: Path
) -> None:
    hasty = SqliteLedger(path, timeout=0.2)
    held = [hold(1, COUNTED) for _ in range(20)]
    await asyncio.gather(*map(ledger.hold, held))
    async with hasty.lifespan():
        with locked(path):
            for number, each in enumerate(held):
                await ledger.settle(end(each, number))
            late = hold(1, COUNTED)
            with pytest.raises(LedgerUnavailableError, match=r"not answered within 0\.2 s"):
                await hasty.hold(late)
            with pytest.raises(LedgerUnavailableError):
                await hasty.balances([COUNTED])
        await settled(ledger, end(held[-1], 0))
    assert await standing(ledger, COUNTED) == [(190, 0)]
    assert await ledger.find(late.call) is None
    closed = query(path, "SELECT total FROM entries ORDER BY id")
    assert closed == [(number,) for number in range(20)]


async def test_leaving_while_the_file_is_locked_is_bounded_and_logged(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ledger = SqliteLedger(path, timeout=20.0, drain=0.1)
    held = hold(1, TEAM)
    async with ledger.lifespan():
        await ledger.hold(held)
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN EXCLUSIVE")
        await ledger.settle(end(held, 1))
    other.close()
    assert [record.levelno for record in caplog.records] == [logging.WARNING, logging.ERROR]
    assert "1 settlements are not in the ledger" in caplog.text


async def test_a_full_disk_is_told_to_holds_and_waited_for_by_settlements(
    ledger: SqliteLedger, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    held = [hold(1, COUNTED) for _ in range(300)]
    await asyncio.gather(*map(ledger.hold, held))
    assert ledger._turns.writer is not None
    file = ledger._turns.writer._file
    with file.using:
        rows = file.opened()
        pages = query(path, "PRAGMA page_count")[0][0]
        rows._connection.execute(f"PRAGMA max_page_count = {pages}")
    more = [hold(1, COUNTED) for _ in range(300)]
    outcomes = await asyncio.gather(*map(ledger.hold, more), return_exceptions=True)
    assert {str(outcome) for outcome in outcomes} == {"database or disk is full"}
    for each in held:
        await ledger.settle(end(each, 1))
    # The file was opened anew, without that limit.
    await settled(ledger, end(held[-1], 1))
    assert await standing(ledger, COUNTED) == [(300, 0)]
    assert [record.levelno for record in caplog.records] == [logging.ERROR]


async def test_a_newer_file_is_refused_with_a_sentence_which_is_logged_once(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ledger = SqliteLedger(path, timeout=20.0)
    async with ledger.lifespan():
        await ledger.hold(hold(1, TEAM))
    with closing(sqlite3.connect(path)) as other:
        other.execute(f"PRAGMA user_version = {len(FORMAT.versions) + 1}")
    async with ledger.lifespan():
        for _ in range(3):
            with pytest.raises(LedgerUnavailableError, match="made by a newer version"):
                await ledger.hold(hold(1, TEAM))
    assert "the ledger cannot be kept in" in caplog.text


async def test_where_too_many_settlements_wait_they_wait_for_room_and_holds_are_refused(
    ledger: SqliteLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = [hold(1, COUNTED) for _ in range(12)]
    await asyncio.gather(*map(ledger.hold, held))
    monkeypatch.setattr(module, "MAX_UNSETTLED", 8)
    assert ledger._turns.writer is not None
    with ledger._turns.writer._file.using:
        settling = [asyncio.ensure_future(ledger.settle(end(each, 1))) for each in held]
        await asyncio.sleep(0.02)
        assert [task.done() for task in settling] == [True] * 8 + [False] * 4
        with pytest.raises(LedgerUnavailableError, match="12 settlements wait"):
            await ledger.hold(hold(1, COUNTED))
        settling[-1].cancel()
    await asyncio.wait(settling)
    await settled(ledger, end(held[-1], 1))
    assert await standing(ledger, COUNTED) == [(12, 0)]


async def test_a_thread_that_died_is_replaced_and_nothing_lost(
    ledger: SqliteLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[object] = []
    monkeypatch.setattr(threading, "excepthook", told.append)
    held = hold(1, TEAM)
    await ledger.hold(held)
    writer = ledger._turns.writer
    assert writer is not None
    with writer._file.using:
        await ledger.settle(end(held, 5))
        await asyncio.sleep(0)
        writer._groups.put("nothing")  # type: ignore[arg-type] # what should never happen
    writer._thread.join(5)
    assert told
    await settled(ledger, end(held, 5))
    assert await standing(ledger, TEAM) == [(5, 0)]


async def test_many_more_than_one_transaction_takes_are_in_in_order(ledger: SqliteLedger) -> None:
    held = [hold(1, COUNTED, KEY) for _ in range(1300)]
    free = [msgspec.structs.replace(each, accounts=(COUNTED,)) for each in held]
    assert all(await asyncio.gather(*(admits(ledger, each) for each in free)))
    for each in free:
        await ledger.settle(end(each, 1))
    await settled(ledger, end(free[-1], 1))
    assert await standing(ledger, COUNTED) == [(1300, 0)]


async def test_totals_that_somebody_else_has_changed_count_at_once(
    ledger: SqliteLedger, path: Path
) -> None:
    assert await admits(ledger, hold(1, TEAM))
    change(path, "UPDATE accounts SET spent = '95'")
    assert await ledger.hold(hold(5, TEAM)) == Exhausted(TEAM, 95, 1)
    assert await admits(ledger, hold(4, TEAM))
    assert await standing(ledger, TEAM) == [(95, 5)]


async def test_totals_are_right_however_few_are_remembered(
    ledger: SqliteLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_sqlite_accounts, "_REMEMBERED", 2)
    accounts = [msgspec.structs.replace(COUNTED, budget=f"b{number}") for number in range(5)]
    for _ in range(3):
        held = [hold(1, COUNTED, each) for each in accounts]
        await asyncio.gather(*map(ledger.hold, held))
        for each in held:
            await ledger.settle(end(each, 2))
        await settled(ledger, end(held[-1], 2))
    assert await standing(ledger, COUNTED, *accounts) == [(30, 0), *[(6, 0)] * 5]


async def test_accounts_that_somebody_has_removed_keep_nobody_from_settling(
    ledger: SqliteLedger, path: Path
) -> None:
    held = hold(90, TEAM, COUNTED)
    await ledger.hold(held)
    change(path, "DELETE FROM accounts WHERE budget = 'team'")
    await settled(ledger, end(held, 80))
    assert await standing(ledger, TEAM, COUNTED) == [(0, 0), (80, 0)]


async def test_what_becomes_of_a_call_is_written_though_somebody_has_removed_its_row(
    ledger: SqliteLedger, path: Path
) -> None:
    held = hold(10, TEAM)
    await ledger.hold(held)
    change(path, "DELETE FROM entries")
    found = await settled(ledger, end(held, 7))
    assert found.settlement == end(held, 7)
    assert found.hold.amount == 0
    assert await standing(ledger, TEAM) == [(7, 0)]


def test_what_nobody_waits_for_because_its_loop_is_closed_is_given_back(path: Path) -> None:
    ledger = SqliteLedger(path, timeout=20.0)

    async def leave() -> None:
        await ledger.balances([TEAM])
        assert ledger._turns.writer is not None
        ledger._turns.writer._file.using.acquire()
        asyncio.ensure_future(ledger.hold(hold(1, TEAM)))  # noqa: RUF006 - it is left alone
        await asyncio.sleep(0.01)

    loop = asyncio.new_event_loop()
    loop.run_until_complete(leave())
    pending = asyncio.all_tasks(loop)
    loop.close()
    assert ledger._turns.writer is not None
    ledger._turns.writer._file.using.release()

    async def come_back() -> None:
        async with ledger.lifespan():
            await comes_to(ledger, TEAM, (0, 0))

    asyncio.run(come_back())
    for task in pending:
        task._log_destroy_pending = False  # type: ignore[attr-defined] # it was on purpose


@pytest.mark.parametrize("name", ["lease", "timeout", "drain"])
@pytest.mark.parametrize("value", [0.0, -1.0, float("inf"), float("nan")])
def test_numbers_that_cannot_be_are_refused(path: Path, name: str, value: float) -> None:
    options: dict[str, Any] = {name: value}
    with pytest.raises(ValueError, match=f"{name} is a positive number"):
        SqliteLedger(path, **options)
