"""The rows in the file: what a batch of holds and settlements reads and writes."""

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from itertools import count
from typing import Any

import msgspec

from veneer.ledger import _sqlite_tables as tables
from veneer.ledger._sqlite_accounts import Accounts, Resolved
from veneer.ledger._sqlite_owner import Ownership
from veneer.ledger.columns import ended, entry, opened
from veneer.ledger.entry import Account, Balance, Entry, Exhausted, Hold, Moved, Settlement, State
from veneer.ledger.judging import NO_LIMITS, Judge, Limits, Row
from veneer.stores.sqlite_file import writing

# Rows of dead processes that one batch closes.
SWEPT = 256

_encode = msgspec.json.Encoder().encode
_Found = tuple[str, int, State, int, int, tuple[int, ...]]
_decode_rows = msgspec.json.Decoder(list[_Found]).decode

# A hold or a settlement, with the values of its columns.
Held = tuple[Hold, tuple[object, ...]]
Settled = tuple[Settlement, tuple[object, ...]]


class Written(msgspec.Struct, frozen=True):
    """What a batch has come to: the answers to its holds, and what its settlements have moved."""

    answers: list[tuple[Balance, ...] | Exhausted]
    moved: list[Moved]


class _FileRow(Row[int], kw_only=True):
    id: int


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
        self._open: dict[str, _FileRow] = {}
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
            judge: Judge[int] = Judge({})
            self._sweep(judge)
            self._accounts.write(judge)
        self._forget()
        return self.has_more

    def _forget(self) -> None:
        self._open.clear()
        self._accounts.forget()
        self._owner.forget()

    def _write(self, holds: Sequence[Held], settlements: Sequence[Settled]) -> Written:
        last = self._live()
        judge: Judge[int] = Judge({}, self._limits, watching=self._watching())
        resolved = [self._accounts.resolve(hold.accounts) for hold, _ in holds]
        rows = self._rows(settlements)
        needed = {key for accounts in resolved for key in accounts.unique}
        needed.update(key for row in rows.values() for key in row.accounts)
        judge.totals = self._accounts.totals(needed)
        ids = count(last + 1)
        self._settle(judge, rows, settlements, ids)
        # After that: none of those is left.
        if self._owner.bury(self._connection) or self.has_more:
            self._sweep(judge)
        answers = self._admit(judge, holds, resolved, ids)
        self._accounts.write(judge)
        return Written(answers, judge.moved)

    def _live(self) -> int:
        """Show that we live, and see what has changed; return the last id of a row."""
        owner = self._owner
        known, last, revision = self._connection.execute(
            "SELECT EXISTS (SELECT 1 FROM owners WHERE id = ? AND token = ?), "
            "(SELECT max(id) FROM entries), (SELECT limits FROM revision)",
            (owner.id, owner.token),
        ).fetchone()
        if revision != self._revision:
            self._limits, self._revision = self._accounts.limits(), revision
        if not known:
            # Others may have closed what we hold.
            self._open.clear()
        owner.renew(self._connection, known=bool(known))
        return last or 0

    def _rows(self, settlements: Sequence[Settled]) -> dict[str, _FileRow]:
        """Return the rows of settlements, for those that have one."""
        known = self._open
        rows: dict[str, _FileRow] = {}
        unknown = []
        for settlement, _ in settlements:
            row = known.get(settlement.call)
            if row is None:
                unknown.append(settlement.call)
            else:
                rows[settlement.call] = row
        if unknown:
            for found in self._found(tables.FIND_ROWS, _encode(unknown).decode()):
                rows[found[0]] = _found_row(found)
        return rows

    def _settle(
        self,
        judge: Judge[int],
        rows: dict[str, _FileRow],
        settlements: Sequence[Settled],
        ids: "count[int]",
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
                judge.totals |= self._accounts.totals(set(accounts.unique) - judge.totals.keys())
                row = _file_row(hold, accounts, next(ids))
                judge.hold(row, hold.accounts, accounts.keys)
                rows[settlement.call] = row
                made.append(self._inserted(row, accounts, opened(hold)))
            if judge.close(row, settlement.state, settlement.total):
                written.append((*columns, row.id))
            self._open.pop(settlement.call, None)
        tables.INSERT_ENTRIES.run(self._connection, made)
        tables.CLOSE_ENTRIES.run(self._connection, written)

    def _admit(
        self,
        judge: Judge[int],
        holds: Sequence[Held],
        resolved: Sequence[Resolved],
        ids: "count[int]",
    ) -> list[tuple[Balance, ...] | Exhausted]:
        answers: list[tuple[Balance, ...] | Exhausted] = []
        written = []
        for (hold, columns), accounts in zip(holds, resolved, strict=True):
            row = _file_row(hold, accounts, 0)
            answer = judge.admit(row, hold.accounts, accounts.keys)
            answers.append(answer)
            if not isinstance(answer, Exhausted):
                row.id = next(ids)
                self._open[hold.call] = row
                written.append(self._inserted(row, accounts, columns))
        tables.INSERT_ENTRIES.run(self._connection, written)
        return answers

    def _inserted(
        self, row: _FileRow, accounts: Resolved, columns: tuple[object, ...]
    ) -> tuple[object, ...]:
        return (row.id, self._owner.id, "held", accounts.text, *columns)

    def _sweep(self, judge: Judge[int]) -> None:
        """Close some of the rows whose owner is over."""
        found = self._found(tables.FIND_LEFT, SWEPT)
        rows = [_found_row(each) for each in found]
        judge.totals |= self._accounts.totals(
            {key for row in rows for key in row.accounts} - judge.totals.keys()
        )
        written = []
        for (call, *_), row in zip(found, rows, strict=True):
            total = row.amount if self._charge_abandoned else 0
            judge.close(row, "abandoned", total)
            end = Settlement(
                call=call,
                state="abandoned",
                at=self._wall(),
                total=total,
                parts={"held": total} if total else {},
                estimated=total > 0,
            )
            written.append((*ended(end), row.id))
        tables.CLOSE_ENTRIES.run(self._connection, written)
        self.has_more = len(found) == SWEPT

    def _found(self, statement: str, asked: Any) -> list[_Found]:
        return _decode_rows(self._connection.execute(statement, (asked,)).fetchone()[0])


def _file_row(hold: Hold, accounts: Resolved, number: int) -> _FileRow:
    return _FileRow(state="held", amount=hold.amount, total=0, accounts=accounts.unique, id=number)


def _found_row(found: _Found) -> _FileRow:
    _, number, state, amount, total, accounts = found
    return _FileRow(state=state, amount=amount, total=total, accounts=accounts, id=number)
