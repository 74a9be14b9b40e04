"""Schemas: brought up to date once, whoever comes first."""

import asyncio
import sys
from collections.abc import Iterator

import psycopg
import pytest
from sqlalchemy import inspect, text
from sqlalchemy.ext.asyncio import AsyncConnection

from veneer.stores.key_tables import SCHEMA, changes, keys, version
from veneer.stores.migrations import _ADVISORY_LOCK, Schema, SchemaTooNewError
from veneer.stores.opening import open_database
from veneer.stores.unavailable import StoreUnavailableError

FIRST = Schema("things", (("CREATE TABLE things (id {ordered}, at {time})",),))
SECOND = Schema("things", (*FIRST.versions, ("ALTER TABLE things ADD COLUMN n INTEGER",)))
BROKEN = Schema("things", (*FIRST.versions, ("CREATE TABLE more (n INTEGER)", "NONSENSE")))

PROCESS = """
import asyncio, sys
from veneer.stores import open_key_store

async def main():
    store = open_key_store(sys.argv[1], timeout=10)
    sys.stdin.readline()
    _, mark = await store.changed_since(None)
    await store.aclose()
    print(mark)

print("ready", flush=True)
asyncio.run(main())
"""


async def tables(connection: AsyncConnection) -> dict[str, list[str]]:
    """Return the names of tables and of their columns."""
    return await connection.run_sync(
        lambda sync: {
            table: [column["name"] for column in inspect(sync).get_columns(table)]
            for table in inspect(sync).get_table_names()
        }
    )


async def test_the_tables_of_keys_are_those_that_the_code_knows(database_url: str) -> None:
    database = open_database(database_url)
    await database.prepare(SCHEMA)
    found = await database.read(tables)
    assert {name: set(columns) for name, columns in found.items()} == {
        "veneer_schema": {"component", "version"},
        **{
            table.name: {column.name for column in table.columns}
            for table in (keys, changes, version)
        },
    }
    await database.aclose()


async def test_each_step_is_taken_once(database_url: str) -> None:
    for schema, columns in (
        (FIRST, ["id", "at"]),
        (FIRST, ["id", "at"]),
        (SECOND, ["id", "at", "n"]),
    ):
        database = open_database(database_url)
        await asyncio.gather(*(database.prepare(schema) for _ in range(4)))
        assert (await database.read(tables))["things"] == columns
        await database.aclose()


async def test_components_have_versions_of_their_own(database_url: str) -> None:
    database = open_database(database_url)
    await database.prepare(SECOND)
    await database.prepare(SCHEMA)

    async def versions(connection: AsyncConnection) -> dict[str, int]:
        rows = await connection.execute(text("SELECT component, version FROM veneer_schema"))
        return {row.component: row.version for row in rows}

    assert await database.read(versions) == {"things": 2, "keys": 1}
    await database.aclose()


async def test_tables_of_a_later_release_are_left_alone(database_url: str) -> None:
    database = open_database(database_url)
    await database.prepare(SECOND)
    await database.aclose()
    database = open_database(database_url)
    with pytest.raises(SchemaTooNewError, match=r"version 2.* knows 1: upgrade"):
        await database.prepare(FIRST)
    await database.aclose()


async def test_a_migration_that_fails_leaves_nothing_and_is_tried_again(database_url: str) -> None:
    database = open_database(database_url)
    for _ in range(2):
        with pytest.raises(StoreUnavailableError, match="syntax error"):
            await database.prepare(BROKEN)
        assert await database.read(tables) == {}
    await database.prepare(SECOND)
    assert (await database.read(tables))["things"] == ["id", "at", "n"]
    await database.aclose()


async def test_a_finished_database_needs_no_right_to_make_tables(postgresql_url: str) -> None:
    database = open_database(postgresql_url)
    await database.prepare(FIRST)
    await database.aclose()
    database = open_database(postgresql_url + "%20-cdefault_transaction_read_only%3Don")
    await database.prepare(FIRST)
    await database.aclose()


async def test_who_cannot_wait_for_a_migration_is_told_and_it_goes_on(postgresql_url: str) -> None:
    database = open_database(postgresql_url, timeout=0.3)
    with psycopg.connect(postgresql_url) as other:
        other.execute("SELECT pg_advisory_xact_lock(%s)", [_ADVISORY_LOCK])
        with pytest.raises(StoreUnavailableError, match=r"not ready after 0\.3 s"):
            await database.prepare(FIRST)
        other.commit()
    await database.prepare(FIRST)
    assert (await database.read(tables))["things"] == ["id", "at"]
    await database.aclose()


@pytest.fixture
def processes() -> Iterator[list[asyncio.subprocess.Process]]:
    """Give a list of processes that do not outlive the test."""
    started: list[asyncio.subprocess.Process] = []
    yield started
    for process in started:
        if process.returncode is None:
            process.kill()


async def test_several_processes_may_start_at_once(
    database_url: str, processes: list[asyncio.subprocess.Process]
) -> None:
    processes += [
        await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", PROCESS, database_url),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        for _ in range(3)
    ]
    for process in processes:
        assert process.stdout is not None
        assert await process.stdout.readline() == b"ready\n"
    answers = await asyncio.gather(*(process.communicate(b"go\n") for process in processes))
    assert [answer for answer, _ in answers] == [b"0:\n"] * 3
