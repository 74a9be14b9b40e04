"""The limiter in Redis: many processes on many machines, one round trip for all of a request."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING

from veneer.limiters._script import AnswerLostError, Asked, Taken, key_of
from veneer.quotas.limiter import Decision
from veneer.quotas.quota import Charge

if TYPE_CHECKING:
    from redis.asyncio import Redis, RedisCluster

    from veneer.limiters._settlements import Settlements

DEFAULT_PREFIX = "veneer"
# Seconds. The first bounds what a process that is killed keeps from others.
DEFAULT_LEASE = 30.0
DEFAULT_TIMEOUT = 1.0
_CONNECTIONS = 32
_UNSETTLED = 10_000


class RedisLimiter:
    """Counts in Redis or Valkey (5 or newer), by one script on the server's clock.

    `server` is a URL (`redis:`, `rediss:`, `unix:`; `redis+cluster:` for a cluster, where all
    counters are in one slot, hence on one node) or a client of redis-py's asyncio, which stays the
    caller's. All keys begin with `{prefix}`.

    No call takes longer than `timeout` seconds. There are `max_connections` at most. A take is sent
    once: whether one whose answer was lost has been counted is not known; what it took drains with
    its window, and its slots are freed. A take that is cancelled gives back what it took.

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

        self._server: Server = Server(
            server, connections=max_connections, timeout=timeout, clock=clock
        )
        self._prefix = prefix
        self._lease = lease
        self._timeout = timeout
        self._max_unsettled = max_unsettled
        self._settlements: Settlements | None = None
        self._number = 0
        self._users = 0
        self._dropped = 0

    @property
    def dropped(self) -> int:
        """How many settlements were given up."""
        current = 0 if self._settlements is None else self._settlements.dropped
        return self._dropped + current

    async def take(self, charges: Sequence[Charge], /) -> Decision:
        """Decide, and take what is admitted; see `Limiter`."""
        settlements = self._started()
        self._number += 1
        call = f"{settlements.process}:{self._number}"
        keys = [key_of(self._prefix, charge) for charge in charges]
        asked = Asked(call, charges, keys)
        task = await self._server.begin("take", keys, asked.question(self._lease))
        try:
            reply = await asyncio.shield(task)
        except asyncio.CancelledError:
            task.add_done_callback(partial(_give_back, settlements, asked))
            raise
        except AnswerLostError:
            settlements.put(asked.slots(), 0)
            raise
        decided = asked.decision(reply)
        if decided.taken is not None:
            settlements.hold(decided.taken)
        return decided

    def settle(self, taken: Taken, tokens: int, /) -> None:
        """Correct what was taken to what was used; see `Limiter`."""
        if self._settlements is None:
            self._dropped += 1
        else:
            self._settlements.put(taken, tokens)

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        """Use it; the last who leaves has it settle what it can, and close its connections.

        Where nobody enters, it starts with its first take and ends with the loop.
        """
        self._users += 1
        self._started()
        try:
            yield
        finally:
            self._users -= 1
            if not self._users:
                await self._stop()

    def _started(self) -> "Settlements":
        if self._settlements is None:
            from veneer.limiters._settlements import Settlements  # noqa: PLC0415 - as above

            self._settlements = Settlements(
                self._server, prefix=self._prefix, lease=self._lease, most=self._max_unsettled
            )
        self._settlements.start()
        return self._settlements

    async def _stop(self) -> None:
        settlements, self._settlements = self._settlements, None
        if settlements is None:
            return
        try:
            # What takes that were cancelled give back is known when they have ended.
            await self._server.idle()
            await settlements.aclose(self._timeout)
        finally:
            self._dropped += settlements.dropped
            await self._server.aclose()


def _give_back(settlements: "Settlements", asked: Asked, task: asyncio.Task[bytes]) -> None:
    """Give back what was taken for somebody who has left meanwhile."""
    if task.cancelled():
        return
    error = task.exception()
    if error is None:
        taken = asked.decision(task.result()).taken
        if taken is not None:
            settlements.put(taken, 0)
    elif isinstance(error, AnswerLostError):
        settlements.put(asked.slots(), 0)
