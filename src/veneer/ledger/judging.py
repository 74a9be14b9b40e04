"""Who is admitted, and what a settlement moves: the arithmetic that all ledgers share.

Nothing here waits or writes. A ledger reads the totals of the accounts that a batch needs, lets
everything happen here, one after the other, and writes what has changed.
"""

from collections.abc import Hashable, Mapping, Sequence
from types import MappingProxyType
from typing import Generic, TypeVar

import msgspec

from veneer.ledger.entry import Account, Balance, Exhausted, Moved, State

K = TypeVar("K", bound=Hashable)


# Limits that operators have set, by budget and partition; None refuses nothing.
Limits = Mapping[tuple[str, tuple[str, ...]], int | None]

NO_LIMITS: Limits = MappingProxyType({})


class Totals(msgspec.Struct, gc=False):
    """What is spent and held on an account, in picodollars."""

    spent: int = 0
    held: int = 0


class Row(msgspec.Struct, Generic[K], gc=False):
    """What counts of a row: its state, what it holds, what it cost, and its accounts, each once.

    `watched` are those of its accounts whose movements are to be told, by their keys.
    """

    state: State
    amount: int
    total: int
    accounts: tuple[K, ...]
    watched: Mapping[K, Account] = MappingProxyType({})


class Judge(Generic[K]):
    """Decides one after the other, on the totals of accounts, which change as it goes.

    `totals` has all accounts that are asked for; `limits` are those that operators have set;
    `watching` is whether anybody is told what accounts are moved by. `changed` are the accounts
    that are to be written, `moved` what is to be told of them.
    """

    def __init__(
        self, totals: dict[K, Totals], limits: Limits = NO_LIMITS, *, watching: bool = False
    ) -> None:
        self.totals = totals
        self.limits = limits
        self.watching = watching
        self.changed: set[K] = set()
        self.moved: list[Moved] = []

    def admit(
        self, row: Row[K], accounts: Sequence[Account], keys: Sequence[K]
    ) -> tuple[Balance, ...] | Exhausted:
        """Hold a row's amount on all of its accounts, or on none: return the first without room.

        `keys` are those of `accounts`, in their order.
        """
        amount, all_totals = row.amount, self.totals
        if self.limits:
            accounts = self._limited(accounts)
        balances = []
        for place, account in enumerate(accounts):
            totals = all_totals[keys[place]]
            spent, held, limit = totals.spent, totals.held, account.limit
            if limit is not None and spent + held + amount > limit:
                return Exhausted(account, spent, held)
            balances.append(Balance(account, spent, held + amount))
        self.hold(row, accounts, keys)
        return tuple(balances)

    def hold(self, row: Row[K], accounts: Sequence[Account], keys: Sequence[K]) -> None:
        """Hold a row's amount, whether there is room or not; `accounts` and `keys` as above."""
        row.state = "held"
        if self.watching:
            row.watched = {
                key: account
                for account, key in zip(self._limited(accounts), keys, strict=True)
                if account.limit is not None
            }
        amount, all_totals = row.amount, self.totals
        for key in row.accounts:
            all_totals[key].held += amount
        self.changed.update(row.accounts)

    def close(self, row: Row[K], state: State, total: int) -> bool:
        """Put what was spent in place of what was held; False for a row that is closed.

        What is `abandoned` is a guess, to which only what is known is preferred.
        """
        if row.state == "held":
            self._move(row, -row.amount, total)
        elif row.state == "abandoned" and state != "abandoned":
            self._move(row, 0, total - row.total)
        else:
            return False
        row.state, row.total = state, total
        return True

    def _limited(self, accounts: Sequence[Account]) -> Sequence[Account]:
        if not self.limits:
            return accounts
        return [limited(account, self.limits) for account in accounts]

    def _move(self, row: Row[K], held: int, spent: int) -> None:
        all_totals = self.totals
        for key in row.accounts:
            totals = all_totals[key]
            totals.held += held
            totals.spent += spent
        if spent and row.watched:
            for key, account in row.watched.items():
                after = self.totals[key].spent
                self.moved.append(Moved(limited(account, self.limits), after - spent, after))
        self.changed.update(row.accounts)


def limited(account: Account, limits: Limits) -> Account:
    """Return an account with the limit that counts: an operator's, if there is one."""
    limit = limits.get((account.budget, account.partition), account.limit)
    if limit == account.limit:
        return account
    return msgspec.structs.replace(account, limit=limit)
