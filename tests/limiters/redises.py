"""Redis for tests: keys of a test's own on the common server, or a server of a test's own."""

import asyncio
import os
import secrets
import shutil
import socket
from asyncio.subprocess import DEVNULL, Process
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from tests.stores.databases import Gate
from veneer.limiters.redis import RedisLimiter

# Those that a limiter has at most where nothing is said.
CONNECTIONS = 32
SERVER = os.environ.get("VENEER_TEST_REDIS", "redis://127.0.0.1:6379")


@asynccontextmanager
async def redis_prefix() -> AsyncIterator[str]:
    """Give a prefix that nobody else uses, and delete its keys afterwards.

    Without a server the test is skipped, except under CI, where one must be there.
    """
    client = Redis.from_url(SERVER, socket_connect_timeout=3)
    try:
        await client.ping()
    except RedisConnectionError as error:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(f"no Redis server: {error}")
    prefix = f"veneer-test-{secrets.token_hex(6)}"
    try:
        yield prefix
    finally:
        keys = [key async for key in client.scan_iter(f"{{{prefix}}}*", count=1000)]
        if keys:
            await client.delete(*keys)
        await client.aclose()


class OwnServer:
    """A Redis server in a folder, on a Unix socket; it forgets everything when it is stopped."""

    def __init__(self, folder: Path, *options: str, port: int = 0) -> None:
        self._program = shutil.which("redis-server")
        if self._program is None:
            if os.environ.get("CI") == "true":
                pytest.fail("redis-server is not installed")
            pytest.skip("redis-server is not installed")
        self._folder = folder
        self._options = ("--port", str(port), *options)
        self._process: Process | None = None
        self.url = f"unix://{folder}/redis.sock"

    def client(self) -> Redis:
        """Return a client of the server."""
        return Redis.from_url(self.url)

    async def start(self) -> None:
        """Start it and wait until it listens."""
        socket = self._folder / "redis.sock"
        command = [str(self._program), "--unixsocket", str(socket), "--save", ""]
        command += ["--dir", str(self._folder), *self._options]
        self._process = await asyncio.create_subprocess_exec(*command, stdout=DEVNULL)
        while True:
            try:
                _, writer = await asyncio.open_unix_connection(socket)
            except OSError:
                assert self._process.returncode is None, "redis-server has not started"
                await asyncio.sleep(0.01)
            else:
                writer.close()
                return

    async def stop(self) -> None:
        """Kill it."""
        if self._process is not None:
            self._process.kill()
            await self._process.wait()
            self._process = None
        (self._folder / "redis.sock").unlink(missing_ok=True)


@asynccontextmanager
async def own_server(folder: Path, *options: str, port: int = 0) -> AsyncIterator[OwnServer]:
    """Give a running server of a test's own."""
    server = OwnServer(folder, *options, port=port)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


@asynccontextmanager
async def own_cluster(folder: Path) -> AsyncIterator[tuple[OwnServer, str]]:
    """Give a cluster of one server, and its URL."""
    port = unused_port()
    options = ("--bind", "127.0.0.1", "--cluster-enabled", "yes")
    async with own_server(folder, *options, port=port) as server, server.client() as client:
        ask: Callable[..., Awaitable[bytes]] = client.execute_command

        async def ready() -> bool:
            return b"cluster_state:ok" in await ask("CLUSTER", "INFO")

        await ask("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
        await until(ready)
        yield server, f"redis+cluster://127.0.0.1:{port}"


@asynccontextmanager
async def gate() -> AsyncIterator[tuple[Gate, str]]:
    """Give a way to the common server that can be cut, and its URL."""
    way = Gate("127.0.0.1", int(SERVER.rpartition(":")[2]))
    await way.open()
    try:
        yield way, f"redis://127.0.0.1:{way.port}"
    finally:
        await way.close()


def unused_port() -> int:
    """Return a port that is free, as is the one that a node adds 10,000 to it for."""
    while True:
        port = 20_000 + secrets.randbelow(20_000)
        with socket.socket() as first, socket.socket() as second:
            try:
                first.bind(("127.0.0.1", port))
                second.bind(("127.0.0.1", port + 10_000))
            except OSError:
                continue
        return port


async def settled(limiter: RedisLimiter) -> None:
    """Wait until everything that waits has been sent and answered."""
    turns = limiter._server._turns
    while True:
        under_way = limiter._takes._tasks or turns._value < CONNECTIONS
        if not limiter._settlements._waiting and not under_way:
            return
        await asyncio.sleep(0)


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    """Ask until something holds, for a bounded time."""
    async with asyncio.timeout(10):
        while True:
            if await holds():
                return
            await asyncio.sleep(0.01)
