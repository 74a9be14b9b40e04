"""The store in an SQLite file: for the workers of one machine, and over restarts."""

import asyncio
import math
import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import Any

from veneer.idempotency._sqlite_entries import Entries
from veneer.idempotency._sqlite_worker import Failure, Job, Worker
from veneer.idempotency.store import Claim, Done, InFlight, Recording, StoreUnavailableError
from veneer.stores.sqlite_file import absolute

DEFAULT_MAX_BYTES = 1024 * 1024 * 1024
DEFAULT_TIMEOUT = 2.0

# Of the time that a call has, the part that it may wait for another process to unlock the file:
# that it is locked says more than silence.
_WAITING = 0.8


class SqliteRecordingStore:
    """Keeps recordings in the file at `path`, which all processes of this machine may share.

    It is made at first use where there is none, for its owner only; SQLite puts two more beside it.
    It is not for network file systems, and for nothing else: a file with other tables is refused.
    What was committed survives the death of every process; a power cut may take the last of it.

    Recordings have `max_bytes` together (default 1 GiB); the oldest leave first. The file grows a
    little beyond and is never made smaller. What is over is removed little by little, by whoever
    writes.

    No call takes longer than `timeout` seconds (default 2): a file that is locked, damaged, of
    something else or of a newer version, a full disk, and 4096 others who wait raise
    `StoreUnavailableError`. `clock` gives seconds since the epoch, the same for all processes.
    Where it is put back, claims last for their lease at most from when that is seen, recordings
    longer.

    All work on the file is done in one thread, which starts with the first call and ends with the
    lifespan. One instance is for one event loop at a time; it may be forked. Raises ValueError for
    a path that no file can have, and for numbers that cannot be.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        max_bytes: int = DEFAULT_MAX_BYTES,
        timeout: float = DEFAULT_TIMEOUT,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if max_bytes <= 0:
            raise ValueError(f"Recordings have a positive number of bytes, not {max_bytes}.")
        if not 0 < timeout < math.inf:
            raise ValueError(f"A store's timeout is a positive number of seconds, not {timeout}.")
        self._path = absolute(
            path,
            instead="for recordings that last as long as the process, take the store in memory",
        )
        self._timeout = timeout
        self._open = partial(Entries, max_bytes=max_bytes, clock=clock)
        self._worker: Worker | None = None
        self._users = 0

    async def claim(
        self, key: bytes, fingerprint: bytes, lease: float, /
    ) -> Claim | InFlight | Done:
        """Claim a key for `lease` seconds, or tell what is there, which writes nothing."""

        def write(entries: Entries) -> Claim | InFlight | Done:
            return entries.claim(key, fingerprint, lease)

        outcome: Claim | InFlight | Done = await self._do(write, lambda rows: rows.find(key))
        return outcome

    async def look(self, key: bytes, /) -> InFlight | Done | None:
        """Tell what is there."""
        found: InFlight | Done | None = await self._do(
            lambda rows: rows.mend(key), lambda rows: rows.look(key)
        )
        return found

    async def renew(self, key: bytes, token: int, lease: float, /) -> bool:
        """Hold a claim for `lease` seconds from now; False if somebody else has claimed."""
        held: bool = await self._do(lambda rows: rows.renew(key, token, lease))
        return held

    async def commit(
        self, key: bytes, token: int, recording: Recording | None, ttl: float, /
    ) -> bool:
        """Keep an answer for `ttl` seconds; False if somebody else has claimed.

        One that is larger than `max_bytes` is kept as None.
        """
        kept: bool = await self._do(lambda rows: rows.commit(key, token, recording, ttl))
        return kept

    async def release(self, key: bytes, token: int, /) -> None:
        """Give a claim up."""
        await self._do(lambda rows: rows.release(key, token))

    def lifespan(self) -> AbstractAsyncContextManager[object]:
        """Return the context in which it can be used; the file is closed when the last one ends."""
        return self._lifespan()

    @asynccontextmanager
    async def _lifespan(self) -> AsyncIterator[None]:
        self._users += 1
        try:
            yield
        finally:
            self._users -= 1
            if self._users == 0:
                await self._close()

    async def _close(self) -> None:
        worker, self._worker = self._worker, None
        if worker is not None and worker.is_alive:
            ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            worker.stop(ended)
            # The thread is in nobody's way if it takes longer, for a disk that does not answer.
            await asyncio.wait((ended,), timeout=self._timeout)

    async def _do(
        self, write: Callable[[Entries], Any], read: Callable[[Entries], Any] | None = None
    ) -> Any:
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        deadline = time.monotonic() + self._timeout * _WAITING
        if self._worker is None or not self._worker.is_alive:
            self._worker = Worker(self._path, self._open)
        self._worker.submit(Job(future, read, write, deadline))
        try:
            await asyncio.wait((future,), timeout=self._timeout)
        finally:
            # Nobody waits any more: the thread may leave it out.
            future.cancel()
        if future.cancelled():
            raise StoreUnavailableError(
                f"the file of recordings has not answered within {self._timeout:g} s"
            )
        answer = future.result()
        if isinstance(answer, Failure):
            raise StoreUnavailableError(answer.reason)
        return answer
