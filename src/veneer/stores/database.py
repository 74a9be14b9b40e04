"""A database: bounded calls, connections that are mended, schemas brought up to date once.

Nothing here knows a table. A store hands in what to do with a connection.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from sqlalchemy.exc import (
    DataError,
    DBAPIError,
    IntegrityError,
    SQLAlchemyError,
    StatementError,
)
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from veneer.stores.migrations import Schema, migrate
from veneer.stores.unavailable import StoreUnavailableError
from veneer.tasks import retrieved

T = TypeVar("T")
Work = Callable[[AsyncConnection], Awaitable[T]]

# Migrations rewrite tables and wait for those of other processes; those who call wait less long.
_MIGRATION_TIMEOUT = 600.0
# A driver that is cancelled asks the server to stop, politely; after this it is cut off.
_PATIENCE = 0.5


class Database:
    """Runs work on pooled connections, each call for at most `timeout` seconds.

    `engine` gives connections that begin no transaction by themselves; `begin` begins one.
    What the database or its driver raises, and silence, becomes `StoreUnavailableError`, except for
    SQLAlchemy's `IntegrityError`, which is an answer, and `ValueError` for what it cannot keep.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        *,
        begin: Callable[[AsyncConnection], Awaitable[object]],
        timeout: float,
    ) -> None:
        self._engine = engine
        self._begin = begin
        self._timeout = timeout
        self._tasks: set[asyncio.Task[Any]] = set()
        self._prepared: set[str] = set()
        self._preparing: dict[str, asyncio.Task[None]] = {}

    async def read(self, work: Work[T]) -> T:
        """Return what `work` makes of a connection on which every statement stands alone."""
        return await self._bounded(self._run(work, self._alone), self._timeout)

    async def write(self, work: Work[T]) -> T:
        """Return what `work` makes of a connection in one transaction, committed afterwards.

        `work` may be called a second time, when the first connection was lost before the commit.
        """
        return await self._bounded(self._run(work, self._together), self._timeout)

    async def prepare(self, schema: Schema) -> None:
        """Bring a schema up to date, once; several callers wait for the same migration."""
        if schema.component in self._prepared:
            return
        task = self._preparing.get(schema.component)
        if task is None:
            task = asyncio.get_running_loop().create_task(self._prepare(schema))
            self._preparing[schema.component] = task
            task.add_done_callback(retrieved)
        await asyncio.wait({task}, timeout=self._timeout)
        if not task.done():
            raise StoreUnavailableError(f"the tables are not ready after {self._timeout:g} s")
        task.result()

    async def aclose(self) -> None:
        """Stop what still runs, then close every connection."""
        tasks = [*self._tasks, *self._preparing.values()]
        for task in tasks:
            _stop(task)
        if tasks:
            await asyncio.wait(tasks)
        await self._engine.dispose()

    async def _prepare(self, schema: Schema) -> None:
        async def work(connection: AsyncConnection) -> None:
            await migrate(connection, schema)

        try:
            await self._bounded(self._run(work, self._alone), _MIGRATION_TIMEOUT)
            self._prepared.add(schema.component)
        finally:
            del self._preparing[schema.component]

    async def _bounded(self, work: Coroutine[Any, Any, T], seconds: float) -> T:
        """Run the work in a task of its own, so that whoever waits can leave at once.

        A driver takes seconds to leave a connection whose other side is silent.
        """
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(retrieved)
        try:
            await asyncio.wait({task}, timeout=seconds)
            if task.done():
                return task.result()
        finally:
            _stop(task)
        raise StoreUnavailableError(f"the database has not answered within {seconds:g} s")

    async def _run(self, work: Work[T], way: Callable[[Work[T]], Awaitable[T]]) -> T:
        try:
            try:
                return await way(work)
            except _ConnectionLost:
                # It broke while it lay in the pool, as after a restart: the pool knows by now.
                return await way(work)
        except IntegrityError:
            raise
        except _ConnectionLost as lost:
            raise StoreUnavailableError(_sentence(lost.error)) from lost.error
        except (SQLAlchemyError, OSError) as error:
            if _is_bad_value(error):
                raise ValueError(_sentence(error)) from error
            raise StoreUnavailableError(_sentence(error)) from error

    async def _alone(self, work: Work[T]) -> T:
        async with self._engine.connect() as connection:
            return await _watched(work(connection))

    async def _together(self, work: Work[T]) -> T:
        async with self._engine.connect() as connection:
            await _watched(self._begin(connection))
            result = await _watched(work(connection))
            await connection.exec_driver_sql("COMMIT")
            return result


class _ConnectionLost(Exception):
    """The connection broke before anything can have been committed."""

    def __init__(self, error: DBAPIError) -> None:
        super().__init__()
        self.error = error


async def _watched(work: Awaitable[T]) -> T:
    try:
        return await work
    except DBAPIError as error:
        if error.connection_invalidated:
            raise _ConnectionLost(error) from error
        raise


def _is_bad_value(error: BaseException) -> bool:
    """Whether the database, or a column's type, has refused what it was given."""
    if isinstance(error, DataError):
        return True
    return isinstance(error, StatementError) and isinstance(error.orig, ValueError)


def _sentence(error: BaseException) -> str:
    """Return the first line of what went wrong; the rest may quote a statement."""
    cause = error.orig if isinstance(error, StatementError) and error.orig else error
    lines = str(cause).splitlines() or [""]
    return f"{type(cause).__name__}: {lines[0]}"


def _stop(task: asyncio.Task[Any]) -> None:
    if not task.done():
        task.cancel()
        asyncio.get_running_loop().call_later(_PATIENCE, task.cancel)
