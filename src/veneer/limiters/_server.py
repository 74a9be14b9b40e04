"""The Redis server of a limiter: bounded calls of its one script."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from hashlib import sha1
from typing import Any

from redis.asyncio import ConnectionPool, Redis, RedisCluster
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError, RedisError, ResponseError

from veneer.limiters._script import AnswerLostError, source
from veneer.quotas.limiter import LimiterUnavailableError

_FORMS = "redis://user:password@host:6379/0, rediss://host, unix:///path or redis+cluster://host"
_CLUSTERS = {"redis+cluster": "redis", "rediss+cluster": "rediss"}


class Server:
    """Runs the script, each call for at most `timeout` seconds and never twice.

    At most `connections` calls are under way at once; the others wait for their turn. A client that
    is given is not closed. `clock` replaces the server's time in tests.
    """

    def __init__(
        self,
        server: str | Redis | RedisCluster,
        *,
        connections: int,
        timeout: float,
        clock: Callable[[], float] | None,
    ) -> None:
        self._timeout = timeout
        self._clock = clock
        self._owned = isinstance(server, str)
        self._client = _open(server, connections, timeout) if isinstance(server, str) else server
        if isinstance(self._client, Redis):
            connections = min(connections, self._client.connection_pool.max_connections)
        self._turns = asyncio.Semaphore(connections)
        self._source = source()
        # What Redis calls a script; nothing is kept secret by it.
        self._name = sha1(self._source.encode(), usedforsecurity=False).hexdigest()
        self._calls: set[asyncio.Task[str]] = set()

    async def begin(self, operation: str, keys: list[str], document: bytes) -> asyncio.Task[str]:
        """Begin a call when its turn has come, and return the task that ends with the reply.

        The task is not to be cancelled: what is cut off in the midst of a call may have been done.
        It, and waiting for the turn, raise `LimiterUnavailableError`.
        """
        rest: list[Any] = [len(keys), *keys, operation, document]
        if self._clock is not None:
            rest.append(repr(self._clock()))
        deadline = asyncio.get_running_loop().time() + self._timeout
        try:
            async with asyncio.timeout_at(deadline):
                await self._turns.acquire()
        except TimeoutError as error:
            raise LimiterUnavailableError(
                f"Redis is slow: no connection was free within {self._timeout:g} s"
            ) from error
        task = asyncio.get_running_loop().create_task(self._run(deadline, rest))
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

    def _ended(self, task: asyncio.Task[str]) -> None:
        self._calls.discard(task)
        self._turns.release()
        if not task.cancelled():
            # Whoever asked may have left; this says that the error is seen.
            task.exception()

    async def _run(self, deadline: float, rest: list[Any]) -> str:
        sent = False
        try:
            async with asyncio.timeout_at(deadline), self._connected() as execute:
                sent = True
                try:
                    reply = await execute("EVALSHA", self._name, *rest)
                except NoScriptError:
                    # The server was restarted, or is a new one; it keeps what it has run once.
                    reply = await execute("EVAL", self._source, *rest)
        except ResponseError as error:
            raise LimiterUnavailableError(_sentence(error)) from error
        except (RedisError, OSError) as error:
            # TimeoutError, which has no text, is an OSError.
            sentence = f"Redis has not answered within {self._timeout:g} s"
            if not isinstance(error, TimeoutError):
                sentence = _sentence(error)
            raise (AnswerLostError if sent else LimiterUnavailableError)(sentence) from error
        return reply if isinstance(reply, str) else reply.decode()

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[Callable[..., Awaitable[Any]]]:
        """Give what executes a command, once."""
        if isinstance(self._client, RedisCluster):
            yield self._client.execute_command
            return
        # Not the client's `execute_command`: it may send a second time what was done.
        pool: Any = self._client.connection_pool  # partly untyped
        connection = await pool.get_connection()

        async def execute(*command: Any) -> Any:
            await connection.send_command(*command)
            return await connection.read_response()

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
        return Redis.from_pool(ConnectionPool.from_url(url, max_connections=connections, **bounds))
    except (ValueError, TypeError, RedisError):
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
