"""A statement of ours, and the rows that it finds."""

from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection


async def fetched(
    connection: AsyncConnection, statement: str, *values: Any
) -> list[tuple[Any, ...]]:
    """Return what a statement finds, which takes these values."""
    found = await connection.exec_driver_sql(statement, values or None)
    return [tuple(row) for row in found]
