"""The ledger in PostgreSQL: for many processes on many machines."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from time import monotonic, time
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from veneer.ledger._crowd import Crowd
from veneer.ledger._options import (
    DEFAULT_DRAIN,
    DEFAULT_LEASE,
    DEFAULT_TIMEOUT,
    MAX_UNSETTLED,
    check_seconds,
)
from veneer.ledger._postgresql_owner import Ownership
from veneer.ledger._postgresql_rows import Rows
from veneer.ledger._postgresql_sweep import Sweep
from veneer.ledger._postgresql_writer import Writer
from veneer.ledger._wanted import Wanted
from veneer.ledger.columns import is_id, opened, settled
from veneer.ledger.entry import Account, Balance, Entry, Exhausted, Hold, Moved, Settlement
from veneer.ledger.ledger import LedgerUnavailableError, Watcher
from veneer.stores.opening import open_database

logger = logging.getLogger("veneer.ledger")


class PostgresqlLedger:
    """Keeps rows in the database at `url`, which any number of processes may share.

    Its tables, whose names begin with `veneer_`, are made when it is first used where there are
    none. Any pooler may be in between. What comes up at the same time is one transaction, which
    locks the accounts that it needs.

    What a process holds is its own until it shows no life for `lease` seconds (default 30; twice
    that passes at the most); then any other closes it as `abandoned`, without charge, or with what
    was held where `charge_abandoned` is set. Nothing of that goes by the time of day.

    `hold`, `balances` and `find` raise `LedgerUnavailableError` after `timeout` seconds (default
    2), sooner where the server can be known to be away, and `hold` where 10,000 settlements wait.
    Leaving the lifespan waits for those up to `drain` seconds (default 10).

    All work on the database is done in one task, which starts with the lifespan or the first call
    and ends with the lifespan, or its event loop. One instance is for one event loop at a time; it
    may be forked. `clock` gives the seconds of this process, `wall` those since the epoch. Raises
    ValueError for a URL that cannot be, and for numbers that cannot be.
    """

    def __init__(  # noqa: PLR0913 - each has its name and a default
        self,
        url: str,
        *,
        lease: float = DEFAULT_LEASE,
        timeout: float = DEFAULT_TIMEOUT,
        drain: float = DEFAULT_DRAIN,
        charge_abandoned: bool = False,
        clock: Callable[[], float] = monotonic,
        wall: Callable[[], float] = time,
    ) -> None:
        check_seconds(lease=lease, timeout=timeout, drain=drain)
        self._opening = partial(open_database, url, timeout=timeout)
        # Only to see that it can be: connections are of one process and one event loop.
        self._opening()
        self._timeout = timeout
        self._drain = drain
        self._ownership = partial(Ownership, lease, clock=clock, wall=wall)
        self._rows = partial(Rows, watching=lambda: bool(self._watchers))
        self._sweep = partial(Sweep, charges=charge_abandoned, wall=wall)
        self._watchers: list[Watcher] = []
        self._writer: Writer | None = None
        self._crowd = Crowd()
        self._users = 0

    async def hold(self, hold: Hold, /) -> tuple[Balance, ...] | Exhausted:
        """Open a row and hold its amount; see `Ledger`."""
        columns = opened(hold)
        writer = self._running()
        if writer.queue.left >= MAX_UNSETTLED:
            raise LedgerUnavailableError(f"{writer.queue.left} settlements wait for the ledger")
        wanted = Wanted(asyncio.get_running_loop().create_future(), (hold, columns))
        try:
            answer: tuple[Balance, ...] | Exhausted = await self._told(writer, wanted)
        except asyncio.CancelledError:
            if wanted.was_admitted:
                writer.queue.release(hold)
            raise
        return answer

    async def settle(self, settlement: Settlement, /) -> None:
        """Close a row once; see `Ledger`."""
        columns = settled(settlement)
        if columns is None:
            return
        writer = self._running()
        writer.queue.settle(settlement, columns)
        if writer.queue.left > MAX_UNSETTLED:
            await self._crowd.wait()

    def watch(self, watcher: Watcher, /) -> None:
        """Have settlements told; see `Ledger`."""
        self._watchers.append(watcher)

    async def balances(self, accounts: Sequence[Account], /) -> list[Balance]:
        """Tell how accounts stand."""
        found: list[Balance] = await self._ask(
            lambda rows, connection: rows.balances(connection, accounts)
        )
        return found

    async def find(self, call: str, /) -> Entry | None:
        """Return the row of a call."""
        if not is_id(call):
            return None
        found: Entry | None = await self._ask(lambda rows, connection: rows.find(connection, call))
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
        # Started anew where its loop has ended before it could finish.
        writer, self._writer = self._running(), None
        await writer.stop(self._drain, self._timeout)
        self._crowd.let_in()
        if writer.queue.left:
            logger.error("%d settlements are not in the ledger in PostgreSQL", writer.queue.left)

    async def _ask(self, ask: Callable[[Rows, AsyncConnection], Awaitable[Any]]) -> Any:
        writer = self._running()
        return await self._told(
            writer, Wanted(asyncio.get_running_loop().create_future(), None, ask)
        )

    async def _told(self, writer: Writer, wanted: Wanted) -> Any:
        """Return what somebody is told within the time that it waits."""
        future = wanted.future
        writer.queue.want(wanted)
        timer = future.get_loop().call_later(self._timeout, self._expire, future)
        try:
            return await future
        finally:
            timer.cancel()

    def _expire(self, future: asyncio.Future[Any]) -> None:
        if not future.done():
            reason = f"the ledger's database has not answered within {self._timeout:g} s"
            future.set_exception(LedgerUnavailableError(reason))

    def _running(self) -> Writer:
        writer = self._writer
        if writer is None or not writer.is_ours:
            owner = self._ownership()
            rows, sweep = self._rows(owner), self._sweep(owner)
            writer = self._writer = Writer(self._opening, rows, sweep, self._written)
        elif not writer.runs:
            writer.start()
        return writer

    def _written(self, moved: Sequence[Moved]) -> None:
        if moved:
            for watcher in self._watchers:
                watcher(moved)
        if self._crowd and self._writer is not None and self._writer.queue.left <= MAX_UNSETTLED:
            self._crowd.let_in()
