"""A Redis server: bounded calls of scripts, of which none is sent twice."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from hashlib import sha1
from typing import Any

from redis.asyncio import ConnectionPool, Redis, RedisCluster
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.client import NEVER_DECODE
from redis.exceptions import NoScriptError, RedisClusterException, RedisError, ResponseError

_FORMS = "redis://user:password@host:6379/0, rediss://host, unix:///path or redis+cluster://host"
_CLUSTERS = {"redis+cluster": "redis", "rediss+cluster": "rediss"}


class Script:
    """A script, and what Redis calls it."""

    def __init__(self, source: str) -> None:
        self.source = source
        # Nothing is kept secret by it.
        self.name = sha1(source.encode(), usedforsecurity=False).hexdigest()


class RedisServer:
    """Runs scripts, each call for at most `timeout` seconds and never twice.

    At most `connections` calls are under way at once; the others wait for their turn. `server` is a
    URL or a client; a client is not closed. What fails raises `unavailable` with a sentence; where
    a call was sent and its answer has not come, so that it may have been done, it raises `lost`.

    Raises ValueError for a URL that cannot be read.
    """

    def __init__(
        self,
        server: str | Redis | RedisCluster,
        *,
        connections: int,
        timeout: float,
        unavailable: type[Exception],
        lost: type[Exception],
    ) -> None:
        self._timeout = timeout
        self._unavailable = unavailable
        self._lost = lost
        self._owned = isinstance(server, str)
        self._client = _open(server, connections, timeout) if isinstance(server, str) else server
        if isinstance(self._client, Redis):
            connections = min(connections, self._client.connection_pool.max_connections)
        self._turns = asyncio.Semaphore(connections)
        self._calls: set[asyncio.Task[Any]] = set()

    async def call(
        self,
        script: Script,
        keys: Sequence[str],
        arguments: Sequence[str | bytes | int],
        *,
        deadline: float | None = None,
    ) -> Any:
        """Call when the turn has come, and return the reply.

        `deadline` is by the loop's clock; `timeout` from now if none is given. Strings in a reply
        are bytes, whatever the client does. Not to be cancelled where it matters whether it was
        done: see `send`.
        """
        if deadline is None:
            deadline = asyncio.get_running_loop().time() + self._timeout
        await self._turn(deadline)
        try:
            return await self._run(deadline, script, [len(keys), *keys, *arguments])
        finally:
            self._turns.release()

    async def send(
        self, script: Script, keys: Sequence[str], arguments: Sequence[str | bytes | int]
    ) -> asyncio.Task[Any]:
        """Begin a call when its turn has come, and return the task that ends with the reply.

        The task is not to be cancelled: what is cut off in the midst of a call may have been done.
        """
        deadline = asyncio.get_running_loop().time() + self._timeout
        await self._turn(deadline)
        rest = [len(keys), *keys, *arguments]
        task = asyncio.get_running_loop().create_task(self._run(deadline, script, rest))
        self._calls.add(task)
        task.add_done_callback(self._ended)
        return task

    async def idle(self) -> None:
        """Wait for the calls under way."""
        if self._calls:
            await asyncio.wait(self._calls)

    async def aclose(self) -> None:
        """Wait for the calls under way, then close every connection."""
        await self.idle()
        if self._owned:
            await self._client.aclose()

    async def _turn(self, deadline: float) -> None:
        if not self._turns.locked():
            # It does not wait, and needs no timer.
            await self._turns.acquire()
            return
        try:
            async with asyncio.timeout_at(deadline):
                await self._turns.acquire()
        except TimeoutError as error:
            raise self._unavailable(
                f"Redis is slow: no connection was free within {self._timeout:g} s"
            ) from error

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._calls.discard(task)
        self._turns.release()
        if not task.cancelled():
            # Whoever asked may have left; this says that the error is seen.
            task.exception()

    async def _run(self, deadline: float, script: Script, rest: list[Any]) -> Any:
        sent = False
        try:
            async with asyncio.timeout_at(deadline), self._connected() as execute:
                sent = True
                try:
                    return await execute("EVALSHA", script.name, *rest)
                except NoScriptError:
                    # The server was restarted, or is a new one; it keeps what it has run once.
                    return await execute("EVAL", script.source, *rest)
        except ResponseError as error:
            raise self._unavailable(_sentence(error)) from error
        except (RedisError, OSError) as error:
            # TimeoutError, which has no text, is an OSError.
            sentence = f"Redis has not answered within {self._timeout:g} s"
            if not isinstance(error, TimeoutError):
                sentence = _sentence(error)
            raise (self._lost if sent else self._unavailable)(sentence) from error

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[Callable[..., Awaitable[Any]]]:
        """Give what executes a command, once."""
        if isinstance(self._client, RedisCluster):
            yield partial(self._client.execute_command, **{NEVER_DECODE: True})
            return
        # Not the client's `execute_command`: it may send a second time what was done.
        pool: Any = self._client.connection_pool  # partly untyped
        connection = await pool.get_connection()

        async def execute(*command: Any) -> Any:
            await connection.send_command(*command)
            return await connection.read_response(disable_decoding=True)

        try:
            yield execute
        finally:
            await pool.release(connection)


def _open(url: str, connections: int, timeout: float) -> Redis | RedisCluster:
    scheme, _, rest = url.partition("://")
    # The deadline of a call bounds its reads and writes, at a lower price.
    bounds: Any = {"socket_timeout": None, "socket_connect_timeout": timeout}
    try:
        if scheme in _CLUSTERS:
            return RedisCluster.from_url(
                f"{_CLUSTERS[scheme]}://{rest}",
                retry=Retry(NoBackoff(), 0),
                max_connections=connections,
                **bounds,
            )
        pool: Any = ConnectionPool.from_url(url, max_connections=connections, **bounds)
        # Not yet connected: an option that there is not would fail every call.
        pool.connection_class(**pool.connection_kwargs)
        return Redis.from_pool(pool)
    except (ValueError, TypeError, RedisError, RedisClusterException):
        # Their texts quote parts of the URL, of which one may be a password.
        raise ValueError(
            f"The Redis URL cannot be read: give {_FORMS}, with %40 for an @ in the password, "
            "and so on."
        ) from None


def _sentence(error: Exception) -> str:
    text = str(error)
    name = type(error).__name__
    if name in ("MovedError", "AskError") or text.startswith(("MOVED ", "ASK ")):
        return (
            "the Redis server is one of a cluster, and another one has our keys: "
            "give the URL as redis+cluster://host:port"
        )
    return f"Redis: {name}: {text}"
