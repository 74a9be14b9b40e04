"""The store in an SQLite file."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.idempotency.sqlite_files import exists, worker_of
from tests.idempotency.stores import ANSWER, FIRST, LONG, TTL, claimed, new_key
from veneer.idempotency.sqlite import SqliteRecordingStore
from veneer.idempotency.store import Done, InFlight, Recording

LARGE = Recording(200, (), bytes(1_000_000))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "recordings.db"


@pytest.fixture
async def store(path: Path) -> AsyncIterator[SqliteRecordingStore]:
    store = SqliteRecordingStore(path)
    async with store.lifespan():
        yield store


async def test_what_was_recorded_is_there_after_a_restart(path: Path) -> None:
    key, gone = new_key(), new_key()
    before = SqliteRecordingStore(path)
    async with before.lifespan():
        await before.commit(key, await claimed(before, key), ANSWER, TTL)
        last = await claimed(before, gone)
        await before.release(gone, last)

    after = SqliteRecordingStore(path)
    async with after.lifespan():
        assert await after.look(key) == Done(FIRST, ANSWER)
        assert await claimed(after, gone) > last


async def test_nothing_is_made_before_the_first_call_nor_left_running_after_the_last_lifespan(
    path: Path,
) -> None:
    store = SqliteRecordingStore(path)
    async with store.lifespan():
        assert not exists(path)
        async with store.lifespan():
            await store.look(new_key())
        thread = worker_of(store)._thread
        assert thread.is_alive()
    thread.join(5)
    assert not thread.is_alive()
    assert not exists(path, "-wal")
    async with store.lifespan():
        assert await store.look(new_key()) is None


async def test_files_are_for_their_owner_only(store: SqliteRecordingStore, path: Path) -> None:
    await claimed(store, new_key())
    modes = {file.name: file.stat().st_mode & 0o777 for file in path.parent.iterdir()}
    assert modes == {path.name: 0o600, f"{path.name}-wal": 0o600, f"{path.name}-shm": 0o600}


async def test_a_replay_writes_nothing(store: SqliteRecordingStore, path: Path) -> None:
    key = new_key()
    await store.commit(key, await claimed(store, key), ANSWER, TTL)
    running = new_key()
    await claimed(store, running)
    with closing(sqlite3.connect(path)) as other:
        before = other.execute("PRAGMA data_version").fetchone()
        assert await store.claim(key, FIRST, LONG) == Done(FIRST, ANSWER)
        assert isinstance(await store.claim(running, FIRST, LONG), InFlight)
        await store.look(key)
        assert other.execute("PRAGMA data_version").fetchone() == before


async def test_a_thousand_look_at_once(store: SqliteRecordingStore) -> None:
    key = new_key()
    await store.commit(key, await claimed(store, key), ANSWER, TTL)
    found = await asyncio.gather(*(store.look(key) for _ in range(1000)))
    assert found == [Done(FIRST, ANSWER)] * 1000


async def test_calls_that_are_cancelled_while_they_wait_are_left_out(
    store: SqliteRecordingStore,
) -> None:
    await store.look(new_key())
    keys = [new_key() for _ in range(100)]
    with worker_of(store)._file.using:
        tasks = [asyncio.ensure_future(store.claim(key, FIRST, LONG)) for key in keys]
        await asyncio.sleep(0.01)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    assert await asyncio.gather(*(store.look(key) for key in keys)) == [None] * 100


def test_what_nobody_waits_for_any_more_because_its_loop_is_closed_is_no_harm(path: Path) -> None:
    store = SqliteRecordingStore(path)

    async def leave() -> None:
        await store.look(new_key())
        worker_of(store)._file.using.acquire()
        task = asyncio.ensure_future(store.look(new_key()))
        await asyncio.sleep(0)
        task.cancel()

    asyncio.run(leave())
    worker_of(store)._file.using.release()

    async def come_back() -> None:
        async with store.lifespan():
            assert await store.look(new_key()) is None

    asyncio.run(come_back())


@pytest.mark.parametrize("name", ["", ":memory:", "a\0b"])
def test_what_cannot_be_a_file_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="needs the path of a file"):
        SqliteRecordingStore(name)


@pytest.mark.parametrize("timeout", [0.0, -1.0, float("inf"), float("nan")])
def test_a_timeout_that_cannot_be_is_refused(timeout: float, path: Path) -> None:
    with pytest.raises(ValueError, match="positive number of seconds"):
        SqliteRecordingStore(path, timeout=timeout)


def test_a_bound_that_leaves_room_for_nothing_is_refused(path: Path) -> None:
    with pytest.raises(ValueError, match="positive number of bytes, not 0"):
        SqliteRecordingStore(path, max_bytes=0)
