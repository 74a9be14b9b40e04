"""PostgreSQL, by psycopg: for many processes on many machines.

psycopg rather than asyncpg, as measured under SQLAlchemy: a lookup is one round trip instead of
two or three (half the time), it needs no named prepared statements, so that any pooler between us
and the server will do, and the URL means what libpq says it means (several hosts, sockets, TLS).
"""

import psycopg
from psycopg.conninfo import conninfo_to_dict
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from veneer.stores.database import Database

_CONNECTIONS = 5
# Shorter than what firewalls and proxies in between forget an idle connection after.
_RECYCLE = 120


def postgresql(url: str, timeout: float) -> Database:
    """Return the database at a URL as libpq reads it.

    Raises ValueError where libpq cannot read it.
    """
    try:
        conninfo_to_dict(url)
    except psycopg.ProgrammingError:
        # Its text quotes parts of the URL, of which one is a password.
        raise ValueError(
            "The PostgreSQL URL cannot be read: give postgresql://user:password@host:5432/database"
            "?sslmode=require, with %40 for an @ in the password, and so on."
        ) from None

    async def connect() -> psycopg.AsyncConnection:
        return await psycopg.AsyncConnection.connect(
            url, autocommit=True, prepare_threshold=None, application_name="veneer"
        )

    engine = create_async_engine(
        "postgresql+psycopg://",
        async_creator=connect,
        isolation_level="AUTOCOMMIT",
        pool_size=_CONNECTIONS,
        max_overflow=0,
        pool_timeout=timeout,
        pool_recycle=_RECYCLE,
        pool_use_lifo=True,
        hide_parameters=True,
    )

    async def begin(connection: AsyncConnection) -> None:
        # Whatever the default is: who has waited for a lock sees what was committed meanwhile.
        await connection.exec_driver_sql("BEGIN ISOLATION LEVEL READ COMMITTED")
        # A writer whose machine vanishes must not hold its locks for as long as TCP waits.
        await connection.execute(_BOUNDS, {"ms": str(max(1, int(timeout * 1000)))})

    return Database(engine, begin=begin, timeout=timeout)


_BOUNDS = text(
    "SELECT set_config('lock_timeout', :ms, true),"
    " set_config('idle_in_transaction_session_timeout', :ms, true)"
)
