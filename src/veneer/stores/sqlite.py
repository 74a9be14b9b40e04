"""SQLite: one file, for the processes of one machine."""

from sqlalchemy import URL, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry

from veneer.store_urls import sqlite_file
from veneer.stores.database import Database

_CONNECTIONS = 4
# Of the time that a call has, the part that it may wait for another process to finish writing:
# SQLite says then that the database is locked, which says more than silence.
_WAITING = 0.8


def sqlite(location: str, timeout: float) -> Database:
    """Return the database in a file: `location` is what follows `sqlite://` in a URL.

    Raises ValueError where there is no path, or no folder for it.
    """
    file = sqlite_file(location)
    engine = create_async_engine(
        URL.create("sqlite+aiosqlite", database=str(file)),
        # Without this the driver begins transactions by itself, and only before some statements.
        connect_args={"isolation_level": None, "timeout": timeout * _WAITING},
        pool_size=_CONNECTIONS,
        max_overflow=0,
        pool_timeout=timeout,
        hide_parameters=True,
    )
    event.listen(engine.sync_engine, "connect", _set_up)
    return Database(engine, begin=_begin, timeout=timeout)


def _set_up(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
    cursor = connection.cursor()
    # Readers and the one writer do not wait for each other. The default for durability stays: a
    # revocation that was answered must survive a power cut.
    cursor.execute("PRAGMA journal_mode = WAL")
    cursor.close()


async def _begin(connection: AsyncConnection) -> None:
    """Take the write lock at once: one that is asked for later is refused without waiting."""
    await connection.exec_driver_sql("BEGIN IMMEDIATE")
