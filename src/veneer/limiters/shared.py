"""The limiter for the workers of one machine: counters in a file that they share."""

import asyncio
import logging
import os
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from time import monotonic
from typing import Any
from weakref import WeakMethod

from veneer.limiters._file import Sizes
from veneer.limiters._table import Table, Taken, open_table
from veneer.quotas.limiter import Decision, LimiterBusyError, LimiterUnavailableError
from veneer.quotas.quota import Charge

logger = logging.getLogger("veneer.limits")

# The lock is held for microseconds, unless its holder is paused (where there is more to do than
# there are cores, for tens of milliseconds) or stopped. It is tried so many times in a row, by one
# task of a process at a time; then it is asked for every STEP seconds (uvloop makes less than a
# millisecond none at all, and who spins keeps its holder waiting), and LEAST times in any case: who
# was paused itself has not waited.
_TRIES = 25
_STEP = 0.001
_LEAST = 10
PATIENCE = 0.04

# Seconds after which settlements that found the table locked try again if nothing else does it
# for them, and how many are done in one go.
_AGAIN = 0.005
_AT_ONCE = 256


class SharedLimiter:
    """Counts for all processes of this machine that open the same file, forked or not.

    The file at `path` is made where there is none, for its owner only; beside it stand empty ones
    with a number after its name, one for each process that has had calls running. It is good until
    the machine starts anew; on systems that do not tell one boot from another (no
    `/proc/sys/kernel/random/boot_id`), it has to be in a directory that is empty then. Memory is
    where it belongs (`/dev/shm`, `/run`): 130 bytes for a counter, 1,100 for a strict one.

    At most `max_partitions` counters are held, one for each quota of each partition, besides
    `max_strict` for strict quotas; and `max_running` calls. A live counter is never forgotten:
    where there is no room, `take` raises LimiterUnavailableError. It does so too where the file
    cannot be opened, and LimiterBusyError where the table stays locked for 40 ms (whoever holds it
    is paused or stopped).

    The calls of a process that dies are given back a second later. One that is stopped keeps its
    own. `clock` (seconds, the same for all processes) stands in for time in tests. One instance is
    for one thread. `lifespan` raises ValueError for a file that is something else or was made for
    other numbers, and OSError for what the system refuses; the constructor, for numbers that cannot
    be.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        max_partitions: int = 131_072,
        max_strict: int = 8_192,
        max_running: int = 65_536,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._path = str(path)
        self._sizes = Sizes(
            max_partitions=max_partitions, max_strict=max_strict, max_running=max_running
        )
        self._clock = clock
        self._table: Table | None = None
        self._users = 0
        self._waiting = 0
        # In the order in which they came. They are never more than there are calls that took: while
        # the table is locked nobody takes, and who takes settles first what is owed.
        self._owed: deque[tuple[Sequence[Taken], int]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        _in_forked_children(self._abandon)

    async def take(self, charges: Sequence[Charge], /) -> Decision:
        """Decide, and take what is admitted; see `Limiter`."""
        try:
            table = self._enter(1 if self._waiting else _TRIES) or await self._wait()
        except (OSError, ValueError) as error:
            raise LimiterUnavailableError(f"Limits cannot be counted: {error}") from error
        try:
            if self._owed:
                self._pay(table)
            now = self._clock()
            if now >= table.next_look:
                table.look(now)
            return table.take(charges, now)
        finally:
            table.leave()

    def settle(self, taken: Any, tokens: int, /) -> None:
        """Correct what was taken to what was used; a little later, where the table is locked."""
        table = self._table
        if self._owed or table is None or table.lost or not table.enter():
            self._owed.append((taken, tokens))
            self._pay_or_retry()
            return
        try:
            table.settle(taken, tokens, self._clock())
        finally:
            table.leave()

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        """Open the file, unless it is locked for long; close it when the last user leaves."""
        with suppress(LimiterUnavailableError):
            (await self._wait()).leave()
        self._users += 1
        try:
            yield
        finally:
            self._users -= 1
            if self._users == 0:
                await self._finish()

    def _enter(self, tries: int) -> Table | None:
        """Return the table, locked for us; None if somebody else has it locked."""
        if self._table is not None and self._table.lost:
            self._close()
        if self._table is None:
            self._table = open_table(self._path, self._sizes)
            if self._table is None:
                return None
        for _ in range(tries):
            if self._table.enter():
                return self._table
            os.sched_yield()
        return None

    async def _wait(self) -> Table:
        """Return the table when it is locked for us, or raise LimiterBusyError."""
        loop = asyncio.get_running_loop()
        end = loop.time() + PATIENCE
        tries = 0
        self._waiting += 1
        try:
            while True:
                table = self._enter(1)
                if table is not None:
                    return table
                tries += 1
                if tries >= _LEAST and loop.time() >= end:
                    raise LimiterBusyError(
                        f"The file that workers share stays locked for {PATIENCE * 1000:g} ms."
                    )
                await asyncio.sleep(_STEP)
        finally:
            self._waiting -= 1

    def _pay(self, table: Table) -> None:
        """Settle what is owed, oldest first, so much that it does not take long."""
        for _ in range(min(len(self._owed), _AT_ONCE)):
            taken, tokens = self._owed.popleft()
            table.settle(taken, tokens, self._clock())

    def _pay_or_retry(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        try:
            table = self._enter(1 if len(self._owed) > 1 else _TRIES)
        except (OSError, ValueError) as error:
            logger.warning("%d calls cannot be settled yet: %s", len(self._owed), error)
            table = None
        if table is not None:
            try:
                self._pay(table)
            finally:
                table.leave()
        if self._owed:
            self._retry()

    def _retry(self) -> None:
        """Try again soon, unless there is no loop to do it: then whoever comes next does."""
        with suppress(RuntimeError):
            self._timer = asyncio.get_running_loop().call_later(_AGAIN, self._pay_or_retry)

    async def _finish(self) -> None:
        """Settle what is owed, if the table can be had, and close it."""
        try:
            while self._owed:
                table = await self._wait()
                try:
                    self._pay(table)
                finally:
                    table.leave()
        except (OSError, ValueError, LimiterUnavailableError) as error:
            logger.warning("%d calls are left unsettled: %s", len(self._owed), error)
        finally:
            self._abandon()

    def _close(self) -> None:
        if self._table is not None:
            self._table.close()
            self._table = None

    def _abandon(self) -> None:
        """Close the file and forget what is owed: in a forked child, that is for its parent."""
        self._owed.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._waiting = 0
        self._close()


def _in_forked_children(method: Callable[[], None]) -> None:
    """Have a method called in each child that is forked, as long as its object lives."""
    weak = WeakMethod(method)

    def call() -> None:
        alive = weak()
        if alive is not None:
            alive()

    os.register_at_fork(after_in_child=call)
