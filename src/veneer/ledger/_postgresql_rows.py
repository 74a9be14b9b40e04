"""The rows in PostgreSQL: what a batch of holds and settlements reads and writes."""

from collections.abc import Callable, Iterable, Mapping

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from veneer.ledger import _postgresql_tables as tables
from veneer.ledger._postgresql_accounts import Accounts, Resolved, find_limits, named
from veneer.ledger._postgresql_batch import Batch, Open, StaleError
from veneer.ledger._postgresql_changes import Changes
from veneer.ledger._postgresql_locks import found_row, locked
from veneer.ledger._postgresql_owner import Ownership
from veneer.ledger._postgresql_query import fetched
from veneer.ledger.columns import entry, opened
from veneer.ledger.entry import Account, Entry, Exhausted, Hold
from veneer.ledger.judging import NO_LIMITS, Judge, Limits, Row, Totals


class Rows:
    """Reads and writes the rows, by connections that are given to it, one batch at a time.

    What this process holds is remembered, so that a settlement need not read it: nobody else closes
    it as long as our owner's row is there. `watching` says whether anybody is told what is moved.
    """

    def __init__(
        self,
        owner: Ownership,
        *,
        watching: Callable[[], bool],
    ) -> None:
        self.owner = owner
        self._watching = watching
        self._limits: Limits = NO_LIMITS
        self._revision = 0
        self._open: dict[str, Open] = {}
        self._accounts = Accounts()
        # The last batch, where nobody knows whether it was committed.
        self._uncertain: Batch | None = None
        self.balances = self._accounts.balances

    def identify(self, batch: Batch) -> bool:
        """Give a batch the ids of the accounts that it needs; False where some are not known."""
        ids = self._accounts.known(self._needed(batch))
        batch.ids = ids or {}
        return ids is not None

    async def resolve(self, connection: AsyncConnection, batch: Batch) -> None:
        """Give a batch the ids of the accounts that it needs; each statement stands alone."""
        batch.ids = await self._accounts.resolve(connection, self._needed(batch))

    async def write(self, connection: AsyncConnection, batch: Batch) -> None:
        """Write settlements, then decide on holds in their order, within a transaction.

        What has come of it is in the batch, and counts when `committed` is told. It may be begun
        anew on another connection. Raises `StaleError`.
        """
        batch.answers, batch.moved, batch.opened, batch.closed = [], [], {}, []
        batch.is_ready = False
        if self._uncertain is not None:
            await self.owner.wait(connection)
        rows = await self._rows(connection, batch)
        needed = {key for hold, _ in batch.holds for key in batch.ids[hold.accounts].unique}
        needed.update(
            key
            for settlement, _ in batch.settlements
            if settlement.hold is not None and settlement.call not in rows
            for key in batch.ids[settlement.hold.accounts].unique
        )
        judge = await self._look(connection, rows, needed)
        changes = Changes(self.owner.id)
        self._settle(judge, rows, batch, changes)
        self._admit(judge, batch, changes)
        batch.moved += judge.moved
        if not await changes.write(connection, judge):
            self._doubt()
            raise StaleError
        batch.is_ready = True

    def committed(self, batch: Batch) -> None:
        """Remember what a batch has written."""
        self._uncertain = None
        self._open |= batch.opened
        for settlement, _ in batch.settlements:
            self._open.pop(settlement.call, None)

    def failed(self, batch: Batch) -> None:
        """Believe nothing of what a batch would have changed."""
        self._doubt()
        self.owner.forget()
        if batch.is_ready:
            self._uncertain = batch

    async def existing(self, connection: AsyncConnection, calls: Iterable[str]) -> set[str]:
        """Return those of the calls that have a row."""
        found = await fetched(connection, tables.FIND_CALLS, list(calls))
        return {call for (call,) in found}

    async def find(self, connection: AsyncConnection, call: str) -> Entry | None:
        """Return the row of a call."""
        for accounts, *row in await fetched(connection, tables.FIND_ENTRY, call):
            return entry(tuple(row), await named(connection, accounts))
        return None

    def _doubt(self) -> None:
        self._open = {
            call: msgspec.structs.replace(row, known=False) for call, row in self._open.items()
        }

    def _needed(self, batch: Batch) -> list[tuple[Account, ...]]:
        """Return the accounts of what may get a row."""
        needed = [hold.accounts for hold, _ in batch.holds]
        for settlement, _ in batch.settlements:
            known = self._open.get(settlement.call)
            if settlement.hold is not None and (known is None or not known.known):
                needed.append(settlement.hold.accounts)
        return needed

    async def _rows(self, connection: AsyncConnection, batch: Batch) -> dict[str, Row[int]]:
        """Return the rows of settlements, for those that have one; what is read is locked."""
        rows: dict[str, Row[int]] = {}
        unknown = []
        for settlement, _ in batch.settlements:
            call = settlement.call
            known = self._open.get(call)
            if known is not None and known.known:
                rows[call] = Row("held", known.amount, 0, known.accounts, known.watched)
            else:
                unknown.append(call)
        if unknown:
            for call, *rest in await fetched(connection, tables.FIND_ROWS, unknown):
                row = rows[call] = found_row(*rest)
                known = self._open.get(call)
                if known is not None:
                    row.watched = known.watched
        uncertain = self._uncertain
        if uncertain is not None and any(
            call in rows and rows[call].state not in ("held", "abandoned")
            for call in uncertain.closed
        ):
            # It was committed, and nobody has been told.
            batch.moved += uncertain.moved
        return rows

    async def _look(
        self, connection: AsyncConnection, rows: Mapping[str, Row[int]], needed: set[int]
    ) -> Judge[int]:
        """Lock accounts, show that we live, see what has changed; return who decides."""
        asked = needed.union(*(row.accounts for row in rows.values()))
        known, revision, totals = await locked(connection, self.owner, asked)
        if not known and any(row.known for row in self._open.values()):
            # Others may have closed what we hold.
            self._doubt()
            raise StaleError
        if not needed <= totals.keys():
            self._accounts.forget()
            raise StaleError
        await self.owner.renew(connection, known=known)
        if revision != self._revision:
            self._revision, self._limits = await find_limits(connection)
        # Somebody may have removed accounts that rows are on.
        totals = {key: Totals() for key in asked} | totals
        return Judge(totals, self._limits, watching=self._watching())

    def _settle(
        self, judge: Judge[int], rows: dict[str, Row[int]], batch: Batch, changes: Changes
    ) -> None:
        for settlement, columns in batch.settlements:
            call = settlement.call
            row = rows.get(call)
            if row is None:
                if settlement.hold is None:
                    continue
                accounts = batch.ids[settlement.hold.accounts]
                row = rows[call] = _held(settlement.hold, accounts)
                judge.hold(row, settlement.hold.accounts, accounts.keys)
                judge.close(row, settlement.state, settlement.total)
                changes.make(opened(settlement.hold), columns, accounts.unique)
                batch.closed.append(call)
                continue
            before = row.state
            if judge.close(row, settlement.state, settlement.total):
                changes.close(call, before, columns)
                batch.closed.append(call)

    def _admit(self, judge: Judge[int], batch: Batch, changes: Changes) -> None:
        for hold, columns in batch.holds:
            accounts = batch.ids[hold.accounts]
            row = _held(hold, accounts)
            answer = judge.admit(row, hold.accounts, accounts.keys)
            batch.answers.append(answer)
            if not isinstance(answer, Exhausted):
                batch.opened[hold.call] = Open(row.amount, row.accounts, row.watched)
                changes.hold(columns, accounts.unique)


def _held(hold: Hold, accounts: Resolved) -> Row[int]:
    return Row("held", hold.amount, 0, accounts.unique)
