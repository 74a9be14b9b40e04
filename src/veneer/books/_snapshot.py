"""Reading all of a ledger as it is at one moment, a part of the rows at a time."""

from collections.abc import AsyncIterator, Sequence
from typing import Any

from sqlalchemy import Select, TableClause, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from veneer.books._audit import Audit, AuditedRow
from veneer.books.tables import Layout

# Rows that are in memory at once.
PART = 2000


async def audit(
    connection: AsyncConnection, layout: Layout, most: int
) -> tuple[Audit, dict[int, int]]:
    """Return what is found in all accounts and rows, and what processes show of themselves.

    Those who write wait for nothing of this; SQLite keeps what they write apart meanwhile.
    """
    await connection.exec_driver_sql(layout.snapshot)
    found = Audit(most)
    accounts = layout.accounts.c
    balances = select(accounts.id, accounts.spent, accounts.held)
    async for part in _parts(connection, layout.accounts, balances):
        for row in part:
            found.account(*row)
    entries = layout.entries.c
    rows = select(
        entries.id,
        entries.call,
        entries.owner,
        entries.state,
        entries.amount,
        entries.total,
        entries.parts,
        entries.accounts,
    )
    async for part in _parts(connection, layout.entries, rows):
        for row in part:
            found.row(AuditedRow(*row[1:]))
    found.compare()
    owners = await beats(connection, layout)
    await connection.exec_driver_sql("COMMIT")
    return found, owners


async def beats(connection: AsyncConnection, layout: Layout) -> dict[int, int]:
    """Return how often each process has shown that it lives."""
    owners = layout.owners.c
    found = await connection.execute(select(owners.id, owners.beats))
    return {row[0]: row[1] for row in found}


async def open_calls(
    connection: AsyncConnection, layout: Layout, owners: set[int]
) -> dict[int, int]:
    """Return how many calls are open now of each of these processes that has any."""
    entries = layout.entries.c
    query = (
        select(entries.owner, func.count())
        .where(entries.state == "held", entries.owner.in_(owners))
        .group_by(entries.owner)
    )
    found = await connection.execute(query)
    return {row[0]: row[1] for row in found}


async def _parts(
    connection: AsyncConnection, table: TableClause, query: Select[Any]
) -> AsyncIterator[Sequence[Any]]:
    """Yield the rows of a query in parts, in the order of their ids, which stand first."""
    number = table.c.id
    query = query.order_by(number).limit(PART)
    part = (await connection.execute(query)).all()
    while part:
        yield part
        last = part[-1][0]
        part = (await connection.execute(query.where(number > last))).all()
