"""The ledger in an SQLite file: for the workers of one machine, and over restarts."""

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path
from time import monotonic, time
from typing import Any

from veneer.ledger._crowd import Crowd
from veneer.ledger._options import (
    DEFAULT_DRAIN,
    DEFAULT_LEASE,
    DEFAULT_TIMEOUT,
    MAX_UNSETTLED,
    check_seconds,
)
from veneer.ledger._sqlite_owner import Ownership
from veneer.ledger._sqlite_rows import Rows
from veneer.ledger._sqlite_tables import FORMAT
from veneer.ledger._sqlite_turns import Turns
from veneer.ledger._sqlite_writer import Writer
from veneer.ledger._wanted import Wanted
from veneer.ledger.columns import is_id, opened, settled
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
        self._drain = drain
        self._ownership = partial(Ownership, lease, clock=clock, wall=wall)
        self._rows = partial(
            Rows,
            charge_abandoned=charge_abandoned,
            watching=lambda: bool(self._watchers),
            wall=wall,
        )
        self._watchers: list[Watcher] = []
        self._turns = Turns(self._writer, timeout=timeout, written=self._written)
        self._crowd = Crowd()
        self._users = 0

    async def hold(self, hold: Hold, /) -> tuple[Balance, ...] | Exhausted:
        """Open a row and hold its amount; see `Ledger`."""
        columns = opened(hold)
        turns = self._turns
        if turns.left >= MAX_UNSETTLED:
            raise LedgerUnavailableError(f"{turns.left} settlements wait for the ledger's file")
        wanted = Wanted(asyncio.get_running_loop().create_future(), (hold, columns))
        turns.want(wanted)
        try:
            answer: tuple[Balance, ...] | Exhausted = await wanted.future
        except asyncio.CancelledError:
            if wanted.was_admitted:
                turns.release(hold)
            raise
        return answer

    async def settle(self, settlement: Settlement, /) -> None:
        """Close a row once; see `Ledger`."""
        columns = settled(settlement)
        if columns is None:
            return
        self._turns.settle(settlement, columns)
        if self._turns.left > MAX_UNSETTLED:
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
        self._turns.start()
        try:
            yield
        finally:
            self._users -= 1
            if self._users == 0:
                await self._close()

    async def _close(self) -> None:
        left = await self._turns.stop(self._drain)
        self._crowd.let_in()
        if left:
            logger.error("%d settlements are not in the ledger %s", left, self._path)

    async def _ask(self, ask: Callable[[Rows], Any]) -> Any:
        wanted = Wanted(asyncio.get_running_loop().create_future(), ask=ask)
        self._turns.want(wanted)
        return await wanted.future

    def _writer(self) -> Writer:
        owner = self._ownership()

        def opening(path: Path) -> Rows:
            return self._rows(open_file(path, FORMAT), owner)

        return Writer(self._path, opening, owner.due_in)

    def _written(self, moved: Sequence[Moved]) -> None:
        if moved:
            for watcher in self._watchers:
                watcher(moved)
        if self._crowd and self._turns.left <= MAX_UNSETTLED:
            self._crowd.let_in()
