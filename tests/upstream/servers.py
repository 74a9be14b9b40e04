"""A server on loopback that sends what a test tells it to, when it tells it to."""

import asyncio
import contextlib
import os
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Self


class Peer:
    """The server's end of one connection. Its scripts are awaited like those of a client."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self.taken = 0

    async def request(self) -> tuple[bytes, bytes]:
        """Read a request; return its head and its body, chunks as they came."""
        head = await self._reader.readuntil(b"\r\n\r\n")
        lines = dict(line.split(b": ", 1) for line in head.split(b"\r\n")[1:-2])
        if b"transfer-encoding" in lines:
            return head, await self._reader.readuntil(b"0\r\n\r\n")
        return head, await self._reader.readexactly(int(lines.get(b"content-length", b"0")))

    async def head(self) -> bytes:
        """Read the head of a request only."""
        return await self._reader.readuntil(b"\r\n\r\n")

    async def rest(self) -> bytes:
        """Read until the client closes; return what came."""
        try:
            return await self._reader.read()
        except ConnectionError:
            return b""

    async def take(self, size: int) -> bytes:
        """Read at most `size` bytes."""
        return await self._reader.read(size)

    async def send(self, *parts: bytes) -> None:
        """Send, each part by itself as far as a loop can tell; wait while the client is slow."""
        for part in parts:
            self._writer.write(part)
            await self._writer.drain()
            await asyncio.sleep(0)

    def offer(self, data: bytes) -> int:
        """Hand `data` to the socket's buffers; return how much of it waits outside of them."""
        self._writer.write(data)
        return self._writer.transport.get_write_buffer_size()

    @property
    def stuck(self) -> int:
        """How many bytes the client and the sockets' buffers have not taken."""
        return self._writer.transport.get_write_buffer_size()

    def hang_up(self) -> None:
        """End the TCP stream, without the alert that TLS has for that."""
        raw = socket.socket(fileno=os.dup(self._writer.get_extra_info("socket").fileno()))
        raw.shutdown(socket.SHUT_WR)
        raw.close()

    def reset(self) -> None:
        """Cut the connection with a RST."""
        linger = struct.pack("ii", 1, 0)
        self._writer.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, linger
        )
        self._writer.transport.abort()


Script = Callable[[Peer], Awaitable[None]]


class Server:
    """Runs `script` for every connection; when that returns, the connection is closed.

    A script that fails for another reason than a client gone fails the test at the end.
    """

    def __init__(self, script: Script, *, tls: ssl.SSLContext | None, host: str) -> None:
        self.connections = 0
        self._script = script
        self._tls = tls
        self._host = host
        self._tasks: set[asyncio.Task[None]] = set()
        self._failures: list[BaseException] = []

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(
            self._serve, self._host, 0, ssl=self._tls, limit=4_194_304
        )
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        await self._server.wait_closed()
        if self._failures and exc_info[0] is None:
            raise self._failures[0]

    @property
    def port(self) -> int:
        """The port it listens on."""
        port = self._server.sockets[0].getsockname()[1]
        assert isinstance(port, int)
        return port

    @property
    def url(self) -> str:
        """The origin to reach it at."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"{'https' if self._tls else 'http'}://{host}:{self.port}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await self._script(Peer(reader, writer))
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            writer.transport.abort()
        except Exception as error:
            self._failures.append(error)
            raise
        finally:
            self._tasks.discard(task)
            writer.close()
            with contextlib.suppress(ConnectionError, ssl.SSLError, asyncio.CancelledError):
                await writer.wait_closed()


@contextlib.asynccontextmanager
async def serving(
    script: Script, *, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1"
) -> AsyncIterator[Server]:
    """Serve `script` while the context lasts."""
    async with Server(script, tls=tls, host=host) as server:
        yield server


async def eventually(condition: Callable[[], bool]) -> None:
    """Wait until `condition` holds, five seconds at most."""
    for _ in range(5000):
        if condition():
            return
        await asyncio.sleep(0.001)
    raise TimeoutError("the condition never held")


def answering(*responses: bytes) -> Script:
    """Return a script that answers one request after another with `responses`, then closes."""

    async def script(peer: Peer) -> None:
        for response in responses:
            await peer.request()
            await peer.send(response)

    return script


def ok(body: bytes = b"ok", *fields: bytes) -> bytes:
    """Return a response with a length."""
    lines = [b"HTTP/1.1 200 OK", *fields, b"content-length: %d" % len(body), b"", body]
    return b"\r\n".join(lines)
