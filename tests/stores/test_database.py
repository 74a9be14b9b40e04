"""Databases that are slow, silent, restarted or locked, and callers that leave."""

import asyncio
import sqlite3
import time
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from tests.stores.databases import gate_to
from tests.stores.records import record
from veneer.stores import open_key_store
from veneer.stores.opening import open_database
from veneer.stores.unavailable import StoreUnavailableError


async def answer(connection: AsyncConnection) -> int:
    """Ask for a number."""
    return int(await connection.scalar(text("SELECT 42")) or 0)


async def sleep_long(connection: AsyncConnection) -> None:
    """Ask for something that takes half a minute."""
    await connection.execute(text("SELECT pg_sleep(30) /* of this test */"))


async def test_a_slow_query_ends_in_time_and_is_cancelled_on_the_server(
    postgresql_url: str,
) -> None:
    database = open_database(postgresql_url, timeout=0.2)
    started = time.monotonic()
    with pytest.raises(StoreUnavailableError, match=r"not answered within 0\.2 s"):
        await database.read(sleep_long)
    assert time.monotonic() - started < 2
    await database.aclose()
    with psycopg.connect(postgresql_url) as connection:
        running = connection.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE state = 'active'"
            " AND query LIKE '%sleep(30) /* of this%' AND pid <> pg_backend_pid()"
        ).fetchone()
    assert running == (0,)


async def test_a_caller_who_leaves_is_gone_at_once_and_the_pool_recovers(
    postgresql_url: str,
) -> None:
    database = open_database(postgresql_url, timeout=5)
    assert await database.read(answer) == 42
    for _ in range(12):
        task = asyncio.create_task(database.read(sleep_long))
        await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.wait({task}, timeout=1)
        assert task.cancelled()
    assert await asyncio.gather(*(database.read(answer) for _ in range(12))) == [42] * 12
    await database.aclose()


async def test_a_transaction_that_is_left_changes_nothing(database_url: str) -> None:
    database = open_database(database_url)
    entered = asyncio.Event()

    async def make(connection: AsyncConnection) -> None:
        await connection.exec_driver_sql("CREATE TABLE t (n INTEGER)")

    async def insert(connection: AsyncConnection) -> None:
        await connection.exec_driver_sql("INSERT INTO t VALUES (1)")
        entered.set()
        await asyncio.sleep(30)

    async def fail(connection: AsyncConnection) -> None:
        await connection.exec_driver_sql("INSERT INTO t VALUES (2)")
        await connection.exec_driver_sql("INSERT INTO nothing VALUES (2)")

    async def count(connection: AsyncConnection) -> int:
        return int(await connection.scalar(text("SELECT count(*) FROM t")) or 0)

    await database.write(make)
    task = asyncio.create_task(database.write(insert))
    await entered.wait()
    task.cancel()
    await asyncio.wait({task})
    for _ in range(5):
        with pytest.raises(StoreUnavailableError, match="nothing"):
            await database.write(fail)
    assert await database.read(count) == 0
    await database.aclose()


async def test_a_restart_of_the_server_is_not_noticed(postgresql_url: str) -> None:
    async with gate_to(postgresql_url) as (gate, url):
        store = open_key_store(url)
        await store.add(record())
        await asyncio.gather(*(store.get("key_1") for _ in range(10)))
        for write in (False, True):
            await gate.close()
            await gate.open()
            if write:
                await store.add(record("key_2"))
            assert await store.get("key_1") == record()
        await store.aclose()


async def test_a_server_that_is_down_is_unavailable_until_it_is_back(postgresql_url: str) -> None:
    async with gate_to(postgresql_url) as (gate, url):
        store = open_key_store(url)
        await gate.close()
        with pytest.raises(StoreUnavailableError):
            await store.get("key_1")
        await gate.open()
        await store.add(record())
        await gate.close()
        for _ in range(8):
            with pytest.raises(StoreUnavailableError):
                await store.get("key_1")
        await gate.open()
        assert await store.get("key_1") == record()
        await store.aclose()


async def test_silence_ends_in_time_and_leaves_no_connection_taken(postgresql_url: str) -> None:
    async with gate_to(postgresql_url) as (gate, url):
        store = open_key_store(url, timeout=0.3)
        await store.add(record())
        gate.silence()
        started = time.monotonic()
        asked = await asyncio.gather(
            *(store.get("key_1") for _ in range(12)), return_exceptions=True
        )
        assert {type(answer) for answer in asked} == {StoreUnavailableError}
        assert time.monotonic() - started < 2
        await gate.open()
        # A connection whose cancelling is not answered either is cut half a second later.
        await asyncio.sleep(0.8)
        assert await asyncio.gather(*(store.get("key_1") for _ in range(12))) == [record()] * 12
        await store.aclose()


async def test_no_more_connections_are_made_than_the_pool_has(postgresql_url: str) -> None:
    async with gate_to(postgresql_url) as (gate, url):
        store = open_key_store(url)
        await store.add(record())
        await asyncio.gather(*(store.get("key_1") for _ in range(100)))
        assert gate.connections <= 5
        await store.aclose()


async def test_a_store_can_be_closed_while_it_is_silent(postgresql_url: str) -> None:
    async with gate_to(postgresql_url) as (gate, url):
        store = open_key_store(url, timeout=5)
        await store.add(record())
        gate.silence()
        task = asyncio.create_task(store.get("key_1"))
        await asyncio.sleep(0.05)
        async with asyncio.timeout(4):
            await store.aclose()
        assert task.cancelled() or isinstance(task.exception(), StoreUnavailableError)


async def test_a_locked_file_is_waited_for_and_then_unavailable(
    sqlite_url: str, tmp_path: Path
) -> None:
    store = open_key_store(sqlite_url, timeout=0.4)
    await store.add(record())
    other = sqlite3.connect(tmp_path / "keys.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    assert await store.get("key_1") == record()
    with pytest.raises(StoreUnavailableError, match="locked"):
        await store.add(record("key_2"))
    writing = asyncio.create_task(store.add(record("key_2")))
    await asyncio.sleep(0.1)
    other.execute("COMMIT")
    await writing
    assert await store.get("key_2") == record("key_2")
    other.close()
    await store.aclose()


async def test_what_is_no_database_is_unavailable(sqlite_url: str, tmp_path: Path) -> None:
    (tmp_path / "keys.db").write_bytes(b"no database" * 500)
    store = open_key_store(sqlite_url)
    with pytest.raises(StoreUnavailableError, match="not a database"):
        await store.get("key_1")
    await store.aclose()


async def test_no_secret_is_in_what_is_said_of_a_failure(postgresql_url: str) -> None:
    url = postgresql_url.replace("postgres@", "postgres:hunter2@").replace(":5432", ":1")
    store = open_key_store(url)
    with pytest.raises(StoreUnavailableError) as error:
        await store.find(["digest"])
    assert "hunter2" not in repr(error.value)
    await store.aclose()
