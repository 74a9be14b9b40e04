"""What all ledgers do alike whose rows somebody else writes, out of a queue."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Protocol

from veneer.ledger._crowd import Crowd
from veneer.ledger._wanted import Wanted
from veneer.ledger.columns import opened, settled
from veneer.ledger.entry import Balance, Exhausted, Hold, Moved, Settlement
from veneer.ledger.ledger import LedgerUnavailableError, Watcher

logger = logging.getLogger("veneer.ledger")

# Settlements that may wait; beyond, there are no new holds.
MAX_UNSETTLED = 10_000


class Outbox(Protocol):
    """What a ledger gives to whoever writes; somebody who waits too long is told so by it."""

    @property
    def left(self) -> int:
        """How many settlements are not in."""
        ...

    def want(self, wanted: Wanted) -> None:
        """Have a hold written, or a question answered."""
        ...

    def settle(self, settlement: Settlement, columns: tuple[object, ...]) -> None:
        """Have a settlement written."""
        ...

    def release(self, hold: Hold) -> None:
        """Give back what nobody has."""
        ...


class QueuedLedger:
    """Holds and settles by an outbox, and bounds how much waits there.

    `place` is what the rows are in, for the operator. A subclass says in `_outbox` what they go
    through, which it begins to empty then, and in `_stop` how that ends; it has `_written` called
    when something is in.
    """

    def __init__(self, place: str) -> None:
        self._place = place
        self._watchers: list[Watcher] = []
        self._crowd = Crowd()
        self._users = 0

    async def hold(self, hold: Hold, /) -> tuple[Balance, ...] | Exhausted:
        """Open a row and hold its amount; see `Ledger`."""
        columns = opened(hold)
        outbox = self._outbox()
        if outbox.left >= MAX_UNSETTLED:
            raise LedgerUnavailableError(f"{outbox.left} settlements wait for {self._place}")
        wanted = Wanted(asyncio.get_running_loop().create_future(), (hold, columns))
        outbox.want(wanted)
        try:
            answer: tuple[Balance, ...] | Exhausted = await wanted.future
        except asyncio.CancelledError:
            if wanted.was_admitted:
                outbox.release(hold)
            raise
        return answer

    async def settle(self, settlement: Settlement, /) -> None:
        """Close a row once; see `Ledger`."""
        columns = settled(settlement)
        if columns is None:
            return
        outbox = self._outbox()
        outbox.settle(settlement, columns)
        if outbox.left > MAX_UNSETTLED:
            await self._crowd.wait()

    def watch(self, watcher: Watcher, /) -> None:
        """Have settlements told; see `Ledger`."""
        self._watchers.append(watcher)

    def lifespan(self) -> AbstractAsyncContextManager[object]:
        """Return the context in which it can be used; see `Ledger`."""
        return self._lifespan()

    @asynccontextmanager
    async def _lifespan(self) -> AsyncIterator[None]:
        self._users += 1
        # What dead processes have left is looked for also where there are no calls.
        self._outbox()
        try:
            yield
        finally:
            self._users -= 1
            if self._users == 0:
                await self._close()

    async def _close(self) -> None:
        left = await self._stop()
        self._crowd.let_in()
        if left:
            logger.error("%d settlements are not in %s", left, self._place)

    async def _ask(self, ask: Callable[..., Any]) -> Any:
        """Return the answer to a question about the rows; see `Wanted`."""
        wanted = Wanted(asyncio.get_running_loop().create_future(), ask=ask)
        self._outbox().want(wanted)
        return await wanted.future

    def _written(self, moved: Sequence[Moved], left: int) -> None:
        """Tell what was moved, and let in who waits if few enough settlements are left."""
        if moved:
            for watcher in self._watchers:
                watcher(moved)
        if self._crowd and left <= MAX_UNSETTLED:
            self._crowd.let_in()

    def _outbox(self) -> Outbox:
        raise NotImplementedError

    async def _stop(self) -> int:
        """Have written what was given, within a bounded time; return how many are not in then."""
        raise NotImplementedError
