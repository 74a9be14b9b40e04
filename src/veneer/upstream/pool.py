"""A bounded pool of connections to one origin, and the queue before it."""

import asyncio
import math
from collections import OrderedDict
from collections.abc import Awaitable, Callable

from veneer.upstream.connection import Connection
from veneer.upstream.transport import ConnectFailed, PoolLimits, PoolTimeout, Truncated

# How long `aclose` waits for sockets that it has closed to be gone, in seconds.
_CLOSING = 1.0


class Pool:
    """Gives out connections, the most recently used first, and makes them with `connect`.

    A turn is what a waiting caller gets: a connection that came free, or the right to open one.
    `open` counts connections in use, idle and being opened; it never exceeds the limit.
    """

    def __init__(
        self,
        connect: Callable[[], Awaitable[Connection]],
        limits: PoolLimits,
        timeout: float | None,
    ) -> None:
        self.open = 0
        self._connect = connect
        self._limits = limits
        self._timeout = math.inf if timeout is None else timeout
        self._loop = asyncio.get_running_loop()
        self._now = self._loop.time
        self._idle: list[Connection] = []
        self._waiters: OrderedDict[asyncio.Future[Connection | None], None] = OrderedDict()
        # Those that hold a place, and those whose socket is not closed yet.
        self._placed: set[Connection] = set()
        self._sockets: set[Connection] = set()
        self._sweeper: asyncio.TimerHandle | None = None
        self._closed = False
        self._all_gone: asyncio.Future[None] | None = None

    @property
    def idle(self) -> int:
        """How many connections wait for a request."""
        return len(self._idle)

    @property
    def waiting(self) -> int:
        """How many callers wait for a connection."""
        return len(self._waiters)

    def take(self) -> Connection | None:
        """Return an idle connection, if there is a good one."""
        now = self._now()
        while self._idle:
            connection = self._idle.pop()
            if connection.expires > now:
                return connection
            connection.abort()
        return None

    async def acquire(self) -> Connection:
        """Return an idle connection, or a new one, or the next to come free.

        Raises `PoolTimeout` at once when too many wait already, and what `connect` raises.
        """
        gives_up_at = self._now() + self._timeout
        again = False
        while not self._closed:
            connection = self.take()
            if connection is not None:
                return connection
            if self.open < self._limits.max_connections:
                self.open += 1
                return await self._fill()
            if len(self._waiters) >= self._limits.max_waiting:
                raise PoolTimeout("every connection is in use, and too many callers wait for one")
            connection = await self._turn(gives_up_at, first=again)
            if connection is None:
                return await self._fill()
            if not connection.closed:
                return connection
            # It was closed on its way here, and its place given to another.
            again = True
        raise ConnectFailed("this transport is closed")

    async def aclose(self) -> None:
        """Close every connection, let nobody wait, and wait until the sockets are closed."""
        self._closed = True
        while (waiter := self._next_waiter()) is not None:
            waiter.set_exception(Truncated("the transport was closed"))
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None
        for connection in tuple(self._sockets):
            connection.fail(Truncated("the transport was closed"))
        if self._sockets:
            self._all_gone = self._loop.create_future()
            await asyncio.wait([self._all_gone], timeout=_CLOSING)

    def release(self, connection: Connection, keepalive: float | None) -> None:
        """See `Owner.release`."""
        expiry = self._limits.keepalive_expiry
        if keepalive is not None:
            # The upstream counts from its last byte, which is older here than there.
            expiry = min(expiry, keepalive - min(1.0, keepalive / 2))
        if expiry > 0:
            connection.expires = self._now() + expiry
            self._offer(connection)
        else:
            connection.abort()

    def lost(self, connection: Connection) -> None:
        """See `Owner.lost`."""
        if connection in self._idle:
            self._idle.remove(connection)
        if connection in self._placed:
            self._placed.remove(connection)
            self._give_place()

    def gone(self, connection: Connection) -> None:
        """See `Owner.gone`."""
        self._sockets.discard(connection)
        if self._all_gone is not None and not self._sockets and not self._all_gone.done():
            self._all_gone.set_result(None)

    def _offer(self, connection: Connection) -> None:
        """Give `connection` to the next who waits, or let it idle."""
        waiter = self._next_waiter() if self._waiters else None
        if waiter is not None:
            waiter.set_result(connection)
        elif len(self._idle) >= self._limits.max_idle:
            connection.abort()
        else:
            self._idle.append(connection)
            if self._sweeper is None:
                self._sweep_at(connection.expires)

    async def _turn(self, gives_up_at: float, *, first: bool) -> Connection | None:
        """Wait for a turn: a connection, or None for the right to open one."""
        waiter: asyncio.Future[Connection | None] = self._loop.create_future()
        self._waiters[waiter] = None
        if first:
            self._waiters.move_to_end(waiter, last=False)
        timer = None
        if gives_up_at < math.inf:
            timer = self._loop.call_at(gives_up_at, _give_up, waiter)
        try:
            return await waiter
        except (asyncio.CancelledError, GeneratorExit):
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                self._pass_on(waiter.result())
            raise
        finally:
            self._waiters.pop(waiter, None)
            if timer is not None:
                timer.cancel()

    def _pass_on(self, turn: Connection | None) -> None:
        """Give a turn that was not used to the next."""
        if turn is None:
            self._give_place()
        elif not turn.closed:
            self._offer(turn)

    def _give_place(self) -> None:
        """Let the next open a connection in a place that came free."""
        waiter = self._next_waiter()
        if waiter is None:
            self.open -= 1
        else:
            waiter.set_result(None)

    def _next_waiter(self) -> asyncio.Future[Connection | None] | None:
        while self._waiters:
            waiter, _ = self._waiters.popitem(last=False)
            if not waiter.done():
                return waiter
        return None

    async def _fill(self) -> Connection:
        """Open a connection, and hand it the place that the caller holds."""
        connection = None
        try:
            connection = await self._connect()
            if self._closed:
                connection.abort()
                raise Truncated("the transport was closed")
            if connection.closed:
                raise ConnectFailed("the upstream closed the connection as soon as it was made")
            self._placed.add(connection)
            self._sockets.add(connection)
        finally:
            if connection not in self._placed:
                self._give_place()
        return connection

    def _sweep(self) -> None:
        """Close what has idled for too long."""
        self._sweeper = None
        now = self._now()
        for connection in tuple(self._idle):
            if connection.expires <= now:
                connection.abort()
        if self._idle:
            self._sweep_at(min(connection.expires for connection in self._idle))

    def _sweep_at(self, when: float) -> None:
        # Not more often than is worth it: `take` looks at the clock itself.
        earliest = self._now() + self._limits.keepalive_expiry / 8
        self._sweeper = self._loop.call_at(max(when, earliest), self._sweep)


def _give_up(waiter: asyncio.Future[Connection | None]) -> None:
    if not waiter.done():
        waiter.set_exception(PoolTimeout("every connection is in use, and none came free in time"))
