"""The pool: no place is lost, none is given twice, nobody waits for ever."""

import asyncio
import math
from dataclasses import dataclass
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.upstream.servers import eventually
from veneer.upstream.connection import Connection
from veneer.upstream.pool import Pool, _give_up
from veneer.upstream.transport import ConnectFailed, PoolLimits, PoolTimeout, TransportError


class Plain:
    """A connection as far as a pool knows one."""

    def __init__(self) -> None:
        self.closed = False
        self.expires = math.inf
        self.users = 0
        self.pool: Pool | None = None

    def abort(self) -> None:
        """Close, and say so as a connection does."""
        if not self.closed and self.pool is not None:
            self.closed = True
            self.pool.lost(cast("Connection", self))
            self.pool.gone(cast("Connection", self))

    def fail(self, _error: TransportError) -> None:
        """Close."""
        self.abort()


@dataclass
class Caller:
    """What one caller does, in turns of the loop."""

    starts: int
    connecting: int
    holds: int
    cancelled_after: int | None
    ending: str


callers = st.builds(
    Caller,
    st.integers(0, 8),
    st.integers(0, 4),
    st.integers(0, 4),
    st.none() | st.integers(0, 12),
    st.sampled_from(["release", "abort", "dies idle", "refused", "dies on its way"]),
)


async def turns(number: int) -> None:
    for _ in range(number):
        await asyncio.sleep(0)


async def cancel(task: asyncio.Task[None], plan: Caller) -> None:
    if plan.cancelled_after is not None:
        await turns(plan.cancelled_after)
        task.cancel()


async def play(script: list[Caller], limit: int) -> None:
    """Run the callers of `script` on one pool of `limit` connections."""
    plans = iter(script * 20)
    most = 0

    async def connect() -> Connection:
        plan = next(plans)
        nonlocal most
        most = max(most, pool.open)
        await turns(plan.connecting)
        if plan.ending == "refused":
            raise ConnectFailed("refused")
        made = Plain()
        made.pool = pool
        return cast("Connection", made)

    pool = Pool(connect, PoolLimits(max_connections=limit), timeout=None)

    async def call(plan: Caller) -> None:
        await turns(plan.starts)
        connection = cast("Plain", pool.take() or await pool.acquire())
        assert not connection.closed
        assert connection.users == 0
        connection.users += 1
        try:
            await turns(plan.holds)
        except asyncio.CancelledError:
            connection.abort()
            raise
        connection.users -= 1
        if plan.ending == "abort":
            connection.abort()
            return
        pool.release(cast("Connection", connection), None)
        if plan.ending == "dies on its way":
            connection.abort()
        elif plan.ending == "dies idle":
            await turns(1)
            if not connection.users:
                connection.abort()

    async with asyncio.timeout(5):
        tasks = [asyncio.create_task(call(plan)) for plan in script]
        cancels = [cancel(task, plan) for task, plan in zip(tasks, script, strict=True)]
        results = await asyncio.gather(*tasks, *cancels, return_exceptions=True)
    assert {type(result) for result in results} <= {
        type(None),
        ConnectFailed,
        asyncio.CancelledError,
    }
    assert most <= limit
    assert (pool.open, pool.waiting) == (pool.idle, 0)
    await pool.aclose()
    assert (pool.open, pool.idle) == (0, 0)


@given(st.lists(callers, min_size=1, max_size=12), st.integers(1, 3))
def test_no_turn_is_lost_whatever_happens(script: list[Caller], limit: int) -> None:
    asyncio.run(play(script, limit))


async def test_a_turn_that_is_not_used_is_passed_on() -> None:
    async def connect() -> Connection:
        made = Plain()
        made.pool = pool
        return cast("Connection", made)

    pool = Pool(connect, PoolLimits(max_connections=1), timeout=5)
    first = await pool.acquire()
    second, third = (asyncio.create_task(pool.acquire()) for _ in range(2))
    await turns(2)
    assert pool.waiting == 2
    pool.release(first, None)
    second.cancel()
    assert await third is first
    with pytest.raises(asyncio.CancelledError):
        await second
    await pool.aclose()


async def test_waiting_again_after_a_connection_died_on_its_way_comes_first() -> None:
    async def connect() -> Connection:
        made = Plain()
        made.pool = pool
        return cast("Connection", made)

    pool = Pool(connect, PoolLimits(max_connections=1), timeout=0.05)
    first = await pool.acquire()
    second, third = (asyncio.create_task(pool.acquire()) for _ in range(2))
    await turns(2)
    pool.release(first, None)
    first.abort()
    # The place went to the third, the second waits before anybody else.
    assert await third is not first
    with pytest.raises(PoolTimeout):
        await second
    await pool.aclose()


async def test_an_expired_connection_is_not_taken_even_before_it_is_swept() -> None:
    async def connect() -> Connection:
        made = Plain()
        made.pool = pool
        return cast("Connection", made)

    pool = Pool(connect, PoolLimits(), timeout=5)
    connection = await pool.acquire()
    pool.release(connection, None)
    connection.expires = 0
    assert pool.take() is None
    assert connection.closed
    assert pool.open == 0
    await pool.aclose()


async def test_a_connection_that_died_as_it_was_made_is_not_given_out() -> None:
    async def connect() -> Connection:
        made = Plain()
        made.closed = True
        return cast("Connection", made)

    pool = Pool(connect, PoolLimits(), timeout=5)
    with pytest.raises(ConnectFailed, match="as soon as"):
        await pool.acquire()
    assert pool.open == 0
    await pool.aclose()


async def test_a_turn_that_is_lost_twice_is_not_passed_on_twice() -> None:
    async def connect() -> Connection:
        made = Plain()
        made.pool = pool
        return cast("Connection", made)

    pool = Pool(connect, PoolLimits(max_connections=1), timeout=5)
    first = await pool.acquire()
    second = asyncio.create_task(pool.acquire())
    await turns(2)
    pool.release(first, None)
    first.abort()
    second.cancel()
    with pytest.raises(asyncio.CancelledError):
        await second
    assert (pool.open, pool.waiting) == (0, 0)
    third = await pool.acquire()
    pool.release(third, None)
    assert await pool.acquire() is third
    await pool.aclose()


async def test_the_right_to_open_is_passed_on_too() -> None:
    async def connect() -> Connection:
        made = Plain()
        made.pool = pool
        return cast("Connection", made)

    pool = Pool(connect, PoolLimits(max_connections=1), timeout=5)
    first = await pool.acquire()
    second, third = (asyncio.create_task(pool.acquire()) for _ in range(2))
    await turns(2)
    first.abort()
    second.cancel()
    assert not (await third).closed
    assert (pool.open, pool.waiting) == (1, 0)
    await pool.aclose()


async def test_a_sweep_leaves_what_may_go_on_idling() -> None:
    async def connect() -> Connection:
        made = Plain()
        made.pool = pool
        return cast("Connection", made)

    pool = Pool(connect, PoolLimits(keepalive_expiry=0.08), timeout=5)
    old, young = await pool.acquire(), await pool.acquire()
    pool.release(old, None)
    pool.release(young, None)
    young.expires += 60
    await eventually(lambda: old.closed)
    assert pool.idle == 1
    await pool.aclose()


async def test_a_turn_that_came_just_in_time_counts() -> None:
    waiter: asyncio.Future[Connection | None] = asyncio.get_running_loop().create_future()
    waiter.set_result(None)
    _give_up(waiter)
    assert waiter.result() is None


async def test_closing_waits_for_every_socket() -> None:
    async def connect() -> Connection:
        made = Plain()
        made.pool = pool
        return cast("Connection", made)

    class Lingering(Pool):
        def gone(self, connection: Connection) -> None:
            asyncio.get_running_loop().call_soon(super().gone, connection)

    pool = Lingering(connect, PoolLimits(), timeout=5)
    for connection in [await pool.acquire(), await pool.acquire()]:
        pool.release(connection, None)
    await pool.aclose()
    assert not pool._sockets


async def test_what_the_upstream_promises_shortens_the_expiry() -> None:
    async def connect() -> Connection:
        made = Plain()
        made.pool = pool
        return cast("Connection", made)

    pool = Pool(connect, PoolLimits(), timeout=5)
    connection = await pool.acquire()
    now = asyncio.get_running_loop().time()
    for promise, expected in [(None, 4), (3.0, 2), (1.0, 0.5), (60.0, 4)]:
        pool.release(connection, promise)
        assert connection.expires - now == pytest.approx(expected, abs=0.2)
        assert pool.take() is connection
    pool.release(connection, 0.0)
    assert connection.closed
    await pool.aclose()
