"""What a transaction locks in PostgreSQL before it decides.

Rows come before accounts, and accounts in the order of their ids, so that nobody waits in a circle.
"""

from collections.abc import Collection, Sequence

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from veneer.ledger import _postgresql_tables as tables
from veneer.ledger._postgresql_owner import Ownership
from veneer.ledger._postgresql_query import fetched
from veneer.ledger.entry import State
from veneer.ledger.judging import Row, Totals

_decode_totals = msgspec.json.Decoder(list[tuple[int, str, str]]).decode


async def locked(
    connection: AsyncConnection, owner: Ownership, asked: Collection[int]
) -> tuple[bool, int, dict[int, Totals]]:
    """Return whether an owner is known, the revision of limits, and accounts, which are locked."""
    values = (owner.id, owner.token, list(asked))
    [(known, revision, found)] = await fetched(connection, tables.LOOK, *values)
    totals = {key: Totals(int(spent), int(held)) for key, spent, held in _decode_totals(found)}
    return bool(known), revision, totals


def found_row(state: State, amount: int, total: int, accounts: Sequence[int]) -> Row[int]:
    """Return a row that was read, and is locked."""
    return Row(state, amount, total, tuple(accounts))
