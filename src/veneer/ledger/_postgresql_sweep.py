"""What dead processes have left in PostgreSQL is closed by any other."""

from collections.abc import Callable

from sqlalchemy.ext.asyncio import AsyncConnection

from veneer.ledger import _postgresql_tables as tables
from veneer.ledger._ends import abandoned
from veneer.ledger._postgresql_changes import Changes
from veneer.ledger._postgresql_locks import found_row, locked
from veneer.ledger._postgresql_owner import Ownership
from veneer.ledger._postgresql_query import fetched
from veneer.ledger.columns import ended
from veneer.ledger.judging import Judge, Totals

# Rows that one transaction closes.
SWEPT = 256


class Sweep:
    """Closes rows whose owner is over, where nobody else is at it.

    `charges` is whether what was held is charged; `wall` gives the seconds since the epoch.
    """

    def __init__(self, owner: Ownership, *, charges: bool, wall: Callable[[], float]) -> None:
        self._owner = owner
        self._charges = charges
        self._wall = wall

    async def some(self, connection: AsyncConnection) -> bool:
        """Close some, within a transaction; return whether there may be more."""
        found = await fetched(connection, tables.FIND_LEFT, SWEPT)
        if not found:
            return False
        rows = {call: found_row(*rest) for call, *rest in found}
        asked = {key for row in rows.values() for key in row.accounts}
        _, _, totals = await locked(connection, self._owner, asked)
        # Somebody may have removed accounts that rows are on.
        judge = Judge({key: Totals() for key in asked} | totals)
        changes = Changes(self._owner.id)
        for call, row in rows.items():
            total = row.amount if self._charges else 0
            judge.close(row, "abandoned", total)
            changes.close(call, "held", ended(abandoned(call, self._wall(), total)))
        await changes.write(connection, judge)
        return len(found) == SWEPT
