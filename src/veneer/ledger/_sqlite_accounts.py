"""The accounts in the file: their ids, and their totals."""

import sqlite3
from collections.abc import Sequence

import msgspec

from veneer.ledger import _sqlite_tables as tables
from veneer.ledger.entry import Account, Balance
from veneer.ledger.judging import Judge, Limits, Totals, limited
from veneer.ledger.naming import clean, read, written

# Holds' accounts whose ids are remembered, and accounts whose totals are.
_REMEMBERED = 10_000

_encode = msgspec.json.Encoder().encode
_decode_totals = msgspec.json.Decoder(list[tuple[int, str, str]]).decode


class Resolved(msgspec.Struct, frozen=True):
    """The ids of a hold's accounts, in their order; each once; and as they are written."""

    keys: tuple[int, ...]
    unique: tuple[int, ...]
    text: str


class Accounts:
    """Reads and writes accounts, whose ids never change."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._resolved: dict[tuple[Account, ...], Resolved] = {}
        # Of accounts that were needed. A judge changes them, `write` writes what it has changed.
        self.totals: dict[int, Totals] = {}

    def resolve(self, accounts: tuple[Account, ...]) -> Resolved:
        """Return the ids of accounts, which are made where they are new."""
        known = self._resolved.get(accounts)
        if known is None:
            keys = tuple(self._find(account) or self._make(account) for account in accounts)
            unique = tuple(dict.fromkeys(keys))
            known = Resolved(keys, unique, _encode(unique).decode())
            if len(self._resolved) >= _REMEMBERED:
                self._resolved.clear()
            self._resolved[accounts] = known
        return known

    def forget(self) -> None:
        """Forget ids that may not have been committed, and totals."""
        self._resolved.clear()
        self.forget_totals()

    def forget_totals(self) -> None:
        """Forget totals, which others may have changed."""
        self.totals.clear()

    def need(self, keys: set[int]) -> None:
        """Have the totals of accounts, by their ids."""
        missing = keys - self.totals.keys()
        if missing:
            self.totals |= self._read(missing)

    def _read(self, asked: set[int]) -> dict[int, Totals]:
        values = (_encode(asked).decode(),)
        found = self._connection.execute(tables.FIND_TOTALS, values).fetchone()[0]
        totals = {key: Totals(int(spent), int(held)) for key, spent, held in _decode_totals(found)}
        if len(totals) < len(asked):
            # Somebody has removed accounts that rows are on.
            totals = {key: Totals() for key in asked} | totals
        return totals

    def limits(self) -> Limits:
        """Return the limits that operators have set."""
        found = self._connection.execute(tables.FIND_LIMITS)
        return {
            (budget, read(partition)): None if amount is None else int(amount)
            for budget, partition, amount in found.fetchall()
        }

    def write(self, judge: Judge[int]) -> None:
        """Write what a judge has changed, each account once."""
        totals = self.totals
        tables.UPDATE_ACCOUNTS.run(
            self._connection,
            [(key, str(totals[key].spent), str(totals[key].held)) for key in judge.changed],
        )
        if len(totals) >= _REMEMBERED:
            totals.clear()

    def balances(self, accounts: Sequence[Account]) -> list[Balance]:
        """Tell how accounts stand."""
        keys = [self._find(account) or 0 for account in accounts]
        totals, limits = self._read(set(keys)), self.limits()
        return [
            Balance(limited(account, limits), totals[key].spent, totals[key].held)
            for account, key in zip(accounts, keys, strict=True)
        ]

    def named(self, keys: str) -> tuple[Account, ...]:
        """Return the accounts of a row, which has their ids as JSON."""
        found = self._connection.execute(tables.FIND_ACCOUNTS, (keys,))
        return tuple(
            Account(budget, read(partition), starts, ends, None)
            for budget, partition, starts, ends in found.fetchall()
        )

    def _find(self, account: Account) -> int | None:
        found = self._connection.execute(tables.FIND_ACCOUNT, _key(account)).fetchone()
        return found[0] if found else None

    def _make(self, account: Account) -> int:
        values = (*_key(account), account.ends)
        return self._connection.execute(tables.MAKE_ACCOUNT, values).lastrowid or 0


def _key(account: Account) -> tuple[str, str, int]:
    return (clean(account.budget), written(account.partition), account.starts)
