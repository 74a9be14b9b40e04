"""The spool: on this machine's disk waits what the ledger cannot take, until it is back."""

import asyncio
import logging
import os
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path

from veneer.ledger._spool_file import SpoolFile, create
from veneer.ledger._spool_intake import Intake
from veneer.ledger._spool_replay import Replay
from veneer.ledger._spool_thread import Clerk
from veneer.ledger.entry import Settlement
from veneer.ledger.ledger import Ledger
from veneer.wiring import ConfigurationError

logger = logging.getLogger("veneer.ledger")

# Seconds in which the folder must answer at the start, and those in which, at the end, what waits
# may still go into the ledger.
OPENING = 10.0
DRAIN = 5.0


class Spool:
    """Keeps settlements for `ledger` in a folder, which processes with the same ledger may share.

    Each process has a file of its own there, for its owner only. What is appended survives the
    death of every process; a power cut may take the last of it. It goes into the ledger in its
    order, by settlements that are one row however often they come, and leaves the file when the
    ledger shows it; what dead processes have left is taken over by one of the others, at its start
    and then now and then. What waits at the end of the lifespan stays in the folder.

    It has room while a process' file has less than `max_bytes` and the disk works.
    All work on the disk is done in a thread. The folder is made where there is none, but not the
    one above it. Raises ValueError for what cannot be; entering the lifespan raises
    `ConfigurationError` for a folder that cannot be written.
    """

    def __init__(self, folder: str | os.PathLike[str], ledger: Ledger, *, max_bytes: int) -> None:
        if max_bytes < 1:
            raise ValueError(f"max_spool is a positive number of bytes, not {max_bytes}.")
        if not os.fspath(folder) or "\0" in os.fspath(folder):
            raise ValueError("spool is the path of a folder: give one, or leave it out.")
        self._folder = Path(folder).absolute()
        if not self._folder.parent.is_dir():
            raise ValueError(f"spool: the folder {self._folder.parent} does not exist: create it.")
        if self._folder.exists() and not self._folder.is_dir():
            raise ValueError(f"spool: {self._folder} is no folder: give the path of one.")
        self._ledger = ledger
        self._max_bytes = max_bytes
        self._users = 0
        self._running: _Running | None = None

    @property
    def has_room(self) -> bool:
        """Whether calls may be made whose settlements will come."""
        return self._running is not None and self._running.intake.has_room

    async def append(self, settlement: Settlement) -> None:
        """Keep a settlement, which has its `hold`; it is on the disk, or on its way to it.

        A cancellation loses nothing, and a disk that does not answer is waited for a second. Raises
        ValueError for what no ledger takes.
        """
        if self._running is None:
            await self._ledger.settle(settlement)
        else:
            await self._running.intake.append(settlement)

    def is_back(self) -> None:
        """Say that the ledger has answered."""
        if self._running is not None:
            self._running.replay.tell(back=True)

    def lifespan(self) -> AbstractAsyncContextManager[object]:
        """Return the context in which it can be used, inside that of the ledger."""
        return self._lifespan()

    @asynccontextmanager
    async def _lifespan(self) -> AsyncIterator[None]:
        self._users += 1
        try:
            if self._users == 1:
                await self._open()
            yield
        finally:
            self._users -= 1
            if not self._users:
                await self._close()

    async def _open(self) -> None:
        clerk = Clerk()
        try:
            own = await self._opened(clerk)
        except ConfigurationError:
            clerk.stop()
            raise
        self._running = _Running(self._ledger, clerk, self._folder, own, self._max_bytes)

    async def _close(self) -> None:
        running, self._running = self._running, None
        if running is not None:
            await running.close()

    async def _opened(self, clerk: Clerk) -> SpoolFile:
        try:
            async with asyncio.timeout(OPENING):
                return await clerk.do(partial(create, self._folder))
        except TimeoutError:
            reason = "its disk does not answer"
        except OSError as error:
            reason = f"{error.strerror}"
        raise ConfigurationError(
            f"spool: {self._folder} cannot be written ({reason}): give a folder that this user may "
            "write into, on a disk that has room."
        )


class _Running:
    """What there is of a spool during a lifespan."""

    def __init__(
        self, ledger: Ledger, clerk: Clerk, folder: Path, own: SpoolFile, max_bytes: int
    ) -> None:
        self._clerk = clerk
        self._folder = folder
        self._own = own
        self.replay = Replay(ledger, clerk, folder, own)
        self.intake = Intake(ledger, clerk, own, max_bytes=max_bytes, news=self.replay.tell)
        self._task = asyncio.get_running_loop().create_task(self.replay.run())

    async def close(self) -> None:
        """Try once more to have all of it in the ledger, and leave the rest in the folder."""
        await self.intake.close()
        self.replay.finish()
        await asyncio.wait((self._task,), timeout=DRAIN)
        self._task.cancel()
        await asyncio.wait((self._task,), timeout=DRAIN)
        left = self.replay.waiting
        if left:
            logger.error("%d settlements wait for the ledger in %s", left, self._folder)
        closing = [self._clerk.do(file.close) for file in (*self.replay.taken, self._own)]
        self._clerk.stop()
        done, _ = await asyncio.wait(closing, timeout=DRAIN)
        for closed in done:
            error = closed.exception()
            if error is not None:
                logger.error("a file in %s cannot be closed: %s", self._folder, error)
        if self._task.done() and not self._task.cancelled():
            self._task.result()
