"""A ledger's tables in PostgreSQL, as books read them."""

from sqlalchemy import BigInteger, ColumnElement, cast, func, inspect, text
from sqlalchemy.ext.asyncio import AsyncConnection

from veneer.books.tables import Layout, named
from veneer.ledger._postgresql_tables import SCHEMA
from veneer.ledger.ledger import LedgerUnavailableError
from veneer.stores.database import Database

_VERSION = len(SCHEMA.versions)


async def _check(database: Database) -> None:
    await database.read(_check_version)


async def _check_version(connection: AsyncConnection) -> None:
    found = None
    if await connection.run_sync(lambda sync: inspect(sync).has_table("veneer_schema")):
        found = await connection.scalar(
            text("SELECT version FROM veneer_schema WHERE component = :component"),
            {"component": SCHEMA.component},
        )
    if found is None:
        raise LedgerUnavailableError("there is no ledger in this database")
    if found != _VERSION:
        raise LedgerUnavailableError(
            f"the ledger is of version {found}, and this release reads {_VERSION}: veneer serve "
            "brings an older one up to date"
        )


def _seconds(at: ColumnElement[float]) -> ColumnElement[int]:
    return cast(func.floor(at), BigInteger)


LAYOUT = Layout(
    **named("veneer_"),
    snapshot="BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
    seconds=_seconds,
    check=_check,
)
