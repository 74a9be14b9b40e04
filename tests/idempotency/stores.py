"""Stores of recordings for tests, each of its own."""

import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import msgspec

from tests.idempotency.clock import Clock
from tests.limiters.redises import SERVER, redis_prefix
from veneer.idempotency.memory import MemoryRecordingStore
from veneer.idempotency.redis import RedisRecordingStore
from veneer.idempotency.sqlite import SqliteRecordingStore
from veneer.idempotency.store import Claim, Recording, RecordingStore

FIRST = b"f" * 20
SECOND = b"s" * 20
LONG = 30.0
TTL = 3600.0

ANSWER = Recording(200, ((b"content-type", b"application/json"), (b"x-more", b"1")), b'{"id":"1"}')
OTHER = Recording(201, (), b"other")


class Setting(msgspec.Struct):
    """A store that is open, and how its time passes.

    `store` is one that is used by a process; `sibling` another that shares its recordings, or the
    same where there is none. `short` (seconds) is a lease that can be waited for, `tick` the least
    that its time is exact to. `sleep` lets so many seconds pass.
    """

    store: RecordingStore
    sibling: RecordingStore
    short: float
    sleep: Callable[[float], Awaitable[None]]


def new_key() -> bytes:
    """Return a key that nobody uses, of the length that the layer gives."""
    return secrets.token_bytes(20)


async def claimed(store: RecordingStore, key: bytes, lease: float = LONG) -> int:
    """Claim a key that is free, and return the token."""
    outcome = await store.claim(key, FIRST, lease)
    assert isinstance(outcome, Claim), outcome
    return outcome.token


@asynccontextmanager
async def memory(_: Path) -> AsyncIterator[Setting]:
    """Give a store in memory, on a clock that stands still between the calls."""
    clock = Clock()
    store = MemoryRecordingStore(clock=clock)
    yield Setting(store, store, 5.0, clock.sleep)


@asynccontextmanager
async def sqlite(folder: Path) -> AsyncIterator[Setting]:
    """Give two stores on one file, on a clock that stands still between the calls."""
    clock = Clock()
    path = folder / "recordings.db"
    store = SqliteRecordingStore(path, clock=clock, timeout=20.0)
    sibling = SqliteRecordingStore(path, clock=clock, timeout=20.0)
    async with store.lifespan(), sibling.lifespan():
        yield Setting(store, sibling, 5.0, clock.sleep)


@asynccontextmanager
async def redis(_: Path) -> AsyncIterator[Setting]:
    """Give two stores on one server, in real time."""
    async with redis_prefix() as prefix:
        store = RedisRecordingStore(SERVER, prefix=prefix, timeout=20.0)
        sibling = RedisRecordingStore(SERVER, prefix=prefix, timeout=20.0)
        async with store.lifespan(), sibling.lifespan():
            yield Setting(store, sibling, 0.4, anyio.sleep)
