"""The ledger's contract."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

import msgspec

from veneer.ledger.entry import Account, Entry, Exhausted, Hold, Settlement


class LedgerUnavailableError(Exception):
    """The ledger does not answer, or can take no more; the text is for the operator's log."""


class Balance(msgspec.Struct, frozen=True):
    """What is spent and held on an account, in picodollars."""

    account: Account
    spent: int
    held: int


class Ledger(Protocol):
    """Keeps a row for every call, and the sums that budgets are judged by.

    At every admission, over all processes on one ledger: spent + held + what is held anew is at
    most the limit, on every account that has one. A hold that is admitted is committed when `hold`
    returns. Rows belong to a process for as long as that shows that it lives; what a dead one left
    open is closed as `abandoned` by any other, and frees what it held.
    """

    async def hold(self, hold: Hold, /) -> Exhausted | None:
        """Open a row and hold its amount on its accounts, or return the first that is exhausted.

        Nothing is written then. Raises `LedgerUnavailableError` within a bounded time. What is
        written though it was raised, or though the caller was cancelled, the ledger itself closes
        as `released`. Raises ValueError for an amount or an id that cannot be, and for a call that
        has a row.
        """
        ...

    async def settle(self, settlement: Settlement, /) -> None:
        """Close a row once, in place of its hold; a row that is closed already stays as it is.

        Only `abandoned`, which is a guess, gives way to what its process knows. A call without a
        row gets one of `settlement.hold`; without that there is nothing to close.

        It is in the queue at once, also where the caller is cancelled, and never dropped: while the
        ledger is away it is tried again until it is in. Where the queue is full, the caller waits
        for room. Raises ValueError for an amount or a state that cannot be.
        """
        ...

    async def balances(self, accounts: Sequence[Account], /) -> list[Balance]:
        """Tell how accounts stand; raises as `hold` does."""
        ...

    async def find(self, call: str, /) -> Entry | None:
        """Return the row of a call; raises as `hold` does."""
        ...

    def lifespan(self) -> AbstractAsyncContextManager[object]:
        """Return the context in which it can be used; leaving it waits until all is settled.

        That is bounded: what is not in by then is logged. What this process still holds is closed
        as `abandoned`.
        """
        ...
