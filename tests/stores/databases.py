"""Databases for tests: a PostgreSQL schema of a test's own, and a way to a server that is cut."""

import asyncio
import os
import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import psycopg
import pytest

SERVER = os.environ.get("VENEER_TEST_POSTGRESQL", "postgresql://postgres@127.0.0.1:5432/test")


@contextmanager
def postgresql_schema() -> Iterator[str]:
    """Give the URL of an empty schema, and remove that afterwards.

    Without a server the test is skipped, except under CI, where one must be there.
    """
    try:
        connection = psycopg.connect(SERVER, autocommit=True, connect_timeout=3)
    except psycopg.OperationalError as error:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(f"no PostgreSQL server: {error}")
    name = f"veneer_{secrets.token_hex(6)}"
    with connection:
        connection.execute(f'CREATE SCHEMA "{name}"'.encode())
        try:
            yield f"{SERVER}?options=-csearch_path%3D{name}"
        finally:
            connection.execute(f'DROP SCHEMA "{name}" CASCADE'.encode())


class Gate:
    """A way to a server: open, closed (connections are cut and refused), or silent."""

    def __init__(self, host: str, port: int) -> None:
        self._target = host, port
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._flowing = asyncio.Event()
        self._flowing.set()
        self.port = 0
        self.connections = 0

    async def open(self) -> None:
        """Let connections through, on the same port as before."""
        self._flowing.set()
        if self._server is None:
            self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
            self.port = self._server.sockets[0].getsockname()[1]

    def silence(self) -> None:
        """Keep connections, and pass nothing on."""
        self._flowing.clear()

    async def close(self) -> None:
        """Cut every connection and refuse new ones, as a server that stops does."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for writer in self._writers:
            writer.transport.abort()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        there, back = await asyncio.open_connection(*self._target)
        self._writers |= {writer, back}
        for source, sink in ((reader, back), (there, writer)):
            task = asyncio.create_task(self._pass_on(source, sink))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _pass_on(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        try:
            while chunk := await source.read(65536):
                await self._flowing.wait()
                sink.write(chunk)
        except OSError:
            pass
        finally:
            sink.transport.abort()
            self._writers.discard(sink)


@asynccontextmanager
async def gate_to(url: str) -> AsyncIterator[tuple[Gate, str]]:
    """Give an open gate to the server of a URL, and the URL that leads through it."""
    info = psycopg.conninfo.conninfo_to_dict(url)
    host, port = str(info.get("host", "127.0.0.1")), int(info.get("port") or 5432)
    gate = Gate(host, port)
    await gate.open()
    try:
        yield gate, url.replace(f"{host}:{port}", f"127.0.0.1:{gate.port}")
    finally:
        await gate.close()
