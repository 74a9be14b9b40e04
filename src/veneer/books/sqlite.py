"""A ledger's file, as books open and read it."""

from functools import partial
from pathlib import Path
from urllib.parse import quote

from sqlalchemy import URL, BigInteger, ColumnElement, cast
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from veneer.books.tables import Layout, named
from veneer.ledger._sqlite_tables import FORMAT
from veneer.ledger.ledger import LedgerUnavailableError
from veneer.stores.database import Database

_CONNECTIONS = 2
# Of the time that a call has, the part that it may wait for another process to finish writing, and
# the most seconds of it.
_WAITING = 0.8
_LONGEST_WAIT = 15.0


def database(file: Path, timeout: float) -> Database:
    """Return the database in a file that is there; nothing of the file is changed by opening it."""
    engine = create_async_engine(
        URL.create(
            "sqlite+aiosqlite",
            database=f"file:{quote(str(file.absolute()))}",
            query={"mode": "rw", "uri": "true"},
        ),
        connect_args={
            "isolation_level": None,
            "timeout": min(timeout * _WAITING, _LONGEST_WAIT),
        },
        pool_size=_CONNECTIONS,
        max_overflow=0,
        pool_timeout=timeout,
        hide_parameters=True,
    )

    async def begin(connection: AsyncConnection) -> None:
        await connection.exec_driver_sql("BEGIN IMMEDIATE")

    return Database(engine, begin=begin, timeout=timeout)


def layout(file: Path) -> Layout:
    """Return the layout of the ledger in a file."""

    async def check(database: Database) -> None:
        # To SQLite it would be a file that cannot be opened.
        if not file.is_file():  # noqa: ASYNC240 - it is asked once, and of a machine's own disk
            raise LedgerUnavailableError(f"there is no file {file}")
        await database.read(partial(_check, file))

    return Layout(**named(""), snapshot="BEGIN", seconds=_seconds, check=check)


async def _check(file: Path, connection: AsyncConnection) -> None:
    application = await _number(connection, "PRAGMA application_id")
    if application != FORMAT.application:
        raise LedgerUnavailableError(f"the file {file} is no ledger")
    version, known = await _number(connection, "PRAGMA user_version"), len(FORMAT.versions)
    if version != known:
        raise LedgerUnavailableError(
            f"the ledger {file} is of version {version}, and this release reads {known}: veneer "
            "serve brings an older one up to date"
        )


async def _number(connection: AsyncConnection, statement: str) -> int:
    found = await connection.exec_driver_sql(statement)
    return int(found.scalar_one())


def _seconds(at: ColumnElement[float]) -> ColumnElement[int]:
    return cast(at, BigInteger)
