"""The task that writes into a ledger in PostgreSQL: all that has piled up is one transaction."""

import asyncio
import logging
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from veneer.ledger._postgresql_batch import StaleError
from veneer.ledger._postgresql_query import fetched
from veneer.ledger._postgresql_queue import Queue, Taken
from veneer.ledger._postgresql_rows import Rows
from veneer.ledger._postgresql_sweep import Sweep
from veneer.ledger._postgresql_tables import FIND_ENCODING, SCHEMA
from veneer.ledger._wanted import Answer, Wanted
from veneer.ledger.entry import Moved
from veneer.ledger.ledger import LedgerUnavailableError
from veneer.stores.database import Database
from veneer.stores.unavailable import StoreUnavailableError

logger = logging.getLogger("veneer.ledger")

# Seconds after which a database that could not be written is tried again: the first time, then
# twice as long each time, up to the last.
_PAUSE = 0.01
_LONGEST_PAUSE = 0.25

# What passes by itself: others have locked the same, or have waited for us as we did for them.
_PASSING = frozenset(["40001", "40P01", "55P03"])


class Writer:
    """Writes what is in its queue, in a task of its own, until it is stopped.

    Settlements that cannot be written are kept and tried again. Holds and questions wait only for
    what others have locked, as long as anybody waits for them; where anything else is wrong they
    are told at once, and who has waited for `timeout` seconds that there is no answer. `opening`
    gives the database, for one event loop; `written` is told what was moved, and how many
    settlements are left, whenever something is in. After a fork it is not there in the child.
    """

    def __init__(
        self,
        opening: Callable[[], Database],
        rows: Rows,
        sweep: Sweep,
        *,
        timeout: float,
        written: Callable[[Sequence[Moved], int], None],
    ) -> None:
        self._opening = opening
        self._rows = rows
        self._sweep = sweep
        self._written = written
        self._timeout = timeout
        self.queue = Queue(timeout)
        # What is being written.
        self._flight: Taken | None = None
        # Whether there is more to close of what dead processes have left.
        self._has_more = True
        self._is_checked = False
        self._pause = 0.0
        self._complaint = ""
        self._stop_at: float | None = None
        self._pid = os.getpid()
        self.start()

    @property
    def is_ours(self) -> bool:
        """Whether it is of this process."""
        return self._pid == os.getpid()

    @property
    def runs(self) -> bool:
        """Whether it is of the running event loop, and at work."""
        return self._loop is asyncio.get_running_loop() and not self._task.done()

    def start(self) -> None:
        """Write in the running event loop, also after another has ended: it has what that had."""
        self._loop = asyncio.get_running_loop()
        self._lose()
        self.queue.move(self._loop)
        self._database = self._opening()
        self._task = self._loop.create_task(self._run(), name="veneer-ledger")

    async def stop(self, within: float) -> None:
        """Write what was given, for so many seconds at most, and give up what is held.

        That may take `timeout` longer.
        """
        self._stop_at = self._loop.time() + within
        self.queue.nudge()
        try:
            await asyncio.wait({self._task}, timeout=within + self._timeout)
        finally:
            self._task.cancel()
        await asyncio.wait({self._task})

    async def _run(self) -> None:
        try:
            while self._stop_at is None or (self.queue and self._loop.time() < self._stop_at):
                await self._rest()
                await self._work()
            await self._resign()
        finally:
            await self._database.aclose()

    async def _rest(self) -> None:
        """Wait until there is something to do."""
        if self._pause:
            await asyncio.sleep(self._pause)
        if self.queue or self._has_more or self._stop_at is not None:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(self._rows.owner.due_in()):
                await self.queue.something()

    async def _work(self) -> None:
        waiting = self.queue.waiting()
        try:
            await self._prepare()
            await self._tidy()
            await self._write()
            await self._answer()
            self._pause, self._complaint = 0.0, ""
        except StaleError:
            # It is done anew at once.
            self._lose()
        except StoreUnavailableError as error:
            self._lose()
            if _passes(error):
                self._wait()
            else:
                self._fail(f"{error}", waiting)
        except (LedgerUnavailableError, ValueError) as error:
            self._lose()
            self._fail(f"{error}", waiting)

    async def _prepare(self) -> None:
        await self._database.prepare(SCHEMA)
        if not self._is_checked:
            encoding = await self._database.read(_encoding)
            if encoding != "UTF8":
                raise LedgerUnavailableError(
                    f"the encoding of the database is {encoding}: make one of UTF8"
                )
            self._is_checked = True

    async def _tidy(self) -> None:
        """Close some of what dead processes have left, if it is time to look."""
        owner = self._rows.owner
        if owner.has_to_look:
            await self._database.read(owner.bury)
            self._has_more = True
        if self._has_more:
            self._has_more = await self._database.write(self._sweep.some)

    async def _write(self) -> None:
        rows, taken = self._rows, self.queue.take()
        batch = taken.batch
        if not (batch.holds or batch.settlements or rows.owner.has_to_renew):
            return
        if not rows.identify(batch):
            await self._database.read(lambda connection: rows.resolve(connection, batch))
        self._flight = taken
        try:
            await self._database.write(lambda connection: rows.write(connection, batch))
        except IntegrityError:
            self._lose()
            await self._refuse(taken)
            return
        self._flight = None
        rows.committed(batch)
        self.queue.done(taken)
        self._written(batch.moved, self.queue.left)

    def _lose(self) -> None:
        """Give up a batch; where it may have been committed, its holds are given back."""
        taken, self._flight = self._flight, None
        if taken is not None:
            self._rows.failed(taken.batch)
            if taken.batch.is_ready:
                reason = "the ledger's database has not said whether it has kept this"
                self.queue.give_back(taken, LedgerUnavailableError(reason))

    async def _refuse(self, taken: Taken) -> None:
        """Leave out holds of calls that have a row, or get one."""
        calls = [hold.call for hold, _ in taken.batch.holds]
        known = await self._database.read(lambda connection: self._rows.existing(connection, calls))
        known.update(end.call for end, _ in taken.batch.settlements if end.hold is not None)
        refused: list[Answer] = []
        for each, call in zip(taken.holds, calls, strict=True):
            if call in known:
                refused.append((each, ValueError(f"The call {call} has a row.")))
            known.add(call)
        self.queue.answer(refused)
        if not refused:
            # A settlement has found no row, and another process has made it since.
            self._wait()

    async def _answer(self) -> None:
        rows, asked = self._rows, self.queue.questions()

        async def work(connection: AsyncConnection) -> list[Answer]:
            return [(each, await each.ask(rows, connection)) for each in asked if each.ask]

        if asked:
            self.queue.answer(await self._database.read(work))

    def _fail(self, reason: str, waiting: Sequence[Wanted]) -> None:
        """Tell those who have waited for this; settlements wait, and so do who came later."""
        if reason != self._complaint:
            self._complaint = reason
            logger.error("the ledger cannot be kept in PostgreSQL: %s", reason)
        self.queue.answer([(each, LedgerUnavailableError(reason)) for each in waiting])
        self._wait()

    def _wait(self) -> None:
        self._pause = min(self._pause * 2 or _PAUSE, _LONGEST_PAUSE)

    async def _resign(self) -> None:
        """Give up what is held; where that cannot be, others will when the lease is over."""
        try:
            await self._database.write(self._rows.owner.resign)
            while await self._database.write(self._sweep.some):
                pass
        except (StoreUnavailableError, ValueError) as error:
            logger.warning("what this process holds is left to others: %s", error)


def _passes(error: StoreUnavailableError) -> bool:
    """Whether it need only be tried again."""
    cause = error.__cause__
    return isinstance(cause, DBAPIError) and getattr(cause.orig, "sqlstate", None) in _PASSING


async def _encoding(connection: AsyncConnection) -> Any:
    [(encoding,)] = await fetched(connection, FIND_ENCODING)
    return encoding
