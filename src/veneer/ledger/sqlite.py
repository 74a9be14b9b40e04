"""The ledger in an SQLite file: for the workers of one machine, and over restarts."""

import asyncio
import logging
import os
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path
from time import monotonic, time
from typing import Any

from veneer.ledger._crowd import Crowd
from veneer.ledger._ends import released
from veneer.ledger._options import (
    DEFAULT_DRAIN,
    DEFAULT_LEASE,
    DEFAULT_TIMEOUT,
    MAX_UNSETTLED,
    check_seconds,
)
from veneer.ledger._sqlite_group import Group
from veneer.ledger._sqlite_owner import Ownership
from veneer.ledger._sqlite_rows import Rows
from veneer.ledger._sqlite_tables import FORMAT
from veneer.ledger._sqlite_writer import Writer
from veneer.ledger._wanted import Answer, Wanted
from veneer.ledger.columns import closed, is_id, opened, settled
from veneer.ledger.entry import Account, Balance, Entry, Exhausted, Hold, Moved, Settlement
from veneer.ledger.ledger import LedgerUnavailableError, Watcher
from veneer.stores.sqlite_file import absolute, open_file

logger = logging.getLogger("veneer.ledger")


class SqliteLedger:
    """Keeps rows in the file at `path`, which all processes of this machine may share.

    It is made when it is first used where there is none, for its owner only; SQLite puts two more
    beside it. It is not for network file systems, and for nothing else: a file with other tables
    is refused. What is committed survives the death of every process; a power cut may take the last
    of it.

    What a process holds is its own until it shows no life for `lease` seconds (default 30; twice
    that passes at the most); then any other closes it as `abandoned`, without charge, or with what
    was held where `charge_abandoned` is set. Nothing of that goes by the time of day.

    `hold`, `balances` and `find` raise `LedgerUnavailableError` after `timeout` seconds (default
    2), at once for a file that is damaged, of something else or of a newer version and for a full
    disk, and `hold` where 10,000 settlements wait. Leaving the lifespan waits for those up to
    `drain` seconds (default 10).

    All work on the file is done in one thread, which starts with the lifespan or the first call and
    ends with the lifespan. One instance is for one event loop at a time; it may be forked. `clock`
    gives the seconds of this process, `wall` those since the epoch. Raises ValueError for a path
    that no file can have, and for numbers that cannot be.
    """

    def __init__(  # noqa: PLR0913 - each has its name and a default
        self,
        path: str | os.PathLike[str],
        *,
        lease: float = DEFAULT_LEASE,
        timeout: float = DEFAULT_TIMEOUT,
        drain: float = DEFAULT_DRAIN,
        charge_abandoned: bool = False,
        clock: Callable[[], float] = monotonic,
        wall: Callable[[], float] = time,
    ) -> None:
        check_seconds(lease=lease, timeout=timeout, drain=drain)
        self._path = absolute(
            path, instead="for a ledger that lasts as long as the process, take the one in memory"
        )
        self._timeout = timeout
        self._drain = drain
        self._ownership = partial(Ownership, lease, clock=clock, wall=wall)
        self._rows = partial(
            Rows,
            charge_abandoned=charge_abandoned,
            watching=lambda: bool(self._watchers),
            wall=wall,
        )
        self._watchers: list[Watcher] = []
        self._writer: Writer | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        # What has come up in this turn of the loop; groups that somebody waits for, with a timer
        # for the first; and who waits for room.
        self._group: Group | None = None
        self._waiting: deque[Group] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._crowd = Crowd()
        self._users = 0

    async def hold(self, hold: Hold, /) -> tuple[Balance, ...] | Exhausted:
        """Open a row and hold its amount; see `Ledger`."""
        columns = opened(hold)
        group, writer = self._collected()
        if writer.left >= MAX_UNSETTLED:
            raise LedgerUnavailableError(f"{writer.left} settlements wait for the ledger's file")
        future: asyncio.Future[tuple[Balance, ...] | Exhausted] = group.loop.create_future()
        wanted = Wanted(future, (hold, columns))
        group.holds.append(wanted)
        try:
            return await future
        except asyncio.CancelledError:
            if wanted.was_admitted:
                self._give_back(hold)
            raise

    async def settle(self, settlement: Settlement, /) -> None:
        """Close a row once; see `Ledger`."""
        columns = settled(settlement)
        if columns is None:
            return
        group, writer = self._collected()
        writer.given += 1
        group.settlements.append((settlement, columns))
        if writer.left > MAX_UNSETTLED:
            await self._crowd.wait()

    def watch(self, watcher: Watcher, /) -> None:
        """Have settlements told; see `Ledger`."""
        self._watchers.append(watcher)

    async def balances(self, accounts: Sequence[Account], /) -> list[Balance]:
        """Tell how accounts stand."""
        found: list[Balance] = await self._ask(lambda rows: rows.balances(accounts))
        return found

    async def find(self, call: str, /) -> Entry | None:
        """Return the row of a call."""
        if not is_id(call):
            return None
        found: Entry | None = await self._ask(lambda rows: rows.find(call))
        return found

    def lifespan(self) -> AbstractAsyncContextManager[object]:
        """Return the context in which it can be used; see `Ledger`."""
        return self._lifespan()

    @asynccontextmanager
    async def _lifespan(self) -> AsyncIterator[None]:
        self._users += 1
        # What dead processes have left is looked for also where there are no calls.
        self._running()
        try:
            yield
        finally:
            self._users -= 1
            if self._users == 0:
                await self._close()

    async def _close(self) -> None:
        if self._group is not None:
            self._flush(self._group)
        writer, self._writer = self._writer, None
        if writer is None or not writer.is_ours:
            return
        ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        writer.stop(self._drain, ended)
        # The thread is in nobody's way if it takes longer, for a disk that does not answer.
        await asyncio.wait((ended,), timeout=self._drain + self._timeout)
        self._crowd.let_in()
        left = ended.result() if ended.done() else writer.left
        if left:
            logger.error("%d settlements are not in the ledger %s", left, self._path)

    async def _ask(self, ask: Callable[[Rows], Any]) -> Any:
        group, _ = self._collected()
        future: asyncio.Future[Any] = group.loop.create_future()
        group.questions.append(Wanted(future, ask=ask))
        return await future

    def _running(self) -> Writer:
        if self._writer is None or not self._writer.is_ours:
            self._group = None
            owner = self._ownership()

            def opening(path: Path) -> Rows:
                return self._rows(open_file(path, FORMAT), owner)

            self._writer = Writer(self._path, opening, owner.due_in)
        return self._writer

    def _collected(self) -> tuple[Group, Writer]:
        """Return what this turn's calls go into."""
        loop = asyncio.get_running_loop()
        group, writer = self._group, self._writer
        if group is None or writer is None or group.loop is not loop:
            writer = self._running()
            if self._group is not None:
                # Its loop has ended before it could.
                writer.submit(self._group)
            if self._loop is not loop:
                # Nobody waits in the last one any more.
                self._loop, self._timer, self._crowd = loop, None, Crowd()
                self._waiting.clear()
            group = Group(loop, self._answered, loop.time() + self._timeout)
            self._group = group
            loop.call_soon(self._flush, group)
        return group, writer

    def _flush(self, group: Group) -> None:
        if group is not self._group:
            return
        self._group = None
        writer = self._running()
        writer.submit(group)
        if group.holds or group.questions:
            self._waiting.append(group)
            self._arm(group.loop)

    def _answered(self, answers: list[Answer], moved: Sequence[Moved]) -> None:
        """Pass answers on; what nobody waits for any more is given back."""
        if moved:
            for watcher in self._watchers:
                watcher(moved)
        for wanted, answer in answers:
            hold = wanted.tell(answer)
            if hold is not None:
                self._give_back(hold)
        while self._waiting and self._waiting[0].is_over:
            self._waiting.popleft()
        if self._crowd and self._writer is not None and self._writer.left <= MAX_UNSETTLED:
            self._crowd.let_in()

    def _give_back(self, hold: Hold) -> None:
        end = released(hold)
        group, writer = self._collected()
        writer.given += 1
        group.settlements.append((end, closed(end)))

    def _arm(self, loop: asyncio.AbstractEventLoop) -> None:
        """See to it that the first group's time ends."""
        if self._timer is None and self._waiting:
            self._timer = loop.call_at(self._waiting[0].deadline, self._expire, loop)

    def _expire(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        now = loop.time()
        while self._waiting and self._waiting[0].deadline <= now:
            group = self._waiting.popleft()
            for wanted in group.holds + group.questions:
                if not wanted.future.done():
                    reason = f"the ledger's file has not answered within {self._timeout:g} s"
                    wanted.future.set_exception(LedgerUnavailableError(reason))
        self._arm(loop)
