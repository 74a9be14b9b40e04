"""Who is admitted, and what a settlement moves: the arithmetic that all ledgers share.

Nothing here waits or writes. A ledger reads the totals of the accounts that a batch needs, lets
everything happen here, one after the other, and writes what has changed.
"""

from collections.abc import Hashable, Sequence
from typing import Generic, TypeVar

import msgspec

from veneer.ledger.entry import Account, Exhausted, State

K = TypeVar("K", bound=Hashable)


class Totals(msgspec.Struct):
    """What is spent and held on an account, in picodollars."""

    spent: int = 0
    held: int = 0


class Row(msgspec.Struct, Generic[K]):
    """What counts of a row: its state, what it holds, what it cost, and its accounts, each once."""

    state: State
    amount: int
    total: int
    accounts: tuple[K, ...]


class Judge(Generic[K]):
    """Decides one after the other, on the totals of accounts, which change as it goes.

    `totals` has all accounts that are asked for. `changed` are those that are to be written.
    """

    def __init__(self, totals: dict[K, Totals]) -> None:
        self.totals = totals
        self.changed: set[K] = set()

    def admit(
        self, row: Row[K], accounts: Sequence[Account], keys: Sequence[K]
    ) -> Exhausted | None:
        """Hold a row's amount on all of its accounts, or on none: return the first without room.

        `keys` are those of `accounts`, in their order.
        """
        amount = row.amount
        for account, key in zip(accounts, keys, strict=True):
            limit = account.limit
            if limit is not None:
                totals = self.totals[key]
                if totals.spent + totals.held + amount > limit:
                    return Exhausted(account, totals.spent, totals.held)
        self.hold(row)
        return None

    def hold(self, row: Row[K]) -> None:
        """Hold a row's amount, whether there is room or not."""
        row.state = "held"
        self._move(row.accounts, held=row.amount, spent=0)

    def close(self, row: Row[K], state: State, total: int) -> bool:
        """Put what was spent in place of what was held; False for a row that is closed.

        What is `abandoned` is a guess, to which only what is known is preferred.
        """
        if row.state == "held":
            self._move(row.accounts, held=-row.amount, spent=total)
        elif row.state == "abandoned" and state != "abandoned":
            self._move(row.accounts, held=0, spent=total - row.total)
        else:
            return False
        row.state, row.total = state, total
        return True

    def _move(self, keys: tuple[K, ...], *, held: int, spent: int) -> None:
        for key in keys:
            totals = self.totals[key]
            totals.held += held
            totals.spent += spent
        self.changed.update(keys)
