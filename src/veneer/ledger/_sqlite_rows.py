"""The rows in the file: what a batch of holds and settlements reads and writes."""

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from itertools import count
from typing import Any

import msgspec

from veneer.ledger import _sqlite_tables as tables
from veneer.ledger._ends import abandoned
from veneer.ledger._sqlite_accounts import Accounts, Resolved
from veneer.ledger._sqlite_owner import Ownership
from veneer.ledger._sqlite_row import FileRow, Found, decode_found, found_row, held_row
from veneer.ledger._wanted import Held, Settled
from veneer.ledger.columns import ended, entry, opened
from veneer.ledger.entry import Account, Balance, Entry, Exhausted, Moved
from veneer.ledger.judging import NO_LIMITS, Judge, Limits
from veneer.stores.sqlite_file import writing

# Rows of dead processes that one batch closes.
SWEPT = 256

_encode = msgspec.json.Encoder().encode


class Written(msgspec.Struct, frozen=True):
    """What a batch has come to: the answers to its holds, and what its settlements have moved."""

    answers: list[tuple[Balance, ...] | Exhausted]
    moved: list[Moved]


class Rows:
    """Reads and writes the rows, on a connection of its own.

    What this process holds is remembered, so that a settlement need not read it: nobody else closes
    it as long as our owner's row is there. `charge_abandoned` is whether what was held is charged;
    `watching` says whether anybody is told what is moved.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        owner: Ownership,
        *,
        charge_abandoned: bool,
        watching: Callable[[], bool],
        wall: Callable[[], float],
    ) -> None:
        self._connection = connection
        self._owner = owner
        self._charge_abandoned = charge_abandoned
        self._watching = watching
        self._wall = wall
        self._limits: Limits = NO_LIMITS
        self._revision = 0
        # This is another number when others have written.
        self._version = -1
        self._ids = count(1)
        self._open: dict[str, FileRow] = {}
        self._accounts = Accounts(connection)
        # Whether there are more rows of dead processes than one batch has closed.
        self.has_more = True

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def write(self, holds: Sequence[Held], settlements: Sequence[Settled]) -> Written:
        """Write settlements, then decide on holds in their order; all or nothing.

        Raises what SQLite raises; `IntegrityError` says that a call has a row already.
        """
        committed = False
        try:
            with writing(self._connection):
                written = self._write(holds, settlements)
            committed = True
        finally:
            if not committed:
                # What is remembered is of what was not written.
                self._forget()
        return written

    def existing(self, calls: Iterable[str]) -> set[str]:
        """Return those of the calls that have a row."""
        return {found[0] for found in self._found(tables.FIND_ROWS, _encode(list(calls)).decode())}

    def balances(self, accounts: Sequence[Account]) -> list[Balance]:
        """Tell how accounts stand."""
        return self._accounts.balances(accounts)

    def find(self, call: str) -> Entry | None:
        """Return the row of a call."""
        row = self._connection.execute(tables.FIND_ENTRY, (call,)).fetchone()
        if row is None:
            return None
        return entry(row[1:], self._accounts.named(row[0]))

    def resign(self) -> bool:
        """Give up what this process holds; return whether there is more than was done at once."""
        with writing(self._connection):
            self._owner.resign(self._connection)
            self._accounts.forget_totals()
            judge: Judge[int] = Judge(self._accounts.totals)
            self._sweep(judge)
            self._accounts.write(judge)
        self._forget()
        return self.has_more

    def _forget(self) -> None:
        self._version = -1
        self._open.clear()
        self._accounts.forget()
        self._owner.forget()

    def _write(self, holds: Sequence[Held], settlements: Sequence[Settled]) -> Written:
        self._look()
        accounts = self._accounts
        judge: Judge[int] = Judge(accounts.totals, self._limits, watching=self._watching())
        resolved = [accounts.resolve(hold.accounts) for hold, _ in holds]
        rows = self._rows(settlements)
        accounts.need(set[int]().union(*(each.unique for each in resolved)))
        accounts.need(set[int]().union(*(row.accounts for row in rows.values())))
        self._settle(judge, rows, settlements)
        # After that: none of those is left.
        if self._owner.bury(self._connection) or self.has_more:
            self._sweep(judge)
        answers = self._admit(judge, holds, resolved)
        accounts.write(judge)
        return Written(answers, judge.moved)

    def _look(self) -> None:
        """See what others have written, if they have, and show that we live."""
        version = self._connection.execute("PRAGMA data_version").fetchone()[0]
        known = version == self._version or self._refresh()
        self._version = version
        self._owner.renew(self._connection, known=known)

    def _refresh(self) -> bool:
        """Forget what others may have changed; return whether our owner's row is there."""
        self._accounts.forget_totals()
        known, last, revision = self._connection.execute(
            "SELECT EXISTS (SELECT 1 FROM owners WHERE id = ? AND token = ?), "
            "(SELECT max(id) FROM entries), (SELECT limits FROM revision)",
            (self._owner.id, self._owner.token),
        ).fetchone()
        self._ids = count((last or 0) + 1)
        if revision != self._revision:
            self._limits, self._revision = self._accounts.limits(), revision
        if not known:
            # Others may have closed what we hold.
            self._open.clear()
        return bool(known)

    def _rows(self, settlements: Sequence[Settled]) -> dict[str, FileRow]:
        """Return the rows of settlements, for those that have one."""
        known = self._open
        rows: dict[str, FileRow] = {}
        unknown = []
        for settlement, _ in settlements:
            row = known.get(settlement.call)
            if row is None:
                unknown.append(settlement.call)
            else:
                rows[settlement.call] = row
        if unknown:
            for found in self._found(tables.FIND_ROWS, _encode(unknown).decode()):
                rows[found[0]] = found_row(found)
        return rows

    def _settle(
        self,
        judge: Judge[int],
        rows: dict[str, FileRow],
        settlements: Sequence[Settled],
    ) -> None:
        written: list[tuple[object, ...]] = []
        made: list[tuple[object, ...]] = []
        for settlement, columns in settlements:
            row = rows.get(settlement.call)
            if row is None:
                if settlement.hold is None:
                    continue
                hold = settlement.hold
                accounts = self._accounts.resolve(hold.accounts)
                self._accounts.need(set(accounts.unique))
                row = held_row(hold, accounts, next(self._ids))
                judge.hold(row, hold.accounts, accounts.keys)
                rows[settlement.call] = row
                made.append(self._inserted(row, accounts, opened(hold)))
            if judge.close(row, settlement.state, settlement.total):
                written.append((row.id, settlement.call, *columns))
            self._open.pop(settlement.call, None)
        tables.INSERT_ENTRIES.run(self._connection, made)
        tables.CLOSE_ENTRIES.run(self._connection, written)

    def _admit(
        self,
        judge: Judge[int],
        holds: Sequence[Held],
        resolved: Sequence[Resolved],
    ) -> list[tuple[Balance, ...] | Exhausted]:
        answers: list[tuple[Balance, ...] | Exhausted] = []
        written = []
        for (hold, columns), accounts in zip(holds, resolved, strict=True):
            row = held_row(hold, accounts, 0)
            answer = judge.admit(row, hold.accounts, accounts.keys)
            answers.append(answer)
            if isinstance(answer, tuple):
                row.id = next(self._ids)
                self._open[hold.call] = row
                written.append(self._inserted(row, accounts, columns))
        tables.INSERT_ENTRIES.run(self._connection, written)
        return answers

    def _inserted(
        self, row: FileRow, accounts: Resolved, columns: tuple[object, ...]
    ) -> tuple[object, ...]:
        return (row.id, self._owner.id, accounts.text, *columns)

    def _sweep(self, judge: Judge[int]) -> None:
        """Close some of the rows whose owner is over."""
        found = self._found(tables.FIND_LEFT, SWEPT)
        rows = [found_row(each) for each in found]
        self._accounts.need({key for row in rows for key in row.accounts})
        written = []
        for (call, *_), row in zip(found, rows, strict=True):
            total = row.amount if self._charge_abandoned else 0
            judge.close(row, "abandoned", total)
            written.append((row.id, call, *ended(abandoned(call, self._wall(), total))))
        tables.CLOSE_ENTRIES.run(self._connection, written)
        self.has_more = len(found) == SWEPT

    def _found(self, statement: str, asked: Any) -> list[Found]:
        return decode_found(self._connection.execute(statement, (asked,)).fetchone()[0])
