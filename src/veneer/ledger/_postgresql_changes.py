"""What a batch changes in PostgreSQL: gathered, and written by one statement."""

from collections.abc import Sequence

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from veneer.ledger import _postgresql_tables as tables
from veneer.ledger._postgresql_query import fetched
from veneer.ledger.columns import CLOSED, OPENED, unclosed
from veneer.ledger.entry import State
from veneer.ledger.judging import Judge

_UNCLOSED = unclosed()

_encode = msgspec.json.Encoder().encode


class Changes:
    """Rows that are made, for `owner`, and rows that are closed, each once."""

    def __init__(self, owner: int) -> None:
        self._owner = owner
        self._made: list[dict[str, object]] = []
        self._closed: list[dict[str, object]] = []
        self._calls: list[str] = []

    def hold(self, opened: tuple[object, ...], accounts: Sequence[int]) -> None:
        """Make a row that is held."""
        row = dict(zip(OPENED, opened, strict=True))
        self._made.append({"owner": self._owner, "accounts": accounts, **_UNCLOSED, **row})

    def make(
        self, opened: tuple[object, ...], closed: tuple[object, ...], accounts: Sequence[int]
    ) -> None:
        """Make a row that is closed already."""
        row = dict(zip((*OPENED, *CLOSED), (*opened, *closed), strict=True))
        self._made.append({"owner": self._owner, "accounts": accounts, **row})

    def close(self, call: str, before: State, closed: tuple[object, ...]) -> None:
        """Close the row of a call, whose state is known."""
        row = dict(zip(CLOSED, closed, strict=True))
        self._closed.append({"call": call, "before": before, **row})
        self._calls.append(call)

    async def write(self, connection: AsyncConnection, judge: Judge[int]) -> bool:
        """Write all that, and the accounts that have changed.

        Return False where a row was not what it was known to be; then it is not to be committed.
        """
        changed = [
            {"id": key, "spent": str(judge.totals[key].spent), "held": str(judge.totals[key].held)}
            for key in judge.changed
        ]
        if not (self._made or self._closed or changed):
            return True
        values = (
            _encode(self._made).decode(),
            _encode(self._closed).decode(),
            self._calls,
            _encode(changed).decode(),
            list(judge.changed),
        )
        [(count,)] = await fetched(connection, tables.WRITE, *values)
        return bool(count == len(self._calls))
