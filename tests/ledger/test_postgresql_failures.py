"""The ledger in PostgreSQL, whose server goes away, falls silent, or does not say what it did."""

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Iterator
from typing import Any

import psycopg
import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from tests.ledger.contract import (
    COUNTED,
    TEAM,
    admits,
    comes_to,
    end,
    hold,
    standing,
)
from tests.stores.databases import Gate, gate_to, postgresql_schema
from veneer.ledger.entry import Moved
from veneer.ledger.ledger import Ledger, LedgerUnavailableError
from veneer.ledger.postgresql import PostgresqlLedger
from veneer.stores.database import Database, T, Work
from veneer.stores.unavailable import StoreUnavailableError


@pytest.fixture
def url() -> Iterator[str]:
    with postgresql_schema() as url:
        yield url


@pytest.fixture
async def ledger(url: str) -> AsyncIterator[PostgresqlLedger]:
    ledger = PostgresqlLedger(url, timeout=20.0)
    async with ledger.lifespan():
        await ledger.balances([TEAM])
        yield ledger


@pytest.fixture
async def gate(url: str) -> AsyncIterator[tuple[Gate, str]]:
    async with gate_to(url) as opened:
        yield opened


class Unsure:
    """A database that writes as it is told, and then does not say what has come of it."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.read = database.read
        self.prepare = database.prepare
        self.aclose = database.aclose
        # What becomes of the next transactions.
        self.ends: list[str] = []
        self._later: list[tuple[AsyncConnection, asyncio.Event]] = []
        self.tasks: list[asyncio.Task[None]] = []
        self.go_on = asyncio.Event()

    async def write(self, work: Work[T]) -> T:
        """Write, or write without saying so."""
        if not self.ends:
            return await self._database.write(work)
        how = self.ends.pop(0)
        begun = asyncio.Event()
        self.tasks.append(asyncio.ensure_future(self._end(work, how, begun)))
        await begun.wait()
        if how == "commit":
            await self.tasks[-1]
        raise StoreUnavailableError("the connection is gone")

    async def _end(self, work: Work[T], how: str, begun: asyncio.Event) -> None:
        async with self._database._engine.connect() as connection:
            await self._database._begin(connection)
            await work(connection)
            begun.set()
            if how == "late":
                await self.go_on.wait()
            await connection.exec_driver_sql("ROLLBACK" if how == "nothing" else "COMMIT")


@pytest.fixture
async def unsure(ledger: PostgresqlLedger) -> Unsure:
    assert ledger._writer is not None
    unsure = Unsure(ledger._writer._database)
    ledger._writer._database = unsure  # type: ignore[assignment] # what it has of a database
    return unsure


def rows(url: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(url) as connection:
        found = connection.execute("SELECT call, state, total FROM veneer_entries ORDER BY id")
        return found.fetchall()


async def available(ledger: Ledger) -> None:
    """Wait until a ledger is back."""
    async with asyncio.timeout(20):
        while True:
            try:
                await ledger.balances([COUNTED])
            except LedgerUnavailableError:
                await asyncio.sleep(0.01)
            else:
                return


@pytest.mark.parametrize("how", ["close", "silence"])
async def test_while_the_server_is_away_holds_are_told_in_time_and_settlements_wait(
    gate: tuple[Gate, str], how: str, url: str, caplog: pytest.LogCaptureFixture
) -> None:
    way, through = gate
    ledger = PostgresqlLedger(through, timeout=1.0)
    told: list[Moved] = []
    ledger.watch(told.extend)
    async with ledger.lifespan():
        await available(ledger)
        held = [hold(4, TEAM, COUNTED) for _ in range(20)]
        await asyncio.gather(*map(ledger.hold, held))
        if how == "close":
            await way.close()
        else:
            way.silence()
        for each in held:
            await ledger.settle(end(each, 3))
            await ledger.settle(end(each, 3))
        more = [hold(1, COUNTED) for _ in range(10)]
        async with asyncio.timeout(10):
            outcomes = await asyncio.gather(*map(ledger.hold, more), return_exceptions=True)
        assert {type(outcome) for outcome in outcomes} == {LedgerUnavailableError}
        with pytest.raises(LedgerUnavailableError):
            await ledger.find(held[0].call)
        await way.open()
        await available(ledger)
        await comes_to(ledger, COUNTED, (60, 0))
        assert await standing(ledger, TEAM) == [(60, 0)]
    assert {(call, state, total) for call, state, total in rows(url) if state != "released"} == {
        (each.call, "completed", 3) for each in held
    }
    assert [moved.after for moved in told] == list(range(3, 61, 3))
    assert "the ledger cannot be kept in PostgreSQL" in caplog.text


async def test_connections_that_are_cut_now_and_then_lose_nothing_and_double_nothing(
    gate: tuple[Gate, str], url: str
) -> None:
    way, through = gate
    ledger = PostgresqlLedger(through, timeout=5.0)
    costs: list[int] = []

    async def call(number: int) -> None:
        held = hold(10, COUNTED, call=os.urandom(8).hex())
        try:
            await ledger.hold(held)
        except LedgerUnavailableError:
            await asyncio.sleep(0.01)
        else:
            costs.append(number % 10)
            await ledger.settle(end(held, number % 10))

    async def calls(number: int) -> None:
        for each in range(60):
            await call(number + each)

    async with ledger.lifespan():
        await available(ledger)
        working = asyncio.gather(*(calls(number) for number in range(8)))
        for _ in range(6):
            await asyncio.sleep(0.05)
            await way.close()
            await way.open()
        await working
        await comes_to(ledger, COUNTED, (sum(costs), 0))
    in_rows = [total for _, state, total in rows(url) if state == "completed"]
    assert sorted(in_rows) == sorted(costs)
    assert {state for _, state, _ in rows(url)} <= {"completed", "released"}


@pytest.mark.parametrize("how", ["commit", "nothing", "late"])
async def test_what_may_have_been_written_without_anybody_knowing_is_given_back(
    ledger: PostgresqlLedger, unsure: Unsure, url: str, how: str
) -> None:
    told: list[Moved] = []
    ledger.watch(told.extend)
    before = hold(10, TEAM)
    await ledger.hold(before)
    # At the same time, so that they are one transaction.
    unsure.ends = [how]
    lost = hold(20, TEAM)
    holding = asyncio.ensure_future(ledger.hold(lost))
    await ledger.settle(end(before, 3))
    with pytest.raises(LedgerUnavailableError, match="has not said"):
        await holding
    if how == "late":
        # What comes next waits for it, or would find nothing to give back.
        asyncio.get_running_loop().call_later(0.1, unsure.go_on.set)
    await comes_to(ledger, TEAM, (3, 0))
    await asyncio.gather(*unsure.tasks)
    assert await standing(ledger, TEAM) == [(3, 0)]
    assert rows(url)[1:] == ([] if how == "nothing" else [(lost.call, "released", 0)])
    assert told == [Moved(TEAM, 0, 3)]
    # And it goes on.
    assert await admits(ledger, hold(97, TEAM))
    assert not await admits(ledger, hold(1, TEAM))


async def test_a_row_that_may_have_been_made_when_it_was_settled_is_made_once(
    ledger: PostgresqlLedger, unsure: Unsure, url: str
) -> None:
    unsure.ends = ["late", "commit", "nothing"]
    unsure.go_on.set()
    held = hold(5, TEAM)
    await ledger.settle(end(held, 4, hold=held))
    while unsure.ends:
        await available(ledger)
    await comes_to(ledger, TEAM, (4, 0))
    assert rows(url) == [(held.call, "completed", 4)]


async def test_leaving_while_the_server_is_away_is_bounded_and_logged(
    gate: tuple[Gate, str], url: str, caplog: pytest.LogCaptureFixture
) -> None:
    way, through = gate
    ledger = PostgresqlLedger(through, drain=0.1, timeout=1.0)
    held = hold(1, TEAM)
    async with asyncio.timeout(20):
        async with ledger.lifespan():
            await available(ledger)
            await ledger.hold(held)
            await way.close()
            await ledger.settle(end(held, 1))
    assert [
        (record.levelno, record.getMessage())
        for record in caplog.records
        if "not in the ledger" in record.getMessage()
    ] == [(logging.ERROR, "1 settlements are not in the ledger in PostgreSQL")]
    assert "what this process holds is left to others" in caplog.text
    assert rows(url) == [(held.call, "held", 0)]


async def test_a_server_that_is_away_at_the_start_is_waited_for(
    gate: tuple[Gate, str], url: str
) -> None:
    way, through = gate
    await way.close()
    ledger = PostgresqlLedger(through, timeout=5.0)
    async with ledger.lifespan():
        held = hold(1, TEAM)
        await ledger.settle(end(held, 1, hold=held))
        with pytest.raises(LedgerUnavailableError):
            await ledger.hold(hold(1, TEAM))
        await way.open()
        await available(ledger)
        await comes_to(ledger, TEAM, (1, 0))
    assert rows(url) == [(held.call, "completed", 1)]


async def test_no_secret_is_in_what_is_said_of_a_failure(
    url: str, caplog: pytest.LogCaptureFixture
) -> None:
    bad = url.replace("postgres@", "postgres:hunter2@").replace(":5432", ":1")
    ledger = PostgresqlLedger(bad)
    async with ledger.lifespan():
        with pytest.raises(LedgerUnavailableError) as error:
            await ledger.hold(hold(1, TEAM))
    assert "hunter2" not in f"{error.value!r} {caplog.text}"
