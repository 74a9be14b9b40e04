"""The Redis server of a limiter, which runs its one script."""

from collections.abc import Callable
from typing import Any

from redis.asyncio import Redis, RedisCluster

from veneer.limiters._script import AnswerLostError, source
from veneer.quotas.limiter import LimiterUnavailableError
from veneer.stores.redis import RedisServer, Script


class Server(RedisServer):
    """Runs the limiter's script; `clock` replaces the server's time in tests."""

    def __init__(
        self,
        server: str | Redis | RedisCluster,
        *,
        connections: int,
        timeout: float,
        clock: Callable[[], float] | None,
    ) -> None:
        super().__init__(
            server,
            connections=connections,
            timeout=timeout,
            unavailable=LimiterUnavailableError,
            lost=AnswerLostError,
        )
        self._clock = clock
        self._script = Script(source())

    async def ask(
        self, operation: str, keys: list[str], document: bytes, *, deadline: float | None = None
    ) -> Any:
        """Have an operation done, and return the reply; see `call`."""
        arguments: list[str | bytes] = [operation, document]
        if self._clock is not None:
            arguments.append(repr(self._clock()))
        return await self.call(self._script, keys, arguments, deadline=deadline)
