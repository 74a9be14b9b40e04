"""The store in an SQLite file that cannot be used, for whatever reason."""

import asyncio
import logging
import sqlite3
import threading
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.idempotency.sqlite_files import damage, exists, locked, remove, worker_of
from tests.idempotency.stores import ANSWER, FIRST, LONG, TTL, claimed, new_key
from veneer.idempotency import _sqlite_worker
from veneer.idempotency._sqlite_file import FORMAT
from veneer.idempotency.sqlite import SqliteRecordingStore
from veneer.idempotency.store import Claim, Done, Recording, StoreUnavailableError

LARGE = Recording(200, (), bytes(1_000_000))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "recordings.db"


@pytest.fixture
async def store(path: Path) -> AsyncIterator[SqliteRecordingStore]:
    store = SqliteRecordingStore(path)
    async with store.lifespan():
        yield store


async def test_a_locked_file_is_out_of_reach_in_time_and_only_for_those_who_write(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = SqliteRecordingStore(path, timeout=0.25)
    key = new_key()
    async with store.lifespan():
        await store.commit(key, await claimed(store, key), ANSWER, TTL)
        with locked(path):
            claims = [asyncio.ensure_future(store.claim(new_key(), FIRST, LONG)) for _ in range(90)]
            await asyncio.sleep(0.02)
            assert await store.look(key) == Done(FIRST, ANSWER)
            assert not any(claim.done() for claim in claims)
            async with asyncio.timeout(5):
                outcomes = await asyncio.gather(*claims, return_exceptions=True)
            assert {type(outcome) for outcome in outcomes} == {StoreUnavailableError}
            assert {str(outcome) for outcome in outcomes} <= {
                "the file of recordings is locked by another process",
                "the file of recordings has not answered within 0.25 s",
            }
        assert isinstance(await store.claim(new_key(), FIRST, LONG), Claim)
    assert not caplog.records


async def test_a_lock_that_is_given_up_in_time_is_waited_for(
    store: SqliteRecordingStore, path: Path
) -> None:
    await store.look(new_key())
    with locked(path):
        claim = asyncio.ensure_future(store.claim(new_key(), FIRST, LONG))
        await asyncio.sleep(0.05)
        assert not claim.done()
    assert isinstance(await claim, Claim)


async def test_a_file_that_is_locked_before_it_has_tables_is_opened_later(path: Path) -> None:
    store = SqliteRecordingStore(path, timeout=0.1)
    async with store.lifespan():
        with locked(path), pytest.raises(StoreUnavailableError):
            await store.look(new_key())
        await claimed(store, new_key())


async def test_who_waits_for_a_thread_that_is_stuck_is_told_in_time(path: Path) -> None:
    store = SqliteRecordingStore(path, timeout=0.05)
    async with store.lifespan():
        await store.look(new_key())
        with (
            worker_of(store)._file.using,
            pytest.raises(StoreUnavailableError, match=r"not answered within 0\.05 s"),
        ):
            await store.look(new_key())
        assert await store.look(new_key()) is None


async def test_where_too_many_wait_others_are_refused_at_once(
    store: SqliteRecordingStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store.look(new_key())
    monkeypatch.setattr(_sqlite_worker, "MAX_JOBS", 8)
    with worker_of(store)._file.using:
        looks = [asyncio.ensure_future(store.look(new_key())) for _ in range(50)]
        await asyncio.sleep(0.02)
        refused = [look for look in looks if look.done()]
        assert len(refused) >= 30
    outcomes = await asyncio.gather(*looks, return_exceptions=True)
    assert [outcome for outcome in outcomes if outcome is None]
    assert str(refused[0].exception()) == "8 others wait for the file of recordings"
    assert await store.look(new_key()) is None


async def test_a_thread_that_died_is_replaced(
    store: SqliteRecordingStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[object] = []
    monkeypatch.setattr(threading, "excepthook", told.append)
    await store.look(new_key())
    thread = worker_of(store)._thread
    worker_of(store)._jobs.put("not a job")  # type: ignore[arg-type] # what should never happen
    thread.join(5)
    assert told
    assert await store.look(new_key()) is None


async def test_a_full_disk_refuses_what_does_not_fit_and_nothing_else(
    store: SqliteRecordingStore, caplog: pytest.LogCaptureFixture
) -> None:
    key = new_key()
    token = await claimed(store, key)
    worker = worker_of(store)
    with worker._file.using:
        assert worker._file._opened is not None
        worker._file._opened._connection.execute("PRAGMA max_page_count = 20")
    with pytest.raises(StoreUnavailableError, match="database or disk is full"):
        await store.commit(key, token, LARGE, TTL)
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    # The file was opened anew, without that limit.
    assert await store.commit(key, token, LARGE, TTL)
    assert await store.look(key) == Done(FIRST, LARGE)


async def test_a_file_of_a_newer_version_is_refused(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = SqliteRecordingStore(path)
    async with store.lifespan():
        await claimed(store, new_key())
    with closing(sqlite3.connect(path)) as other:
        other.execute(f"PRAGMA user_version = {len(FORMAT.versions) + 1}")
    async with store.lifespan():
        for _ in range(3):
            with pytest.raises(StoreUnavailableError, match="made by a newer version"):
                await store.look(new_key())
    assert len(caplog.records) == 1
    assert f"recordings cannot be kept in {path}: " in caplog.text


async def test_a_file_that_holds_something_else_is_refused_and_left_as_it_is(path: Path) -> None:
    with closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE theirs (x)")
        before = list(other.iterdump())
        store = SqliteRecordingStore(path)
        async with store.lifespan():
            with pytest.raises(StoreUnavailableError, match="need a file of their own"):
                await store.claim(new_key(), FIRST, LONG)
        assert list(other.iterdump()) == before
        assert other.execute("PRAGMA journal_mode").fetchone() == ("delete",)


@pytest.fixture
def no_database(path: Path) -> None:
    path.write_bytes(b"no database at all" * 1000)


@pytest.mark.usefixtures("no_database")
async def test_a_file_that_is_no_database_is_refused_and_logged_once(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = SqliteRecordingStore(path)
    async with store.lifespan():
        for _ in range(3):
            with pytest.raises(StoreUnavailableError, match="file is not a database"):
                await store.look(new_key())
        remove(path)
        assert await store.look(new_key()) is None
    assert [record.levelno for record in caplog.records] == [logging.ERROR]


async def test_damage_is_found_when_it_is_read(path: Path) -> None:
    store = SqliteRecordingStore(path)
    key = new_key()
    async with store.lifespan():
        await store.commit(key, await claimed(store, key), LARGE, TTL)
    damage(path)
    async with store.lifespan():
        with pytest.raises(StoreUnavailableError, match="malformed"):
            await store.look(key)


async def test_headers_that_cannot_be_read_are_damage_too(
    store: SqliteRecordingStore, path: Path
) -> None:
    key = new_key()
    await store.commit(key, await claimed(store, key), ANSWER, TTL)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("UPDATE entries SET headers = x'c1'")
    with pytest.raises(StoreUnavailableError):
        await store.look(key)


async def test_a_file_that_is_removed_is_made_anew(store: SqliteRecordingStore, path: Path) -> None:
    key = new_key()
    await store.commit(key, await claimed(store, key), ANSWER, TTL)
    for suffix in ("", "-wal", "-shm"):
        remove(path, suffix)
    assert await store.look(key) is None
    await store.commit(key, await claimed(store, key), ANSWER, TTL)
    assert exists(path)


async def test_a_folder_that_is_gone_makes_the_store_unavailable(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    store = SqliteRecordingStore(folder / "r")
    folder.rmdir()
    async with store.lifespan():
        with pytest.raises(StoreUnavailableError, match="No such file"):
            await store.look(new_key())
