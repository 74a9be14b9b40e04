"""Where the money is held and settled, also while the ledger is away."""

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Awaitable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from time import time
from types import CoroutineType
from typing import TYPE_CHECKING, Literal

import msgspec

from veneer.begun import Begun
from veneer.ledger.entry import Balance, Exhausted, Hold, Settlement
from veneer.ledger.ledger import Ledger, LedgerUnavailableError
from veneer.ledger.memory import MemoryLedger
from veneer.wire.ids import RANDOM_LENGTH, ulid

if TYPE_CHECKING:
    from veneer.ledger.spool import Spool

logger = logging.getLogger("veneer.cost")

# Seconds that the end of a call waits for room in the ledger's queue.
PATIENCE = 1.0

# Bytes that may wait in the spool of each process.
MAX_SPOOL = 64 * 1024 * 1024

OnFailure = Literal["closed", "open"]


class Held(msgspec.Struct, frozen=True, gc=False):
    """A call that may be made: what is held for it, and whether that is in the ledger.

    `balances` are how its accounts stand then.
    """

    hold: Hold
    written: bool
    balances: tuple[Balance, ...] = ()


class Till:
    """Holds and settles, in `ledger`.

    While that is away, `on_failure` decides: `closed` makes no call; `open` makes it without a
    hold, whatever the budgets say, and its row is made when it is settled. Then only one at a time
    waits for the ledger's answer.

    With a folder `spool`, that waits there, as does what all other calls come to as long as the
    ledger is away; where there is no room, for a process' file has `max_spool` bytes or the disk
    fails, no further call is made. Without one, the ledger's queue keeps it, which is bounded: when
    it is full, calls wait a second for room at their end, and until there is some, no further one
    is made.
    """

    def __init__(
        self,
        ledger: Ledger,
        *,
        on_failure: OnFailure,
        spool: str | os.PathLike[str] | None = None,
        max_spool: int = MAX_SPOOL,
    ) -> None:
        if on_failure not in ("closed", "open"):
            raise ValueError(f"on_failure is {on_failure!r}: say 'closed' or 'open'.")
        self._ledger = ledger
        self._spool = None if spool is None else _open_spool(spool, ledger, max_spool)
        self._open = on_failure == "open"
        self._away = self._trying = False
        self._full = False
        self._is_crowded = False

    def lifespan(self) -> AbstractAsyncContextManager[object]:
        """Return the context in which it can be used."""
        return self._ledger.lifespan() if self._spool is None else self._lifespan(self._spool)

    @asynccontextmanager
    async def _lifespan(self, spool: "Spool") -> AsyncIterator[None]:
        async with self._ledger.lifespan(), spool.lifespan():
            yield

    async def hold(self, hold: Hold) -> Held | Exhausted:
        """Hold the amount; raises `LedgerUnavailableError` where the call is not to be made."""
        if self._away and self._trying:
            return self._outside(hold, LedgerUnavailableError("it is away, and somebody tries"))
        # Where calls are made all the same, one at a time waits for an answer.
        trial = self._trying = self._away and self._open
        try:
            answer = await self._ledger.hold(hold)
        except LedgerUnavailableError as error:
            if not self._away:
                self._away = True
                made = "are made all the same" if self._open else "are not made"
                logger.error("the ledger is away, calls %s: %s", made, error)  # noqa: TRY400 - the reason is all there is to say
            return self._outside(hold, error)
        finally:
            if trial:
                self._trying = False
        if self._away:
            self._away = False
            if self._spool is not None:
                self._spool.is_back()
        return Held(hold, True, answer) if isinstance(answer, tuple) else answer  # noqa: FBT003 - one for each call

    def settle(self, held: Held, settlement: Settlement) -> Awaitable[None] | None:
        """Settle; it is in a queue at once, so that a cancellation loses nothing.

        What is returned is to be awaited: for room, or for a disk.
        """
        if settlement.total > held.hold.amount:
            logger.warning(
                "the call %s cost %d picodollars more than were held for it",
                settlement.call,
                settlement.total - held.hold.amount,
            )
        if self._spool is not None and (self._away or not held.written):
            return self._spool.append(msgspec.structs.replace(settlement, hold=held.hold))
        return self._write(settlement)

    def note(self, row: Settlement) -> Awaitable[None] | None:
        """Write a row that nothing was held for, and which has its `hold`; as `settle` does."""
        if self._spool is not None and self._away:
            return self._spool.append(row)
        return self._write(row)

    def _write(self, settlement: Settlement) -> Awaitable[None] | None:
        rest: Awaitable[None] = self._ledger.settle(settlement)
        # A timer costs more than all the rest of it, and hardly ever is there anything to wait for.
        if isinstance(rest, CoroutineType):
            try:
                waits_for = rest.send(None)
            except StopIteration:
                self._full = False
                return None
            rest = Begun(rest, waits_for)
        return self._patiently(rest)

    async def _patiently(self, settling: Awaitable[None]) -> None:
        try:
            async with asyncio.timeout(PATIENCE):
                await settling
        except TimeoutError:
            self._full = True
        else:
            self._full = False

    def _outside(self, hold: Hold, error: LedgerUnavailableError) -> Held:
        """Have a call made without the ledger, or raise the error."""
        if not self._open or not self._has_room():
            raise error
        # What was to be written may still be, and is closed as released: this is another row.
        return Held(msgspec.structs.replace(hold, call=call_id()), written=False)

    def _has_room(self) -> bool:
        """Whether what a call comes to can wait until the ledger is back."""
        if self._spool is None:
            return not self._full
        if self._spool.has_room:
            self._is_crowded = False
            return True
        if not self._is_crowded:
            self._is_crowded = True
            logger.error("nothing more can wait for the ledger: calls are not made")
        return False


def _open_spool(folder: str | os.PathLike[str], ledger: Ledger, max_bytes: int) -> "Spool":
    if isinstance(ledger, MemoryLedger):
        raise ValueError(  # noqa: TRY004 - what is wrong is a setting
            "spool: a ledger in memory is never away, and ends with the process: leave it out, or "
            "give a ledger that lasts."
        )
    from veneer.ledger.spool import Spool  # noqa: PLC0415 - locks files as not all systems do

    return Spool(folder, ledger, max_bytes=max_bytes)


def call_id() -> str:
    """Return a new id of a call."""
    return "call_" + ulid(int(time() * 1000), os.urandom(RANDOM_LENGTH))
