"""Limits in a real Redis that is cut off, falls silent, and comes back."""

import asyncio
import time
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import pytest

from tests.clock import Clock
from tests.limiters.redises import SERVER
from tests.stores.databases import Gate
from veneer.limiters.guarded import Guarded
from veneer.limiters.redis import RedisLimiter
from veneer.quotas.limiter import Decision, LimiterUnavailableError
from veneer.quotas.quota import CONCURRENT, Charge, OnFailure, Quota, Unit

TIMEOUT = 0.2
# What a busy machine may add to it.
SLACK = 0.8


def charge(on_failure: OnFailure, unit: Unit = "tokens", limit: int = 3) -> Charge:
    window = 0.0 if unit == CONCURRENT else 3600.0
    quota = Quota(policy=on_failure, unit=unit, limit=limit, window=window, on_failure=on_failure)
    return Charge(quota, ("key",), 1)


class Outage:
    """A guarded limiter, and the way to its server."""

    def __init__(self, gate: Gate, prefix: str) -> None:
        self.gate = gate
        self.clock = Clock()
        self.limiter = RedisLimiter(f"redis://127.0.0.1:{gate.port}", prefix=prefix)
        self.guard = Guarded(self.limiter, timeout=TIMEOUT, clock=self.clock)

    async def take(self, *charges: Charge) -> Decision:
        """Take, in no more time than it may take."""
        began = time.monotonic()
        try:
            return await self.guard.take(charges)
        finally:
            assert time.monotonic() - began < TIMEOUT + SLACK

    async def recover(self) -> None:
        """Let the server be reached again, and the pause be over."""
        await self.gate.open()
        failures = self.guard.failures
        for _ in range(20):
            self.clock.now += 10.0
            await self.take(Charge(charge("open").quota, ("somebody", "else"), 0))
            if self.guard.failures == failures:
                return
            failures = self.guard.failures
        pytest.fail("the limiter did not come back")

    async def admitted(self, *charges: Charge) -> Decision:
        """Take as soon as Redis admits it."""
        for _ in range(100):
            decision = await self.take(*charges)
            if decision.taken is not None:
                return decision
            await asyncio.sleep(0.05)
        pytest.fail("never admitted")


@pytest.fixture
async def outage(prefix: str) -> AsyncIterator[Outage]:
    """Give a limiter that is in use."""
    server = urlsplit(SERVER)
    gate = Gate(server.hostname or "127.0.0.1", server.port or 6379)
    await gate.open()
    outage = Outage(gate, prefix)
    try:
        async with outage.guard.lifespan():
            # Connected: from here on it is the outage that is measured.
            await outage.recover()
            yield outage
    finally:
        await gate.close()


@pytest.mark.parametrize("silent", [False, True])
async def test_each_policy_while_redis_is_away_and_after(outage: Outage, *, silent: bool) -> None:
    opened, closed, local = charge("open"), charge("closed"), charge("local")
    everything = (opened, closed, local)
    assert [s.remaining for s in (await outage.take(*everything)).standings] == [2, 2, 2]

    if silent:
        outage.gate.silence()
        # Late once is no outage yet.
        await outage.take(opened)
        outage.clock.now += 0.25
    else:
        await outage.gate.close()
    for _ in range(5):
        assert (await outage.take(opened)).standings[0].remaining == 3
    with pytest.raises(LimiterUnavailableError):
        await outage.take(*everything)
    counted = [await outage.take(opened, local) for _ in range(4)]
    assert [d.standings[1].remaining for d in counted] == [2, 1, 0, 0]
    assert [d.refused for d in counted] == [(), (), (), (1,)]
    assert outage.guard.failures == 1 + silent

    await outage.recover()
    for decision in counted[:3]:
        outage.guard.settle(decision.taken, 1)
    assert [s.remaining for s in (await outage.take(closed, local)).standings] == [1, 1]
    assert (await outage.take(opened)).taken is not None


async def test_no_stampede_while_it_is_away_nor_when_it_is_back(outage: Outage) -> None:
    local = charge("local", limit=1000)
    await outage.gate.close()
    connections = outage.gate.connections
    for _ in range(5):
        outage.clock.now += 11.0
        await asyncio.gather(*(outage.take(local) for _ in range(50)))
    assert 5 <= outage.guard.failures <= 54

    await outage.gate.open()
    outage.clock.now += 11.0
    await asyncio.gather(*(outage.take(local) for _ in range(50)))
    assert outage.gate.connections == connections + 1
    decisions = await asyncio.gather(*(outage.take(local) for _ in range(20)))
    assert min(d.standings[0].remaining for d in decisions) == 1000 - 21


async def test_a_slot_that_was_taken_before_is_free_after_it_was_settled_meanwhile(
    outage: Outage,
) -> None:
    slot = charge("closed", "concurrent-requests", 1)
    taken = (await outage.take(slot)).taken
    assert (await outage.take(slot)).refused == (0,)
    await outage.gate.close()
    outage.guard.settle(taken, 0)
    with pytest.raises(LimiterUnavailableError):
        await outage.take(slot)

    await outage.recover()
    await outage.admitted(slot)


async def test_what_a_silent_redis_was_asked_for_is_given_back(outage: Outage) -> None:
    """A take that was late here may be executed when the server goes on: nobody settles it."""
    slot = charge("open", "concurrent-requests", 1)
    outage.gate.silence()
    assert (await outage.take(slot)).taken is None
    await outage.recover()
    await outage.admitted(slot)
