"""The ledger in PostgreSQL, in one process."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Any

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

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
from tests.stores.databases import SERVER, postgresql_schema
from veneer.ledger import _queued as module
from veneer.ledger._postgresql_queue import Queue
from veneer.ledger._wanted import Answer
from veneer.ledger.entry import Account, Balance, Exhausted, Limit, Moved
from veneer.ledger.judging import limited
from veneer.ledger.ledger import Ledger, LedgerUnavailableError
from veneer.ledger.postgresql import PostgresqlLedger
from veneer.stores.opening import open_database


@pytest.fixture
def url() -> Iterator[str]:
    with postgresql_schema() as url:
        yield url


@pytest.fixture
async def setting(url: str) -> AsyncIterator[Setting]:
    ledger = PostgresqlLedger(url, timeout=20.0)
    sibling = PostgresqlLedger(url, timeout=20.0)
    async with ledger.lifespan(), sibling.lifespan():
        yield Setting(ledger, sibling)


@pytest.fixture
def another(url: str) -> Callable[[], Ledger]:
    return lambda: PostgresqlLedger(url, timeout=20.0)


@pytest.fixture
async def ledger(url: str) -> AsyncIterator[PostgresqlLedger]:
    ledger = PostgresqlLedger(url, timeout=20.0)
    async with ledger.lifespan():
        yield ledger


def execute(url: str, statement: str, *values: object) -> list[tuple[Any, ...]]:
    with psycopg.connect(url) as connection:
        found = connection.execute(statement.encode(), values or None)
        return found.fetchall() if found.description else []


def set_limit(url: str, limit: Limit) -> None:
    """Set a limit as operators' tools do."""
    partition = '["' + '","'.join(limit.partition) + '"]'
    with psycopg.connect(url) as connection:
        connection.execute("DELETE FROM veneer_limits WHERE budget = %s", (limit.budget,))
        row = (limit.budget, partition, limit.amount)
        connection.execute("INSERT INTO veneer_limits VALUES (%s, %s, %s)", row)
        connection.execute("UPDATE veneer_revision SET limits = limits + 1")


async def test_a_limit_that_an_operator_sets_counts_for_the_next_hold_of_every_process(
    setting: Setting, url: str
) -> None:
    both = (setting.ledger, setting.sibling)
    for ledger in both:
        await ledger.hold(hold(40, TEAM, COUNTED))
    for amount, fits in ((81, False), (None, True), (2**70, True), (0, False)):
        limit = Limit("team", TEAM.partition, amount)
        account = limited(TEAM, {("team", TEAM.partition): amount})
        set_limit(url, limit)
        for ledger in both:
            before = (await ledger.balances([TEAM]))[0]
            assert before.account == account
            answer = await ledger.hold(hold(2, TEAM))
            after = Balance(account, 0, before.held + 2)
            assert answer == ((after,) if fits else Exhausted(account, 0, before.held))
    execute(url, "DELETE FROM veneer_limits")
    execute(url, "UPDATE veneer_revision SET limits = limits + 1")
    assert await setting.ledger.hold(hold(0, TEAM)) == (Balance(TEAM, 0, 88),)


async def test_a_process_whose_owner_was_removed_goes_on_as_another(
    setting: Setting, url: str
) -> None:
    taken, kept = hold(50, TEAM), hold(10, TEAM)
    await setting.ledger.hold(taken)
    await setting.ledger.hold(kept)
    execute(url, "DELETE FROM veneer_owners")
    # Whoever comes looks at what is left.
    other = PostgresqlLedger(url, timeout=20.0)
    async with other.lifespan():
        await comes_to(other, TEAM, (0, 0))
        assert await admits(setting.ledger, hold(30, TEAM))
        found = await settled(setting.ledger, end(taken, 40))
        assert found.settlement is not None
        assert found.settlement.total == 40
        assert await standing(other, TEAM) == [(40, 30)]
    assert execute(url, "SELECT state FROM veneer_entries ORDER BY id") == [
        ("completed",),
        ("abandoned",),
        ("held",),
    ]


async def test_calls_that_two_processes_settle_at_the_same_time_are_settled_once(
    setting: Setting,
) -> None:
    held = [hold(2, COUNTED) for _ in range(40)]
    without = [hold(2, COUNTED) for _ in range(40)]
    await asyncio.gather(*map(setting.ledger.hold, held))
    for ledger in (setting.ledger, setting.sibling):
        for each in held:
            await ledger.settle(end(each, 1))
        for each in without:
            await ledger.settle(end(each, 1, hold=each))
    for ledger in (setting.ledger, setting.sibling):
        await settled(ledger, end(without[-1], 1))
    assert await standing(setting.ledger, COUNTED) == [(80, 0)]


async def test_accounts_that_somebody_has_removed_are_made_anew(
    ledger: PostgresqlLedger, url: str
) -> None:
    held = hold(10, TEAM, COUNTED)
    await ledger.hold(held)
    execute(url, "DELETE FROM veneer_accounts")
    assert await ledger.hold(hold(5, TEAM, COUNTED)) == (
        Balance(TEAM, 0, 5),
        Balance(COUNTED, 0, 5),
    )
    await settled(ledger, end(held, 3))
    assert await standing(ledger, TEAM, COUNTED) == [(0, 5), (0, 5)]


async def test_names_may_be_of_any_length(ledger: PostgresqlLedger) -> None:
    long = [Account("user", ("user", letter * 100_000), 0, None, 10) for letter in "ab"]
    assert await admits(ledger, hold(10, *long))
    assert not await admits(ledger, hold(1, long[1]))
    assert await standing(ledger, *long) == [(0, 10)] * 2


async def test_what_others_have_locked_is_waited_for_and_holds_only_for_their_time(
    ledger: PostgresqlLedger, url: str
) -> None:
    held = [hold(1, COUNTED) for _ in range(20)]
    await asyncio.gather(*map(ledger.hold, held))
    hasty = PostgresqlLedger(url, timeout=0.5)
    async with hasty.lifespan():
        with psycopg.connect(url) as other:
            other.execute("SELECT * FROM veneer_accounts FOR UPDATE")
            for number, each in enumerate(held):
                await hasty.settle(end(each, number))
            late = hold(1, COUNTED)
            with pytest.raises(LedgerUnavailableError, match=r"not answered within 0\.5 s"):
                await hasty.hold(late)
        await comes_to(ledger, COUNTED, (190, 0))
        found = await ledger.find(late.call)
        assert found is None or (found.settlement and found.settlement.state == "released")


async def test_where_too_many_settlements_wait_they_wait_for_room_and_holds_are_refused(
    ledger: PostgresqlLedger, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = [hold(1, COUNTED) for _ in range(12)]
    await asyncio.gather(*map(ledger.hold, held))
    monkeypatch.setattr(module, "MAX_UNSETTLED", 8)
    with psycopg.connect(url) as other:
        other.execute("SELECT * FROM veneer_accounts FOR UPDATE")
        settling = [asyncio.ensure_future(ledger.settle(end(each, 1))) for each in held]
        await asyncio.sleep(0.02)
        assert [task.done() for task in settling] == [True] * 8 + [False] * 4
        with pytest.raises(LedgerUnavailableError, match="12 settlements wait"):
            await ledger.hold(hold(1, COUNTED))
        settling[-1].cancel()
    await asyncio.wait(settling)
    await settled(ledger, end(held[-1], 1))
    assert await standing(ledger, COUNTED) == [(12, 0)]


async def test_many_more_than_one_transaction_takes_are_in_in_order(
    ledger: PostgresqlLedger,
) -> None:
    held = [hold(1, COUNTED) for _ in range(1300)]
    assert all(await asyncio.gather(*(admits(ledger, each) for each in held)))
    for each in held:
        await ledger.settle(end(each, 1))
    await settled(ledger, end(held[-1], 1))
    assert await standing(ledger, COUNTED) == [(1300, 0)]


async def test_a_hold_that_is_cancelled_as_it_is_admitted_holds_nothing(
    ledger: PostgresqlLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = asyncio.ensure_future(ledger.hold(hold(1, TEAM)))
    answer = Queue.answer

    def answer_and_cancel(queue: Queue, answers: Sequence[Answer]) -> None:
        answer(queue, answers)
        if any(wanted.held for wanted, _ in answers):
            task.cancel()

    monkeypatch.setattr(Queue, "answer", answer_and_cancel)
    await asyncio.wait({task})
    assert task.cancelled()
    monkeypatch.undo()
    await comes_to(ledger, TEAM, (0, 0))


async def test_what_is_moved_is_told_also_after_the_owner_was_removed(
    ledger: PostgresqlLedger, url: str
) -> None:
    told: list[Moved] = []
    ledger.watch(told.extend)
    held = hold(10, TEAM, KEY)
    await ledger.hold(held)
    execute(url, "DELETE FROM veneer_owners")
    await settled(ledger, end(held, 4))
    await ledger.balances([TEAM])
    assert told == [Moved(TEAM, 0, 4), Moved(KEY, 0, 4)]


def test_what_was_settled_in_a_loop_that_has_ended_is_in_with_the_next(url: str) -> None:
    ledger = PostgresqlLedger(url, timeout=20.0)
    held = [hold(1, COUNTED) for _ in range(5)]

    async def leave() -> None:
        await asyncio.gather(*map(ledger.hold, held))
        for each in held[:4]:
            await ledger.settle(end(each, 3))

    async def come_back() -> None:
        async with ledger.lifespan():
            await settled(ledger, end(held[4], 3))
            assert await standing(ledger, COUNTED) == [(15, 0)]

    asyncio.run(leave())
    asyncio.run(come_back())


async def test_two_at_once_make_the_tables(url: str) -> None:
    ledgers = [PostgresqlLedger(url, timeout=20.0) for _ in range(4)]
    for ledger in ledgers:
        await asyncio.gather(*(each.hold(hold(1, COUNTED)) for each in ledgers))
        assert (await standing(ledger, COUNTED))[0][0] == 0
    for ledger in ledgers:
        async with ledger.lifespan():
            pass
    assert execute(url, "SELECT held, spent FROM veneer_accounts") == [(0, 0)]


async def test_whatever_the_servers_default_is_who_waits_for_a_lock_sees_what_others_wrote(
    url: str,
) -> None:
    database = open_database(f"{url}%20-cdefault_transaction_isolation%3Dserializable")

    async def work(connection: AsyncConnection) -> object:
        return await connection.scalar(text("SELECT current_setting('transaction_isolation')"))

    assert await database.read(work) == "serializable"
    assert await database.write(work) == "read committed"
    await database.aclose()


async def test_newer_tables_are_refused_with_a_sentence_which_is_logged_once(
    url: str, caplog: pytest.LogCaptureFixture
) -> None:
    ledger = PostgresqlLedger(url, timeout=20.0)
    async with ledger.lifespan():
        await ledger.hold(hold(1, TEAM))
    execute(url, "UPDATE veneer_schema SET version = 99 WHERE component = 'ledger'")
    async with ledger.lifespan():
        for _ in range(3):
            with pytest.raises(LedgerUnavailableError, match="a later release"):
                await ledger.hold(hold(1, TEAM))
    complaints = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert len(complaints) == 1


async def test_a_database_without_room_for_all_names_is_refused(url: str) -> None:
    name = url.rpartition("%3D")[2]
    with psycopg.connect(SERVER, autocommit=True) as connection:
        connection.execute(
            f"CREATE DATABASE {name} ENCODING LATIN1 LC_COLLATE 'C' LC_CTYPE 'C' "
            "TEMPLATE template0".encode()
        )
        try:
            parts = psycopg.conninfo.conninfo_to_dict(SERVER)
            ledger = PostgresqlLedger(
                SERVER.replace(f"/{parts['dbname']}", f"/{name}"), timeout=20.0
            )
            async with ledger.lifespan():
                with pytest.raises(LedgerUnavailableError, match="LATIN1: make one of UTF8"):
                    await ledger.hold(hold(1, TEAM))
        finally:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


@pytest.mark.parametrize("name", ["lease", "timeout", "drain"])
@pytest.mark.parametrize("value", [0.0, -1.0, float("inf"), float("nan")])
def test_numbers_that_cannot_be_are_refused(name: str, value: float) -> None:
    options: dict[str, Any] = {name: value}
    with pytest.raises(ValueError, match=f"{name} is a positive number"):
        PostgresqlLedger(SERVER, **options)
