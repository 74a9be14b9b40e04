"""Keys in a database: what a lookup costs, and that no change is missed."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime

import pytest
from sqlalchemy import event, text
from sqlalchemy.ext.asyncio import AsyncConnection

from tests.stores.records import record
from veneer.stores.database import Database
from veneer.stores.keys import KEPT_CHANGES, SqlKeyStore
from veneer.stores.opening import open_database

# What a series of numbers is called in each dialect.
SERIES = {
    "sqlite": "WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < 100000) ",
    "postgresql": "WITH s AS (SELECT generate_series(1, 100000) AS n) ",
}
FILL = (
    "INSERT INTO veneer_keys (id, digest, pepper_id, shown, name, scopes, limits, budgets, tags,"
    " created_at, revision) {series} SELECT 'key_' || n, 'digest ' || n, '1', 'vnr', 'n', '[]',"
    " '{{}}', '{{}}', '[]', '2026-03-01 12:00:00.000000', 0 FROM s"
)


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[tuple[SqlKeyStore, Database]]:
    """Open a store, and give the database that it is in."""
    database = open_database(url, timeout=10)
    store = SqlKeyStore(database)
    yield store, database
    await store.aclose()


def heard(database: Database) -> list[tuple[str, object]]:
    """Return a list that grows by every statement sent from now on, with its parameters."""
    statements: list[tuple[str, object]] = []

    def hear(*arguments: object) -> None:
        statements.append((str(arguments[2]), arguments[3]))

    event.listen(database._engine.sync_engine, "before_cursor_execute", hear)
    return statements


async def test_a_miss_among_100_000_keys_is_one_indexed_query(database_url: str) -> None:
    async with opened(database_url) as (store, database):
        await store.get("key_1")
        series = SERIES["sqlite" if "sqlite" in database_url else "postgresql"]

        async def fill(connection: AsyncConnection) -> None:
            await connection.exec_driver_sql(FILL.format(series=series))
            await connection.exec_driver_sql("ANALYZE veneer_keys")

        await database.write(fill)
        statements = heard(database)
        assert await store.find(["nobody's", "under another pepper"]) is None
        found = await store.find(["digest 77777"])
        assert found is not None
        assert found.id == "key_77777"
        assert len(statements) == 2

        async def plan(connection: AsyncConnection) -> str:
            statement, parameters = statements[0]
            explain = "EXPLAIN QUERY PLAN" if "sqlite" in database_url else "EXPLAIN"
            rows = await connection.exec_driver_sql(f"{explain} {statement}", parameters)  # type: ignore[arg-type]  # as the driver was given them
            return "\n".join(str(row) for row in rows)

        planned = await database.read(plan)
        assert "USING INDEX" in planned or "veneer_keys_digest_key" in planned
        assert "SCAN" not in planned
        assert "Seq Scan" not in planned


async def test_to_ask_what_has_changed_is_one_query(database_url: str) -> None:
    async with opened(database_url) as (store, database):
        _, mark = await store.changed_since(None)
        statements = heard(database)
        await store.changed_since(mark)
        assert len(statements) == 1


async def test_a_write_that_began_first_and_commits_last_is_not_missed(database_url: str) -> None:
    async with opened(database_url) as (slow, database), opened(database_url) as (quick, _):
        _, mark = await quick.changed_since(None)
        written, go = asyncio.Event(), asyncio.Event()
        begun = database.write

        async def held(work: object) -> object:
            async def and_wait(connection: AsyncConnection) -> object:
                result = await work(connection)  # type: ignore[operator]  # it is a Work
                written.set()
                await go.wait()
                return result

            return await begun(and_wait)

        database.write = held  # type: ignore[method-assign,assignment]  # commits when told to
        first = asyncio.create_task(slow.add(record("key_first")))
        await written.wait()
        second = asyncio.create_task(quick.add(record("key_second")))
        await asyncio.sleep(0.1)
        seen: set[str] = set()
        for _ in range(2):
            changed, mark = await quick.changed_since(mark)
            seen |= set(changed or ())
            assert changed is not None
            go.set()
            await asyncio.gather(first, second)
        assert seen == {"digest of key_first", "digest of key_second"}


async def test_whatever_overlaps_every_change_is_told(database_url: str) -> None:
    async with opened(database_url) as (one, _), opened(database_url) as (other, _):
        _, mark = await one.changed_since(None)
        chance = random.Random(7)  # noqa: S311 - delays, not secrets
        seen: set[str] = set()

        async def write(number: int) -> None:
            store = (one, other)[number % 2]
            await asyncio.sleep(chance.random() / 10)
            await store.add(record(f"key_{number}"))
            assert await store.replace(record(f"key_{number}", digest=f"renewed {number}"))

        writing = asyncio.gather(*(write(number) for number in range(30)))
        while not writing.done():
            changed, mark = await one.changed_since(mark)
            assert changed is not None
            seen |= set(changed)
        await writing
        changed, _ = await one.changed_since(mark)
        seen |= set(changed or ())
        numbers = range(30)
        assert seen == {f"digest of key_{n}" for n in numbers} | {f"renewed {n}" for n in numbers}


async def test_who_asks_with_too_old_a_mark_is_told_that_all_may_have_changed(
    sqlite_url: str,
) -> None:
    async with opened(sqlite_url) as (store, database):
        _, mark = await store.changed_since(None)
        await store.add(record())
        assert (await store.changed_since(mark))[0] == {"digest of key_1"}

        async def leap(connection: AsyncConnection) -> None:
            await connection.execute(
                text("UPDATE veneer_key_version SET version = version + :n"), {"n": KEPT_CHANGES}
            )

        await database.write(leap)
        await store.add(record("key_2"))
        changed, mark = await store.changed_since(mark)
        assert changed is None
        assert await store.changed_since(mark) == (set(), mark)


@pytest.mark.parametrize("writes", [1, 2, 3])
async def test_a_store_restored_from_a_backup_is_noticed_however_far_it_has_come(
    database_url: str, writes: int
) -> None:
    async with opened(database_url) as (store, database):
        await store.add(record("key_1"))
        await store.add(record("key_2"))
        _, mark = await store.changed_since(None)

        async def restore(connection: AsyncConnection) -> None:
            await connection.exec_driver_sql("DELETE FROM veneer_keys")
            await connection.exec_driver_sql("DELETE FROM veneer_key_changes WHERE version > 0")
            await connection.exec_driver_sql("UPDATE veneer_key_version SET version = 0")

        await database.write(restore)
        for number in range(writes):
            await store.add(record(f"key_{number}"))
        changed, mark = await store.changed_since(mark)
        assert changed is None
        await store.add(record("key_9"))
        assert (await store.changed_since(mark))[0] == {"digest of key_9"}


async def test_what_cannot_be_kept_is_refused_and_an_id_like_that_is_no_keys(
    database_url: str,
) -> None:
    async with opened(database_url) as (store, _):
        with pytest.raises(ValueError, match="no time zone"):
            await store.add(record(expires_at=datetime(2026, 1, 1)))  # noqa: DTZ001 - the fault
        for key_id in ("\0", "\udcff", "x" * 100_000):
            assert await store.get(key_id) is None
        with pytest.raises(ValueError, match="surrogates"):
            await store.add(record(name="\udcff"))


async def test_postgresql_keeps_no_nul(postgresql_url: str) -> None:
    async with opened(postgresql_url) as (store, _):
        with pytest.raises(ValueError, match="NUL"):
            await store.add(record(name="a\0b"))
