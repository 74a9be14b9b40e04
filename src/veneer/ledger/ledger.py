"""The ledger's contract."""

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from veneer.ledger.entry import Account, Balance, Entry, Exhausted, Hold, Moved, Settlement

Watcher = Callable[[Sequence[Moved]], None]


class LedgerUnavailableError(Exception):
    """The ledger does not answer, or can take no more; the text is for the operator's log."""


class Ledger(Protocol):
    """Keeps a row for every call, and the sums that budgets are judged by.

    At every admission, over all processes on one ledger: spent + held + what is held anew is at
    most the limit, on every account that has one: an operator's (`Limit`), or else the one that the
    hold brings. A hold that is admitted is committed when `hold` returns. Rows belong to a process
    for as long as that shows that it lives; what a dead one left open is closed as `abandoned` by
    any other, and frees what it held.
    """

    async def hold(self, hold: Hold, /) -> tuple[Balance, ...] | Exhausted:
        """Open a row and hold its amount on its accounts; return how these stand, in their order.

        Or return the first that is exhausted: nothing is written then. Raises
        `LedgerUnavailableError` within a bounded time. What is written though it was raised, or
        though the caller was cancelled, the ledger itself closes as `released`. Raises ValueError
        for an amount or an id that cannot be, and for a call that has a row.
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

    def watch(self, watcher: Watcher, /) -> None:
        """Have settlements of this process told to `watcher`, in the loop, when they are in.

        It is told of each account that had a limit when the call was held, and on which the call
        has cost something: of each settlement once over all processes, and of those on one account
        in their order, so that what it was before and after leaves no gap. What others have closed
        as `abandoned` is told to nobody. It returns at once, and raises nothing.
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
