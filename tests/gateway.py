"""The stack on a real server on loopback, and raw clients for it."""

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator
from typing import Any, Self

import uvicorn
from starlette.middleware import Middleware
from starlette.types import ASGIApp

from tests.upstream.servers import eventually
from veneer.layers.errors import ErrorMiddleware
from veneer.layers.headers import HeadersMiddleware
from veneer.layers.heartbeat import HeartbeatMiddleware
from veneer.layers.operations import OperationsMiddleware
from veneer.layers.relay import RelayMiddleware
from veneer.stack import Stack

LAYERS = (
    Middleware(HeadersMiddleware),
    Middleware(HeartbeatMiddleware),
    Middleware(ErrorMiddleware),
    Middleware(OperationsMiddleware),
)


def stack_of(app: ASGIApp, *more: Middleware) -> Stack:
    """Return all layers around an app; `more` stand right above the relay."""
    return Stack([*LAYERS, *more, Middleware(RelayMiddleware)], app)


class Gateway:
    """A server that is listening."""

    def __init__(self, server: uvicorn.Server, port: int) -> None:
        self._server = server
        self.port = port

    @property
    def url(self) -> str:
        """The base URL for clients of the API."""
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def calls(self) -> int:
        """How many calls are under way."""
        return len(self._server.server_state.tasks)


@contextlib.asynccontextmanager
async def gateway(app: ASGIApp) -> AsyncIterator[Gateway]:
    """Serve an app in this event loop while the context lasts."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(
        uvicorn.Config(app, log_config=None, access_log=False, ws="none", lifespan="on")
    )
    serving = asyncio.create_task(server._serve([listener]))
    try:
        await eventually(lambda: server.started)
        yield Gateway(server, listener.getsockname()[1])
    finally:
        server.should_exit = True
        server.force_exit = True
        await serving
        listener.close()


class Caller:
    """A client of bare sockets."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    @contextlib.asynccontextmanager
    async def to(cls, served: Gateway) -> AsyncIterator[Self]:
        """Connect."""
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port, limit=65_536)
        caller = cls(reader, writer)
        try:
            yield caller
        finally:
            writer.transport.abort()

    def send(self, data: bytes) -> None:
        """Send bytes."""
        self._writer.write(data)

    def post(self, body: Any, path: str = "/v1/chat/completions", *fields: bytes) -> None:
        """Send a request with JSON."""
        data = json.dumps(body).encode()
        lines = [
            b"POST %b HTTP/1.1" % path.encode(),
            b"host: gateway",
            b"content-type: application/json",
            b"content-length: %d" % len(data),
            *fields,
        ]
        self.send(b"\r\n".join([*lines, b"", data]))

    async def until(self, text: bytes) -> bytes:
        """Read up to and including this."""
        async with asyncio.timeout(5):
            return await self._reader.readuntil(text)

    async def head(self) -> tuple[int, list[tuple[bytes, bytes]]]:
        """Read the head of a response."""
        status, *lines = (await self.until(b"\r\n\r\n"))[:-4].split(b"\r\n")
        pairs = [line.split(b": ", 1) for line in lines]
        return int(status.split(b" ")[1]), [(name.lower(), value) for name, value in pairs]

    async def rest(self) -> bytes:
        """Read until the server closes."""
        data = b""
        async with asyncio.timeout(5):
            with contextlib.suppress(ConnectionError):
                while part := await self._reader.read(65_536):
                    data += part
        return data

    @property
    def unsent(self) -> int:
        """How many bytes the server and the sockets' buffers have not taken."""
        return self._writer.transport.get_write_buffer_size()

    def leave(self) -> None:
        """Close the connection."""
        self._writer.close()
