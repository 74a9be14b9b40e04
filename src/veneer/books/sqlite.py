"""A ledger's file, as books open and read it."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiosqlite
from sqlalchemy import URL, BigInteger, ColumnElement, cast
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from veneer.books.tables import Layout, named
from veneer.ledger._sqlite_tables import FORMAT
from veneer.ledger.ledger import LedgerUnavailableError
from veneer.stores.database import Database, T, Work

_CONNECTIONS = 2
# Of the time that a call has, the part that it may wait for another process to finish writing, and
# the most seconds of it.
_WAITING = 0.8
_LONGEST_WAIT = 15.0
# Seconds in which a question that is interrupted ends, unless the disk does not answer.
_PATIENCE = 2.0


class _FileDatabase(Database):
    """A database whose questions end at once when nobody waits for the answer any more.

    What runs in the driver's thread does not hear of that. Who closes the connection would wait for
    it, or, having given up and closed it by force, leave a task of the driver's to wait for ever.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        *,
        begin: Callable[[AsyncConnection], Awaitable[object]],
        timeout: float,
    ) -> None:
        super().__init__(engine, begin=begin, timeout=timeout)
        self._running: list[aiosqlite.Connection] = []

    async def read(self, work: Work[T]) -> T:
        """Return what `work` makes of a connection."""
        running: list[aiosqlite.Connection] = []

        async def stoppable(connection: AsyncConnection) -> T:
            driver: Any = (await connection.get_raw_connection()).driver_connection
            running.append(driver)
            self._running.append(driver)
            try:
                return await work(connection)
            finally:
                running.remove(driver)
                self._running.remove(driver)

        try:
            return await super().read(stoppable)
        finally:
            await _interrupt(running)

    async def aclose(self) -> None:
        """Stop what still runs, then close every connection."""
        await _interrupt(self._running)
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_PATIENCE)
        await super().aclose()


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

    return _FileDatabase(engine, begin=begin, timeout=timeout)


def layout(file: Path) -> Layout:
    """Return the layout of the ledger in a file."""

    async def check(database: Database) -> None:
        # To SQLite it would be a file that cannot be opened.
        if not file.is_file():  # noqa: ASYNC240 - it is asked once, and of a machine's own disk
            raise LedgerUnavailableError(f"there is no file {file}")
        await database.read(partial(_check, file))

    return Layout(**named(""), snapshot="BEGIN", seconds=_seconds, check=check)


async def _interrupt(running: Sequence[aiosqlite.Connection]) -> None:
    for driver in running:
        # It is closed already where this comes late.
        with suppress(ValueError):
            await driver.interrupt()


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
