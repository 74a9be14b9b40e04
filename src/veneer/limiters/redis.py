"""The limiter in Redis: many processes on many machines, one round trip for all of a request."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import lru_cache, partial
from importlib import import_module
from typing import TYPE_CHECKING

from veneer.limiters._script import Asked, Taken, key_of
from veneer.limiters._settlements import Settlements
from veneer.limiters._takes import Takes
from veneer.quotas.limiter import Decision
from veneer.quotas.quota import Charge

if TYPE_CHECKING:
    from redis.asyncio import Redis, RedisCluster

DEFAULT_PREFIX = "veneer"
# Seconds. The first bounds what a process that is killed keeps from others.
DEFAULT_LEASE = 30.0
DEFAULT_TIMEOUT = 1.0
_CONNECTIONS = 32
_UNSETTLED = 10_000
# How many are remembered.
_KEYS = 1024


class RedisLimiter:
    """Counts in Redis or Valkey (5 or newer), by one script on the server's clock.

    `server` is a URL (`redis:`, `rediss:`, `unix:`; `redis+cluster:` for a cluster, where all
    counters are in one slot, hence on one node) or a client of redis-py's asyncio, which stays the
    caller's. All keys begin with `{prefix}`.

    A take is sent at once; while two calls are under way, those that come go together with the
    next. No call takes longer than `timeout` seconds. There are `max_connections` at most. A take
    is sent once: whether one whose answer was lost has been counted is not known; what it took
    drains with its window, and its slots are freed. A take that is cancelled gives back what it
    took.

    Settlements are sent at once, together with what else has piled up, and again until Redis has
    them; each counts once, whatever is lost on the way. At most `max_unsettled` wait for Redis to
    be back; the oldest are given up for new ones, counted in `dropped`. The slots of running calls
    are leases of `lease` seconds, renewed while this process lives.

    `clock` replaces the server's time in tests. Raises ValueError for options that cannot be, or
    where the package's extra is missing.
    """

    def __init__(  # noqa: PLR0913 - each is a setting with a name, and all have a default
        self,
        server: "str | Redis | RedisCluster",
        *,
        prefix: str = DEFAULT_PREFIX,
        lease: float = DEFAULT_LEASE,
        timeout: float = DEFAULT_TIMEOUT,
        max_connections: int = _CONNECTIONS,
        max_unsettled: int = _UNSETTLED,
        clock: Callable[[], float] | None = None,
    ) -> None:
        if not prefix or set("{}") & set(prefix):
            raise ValueError(f"A prefix of keys is not empty and has no braces, unlike {prefix!r}.")
        for name, value in (("lease", lease), ("timeout", timeout)):
            if not 0 < value < float("inf"):
                raise ValueError(f"{name} is a positive number of seconds, not {value}.")
        for name, value in (("max_connections", max_connections), ("max_unsettled", max_unsettled)):
            if value < 1:
                raise ValueError(f"{name} is at least 1, not {value}.")
        try:
            import_module("redis")
        except ModuleNotFoundError as error:
            raise ValueError(
                f"RedisLimiter needs the package {error.name}: install veneer[redis]."
            ) from error
        # Not before the extra is known to be there.
        from veneer.limiters._server import Server  # noqa: PLC0415 - the client is an extra

        self._server = Server(server, connections=max_connections, timeout=timeout, clock=clock)
        self._settlements = Settlements(
            self._server, prefix=prefix, lease=lease, most=max_unsettled
        )
        self._takes = Takes(self._server, self._settlements, lease=lease, timeout=timeout)
        # Some are asked for again and again.
        self._key = lru_cache(_KEYS)(partial(key_of, prefix))
        self._timeout = timeout
        self._number = 0
        self._users = 0

    @property
    def dropped(self) -> int:
        """How many settlements were given up."""
        return self._settlements.dropped

    async def take(self, charges: Sequence[Charge], /) -> Decision:
        """Decide, and take what is admitted; see `Limiter`."""
        self._settlements.start()
        self._number += 1
        call = f"{self._settlements.process}:{self._number}"
        decision = await self._takes.decide(Asked(self._key, call, charges))
        if decision.taken is not None:
            self._settlements.hold(decision.taken)
        return decision

    def settle(self, taken: Taken, tokens: int, /) -> None:
        """Correct what was taken to what was used; see `Limiter`."""
        self._settlements.put(taken, tokens)

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        """Use it; the last who leaves has it settle what it can, and close its connections.

        Where nobody enters, it starts with its first take and ends with the loop.
        """
        self._users += 1
        self._settlements.start()
        try:
            yield
        finally:
            self._users -= 1
            if not self._users:
                await self._stop()

    async def _stop(self) -> None:
        try:
            # What takes that were cancelled give back is known when they have ended.
            await self._takes.idle()
            await self._settlements.aclose(self._timeout)
        finally:
            await self._server.aclose()
