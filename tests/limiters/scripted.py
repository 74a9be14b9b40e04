"""Limiters that do what a test tells them to and keep account of what they took; a guard of two."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Literal

import pytest

from tests.clock import Clock
from veneer.facts import Standing
from veneer.limiters.guarded import Guarded
from veneer.quotas.limiter import (
    Decision,
    LimiterBusyError,
    LimiterFullError,
    LimiterUnavailableError,
)
from veneer.quotas.quota import Charge, OnFailure, Quota, Unit

# Long enough that nothing which is under way here is ever late.
LONG = 20.0
# Of what does hang, and must be given up.
SHORT = 0.01

Deed = Literal["admit", "refuse", "fail", "busy", "full", "late", "hang", "wait"]


class Scripted:
    """Does its present `deed` whenever it is asked.

    `hang` never ends; `late` is one that had been executed when it is cancelled, which is made up
    for as limiters must; `wait` admits once `go` is set. `open` holds how often each thing taken is
    still to be settled.
    """

    def __init__(self, name: str = "far", deed: Deed = "admit") -> None:
        self.name = name
        self.deed = deed
        self.go = asyncio.Event()
        self.asked: list[list[Charge]] = []
        self.settled: list[tuple[Any, int]] = []
        self.open: Counter[Any] = Counter()
        self.cancelled = 0
        self.entered = 0

    async def take(self, charges: Sequence[Charge], /) -> Decision:
        """Do the present deed."""
        self.asked.append(list(charges))
        taken = (self.name, len(self.asked))
        if self.deed == "fail":
            raise LimiterUnavailableError("connection refused") from ConnectionRefusedError(111)
        if self.deed == "busy":
            raise LimiterBusyError("locked")
        if self.deed == "full":
            raise LimiterFullError("no row is free")
        if self.deed == "late":
            self.open[taken] += 1
        if self.deed in ("late", "hang", "wait"):
            try:
                await self.go.wait()
            except asyncio.CancelledError:
                self.cancelled += 1
                del self.open[taken]
                raise
        standings = tuple(_standing(charge, self.name) for charge in charges)
        if self.deed == "refuse":
            last = len(charges) - 1
            return Decision(standings=standings, refused=(last,), wait=7.0)
        self.open[taken] = 1
        return Decision(standings=standings, taken=taken)

    def settle(self, taken: Any, tokens: int, /) -> None:
        """Note it."""
        self.settled.append((taken, tokens))
        self.open[taken] -= 1

    def lifespan(self) -> AbstractAsyncContextManager[object]:
        """Count who is inside."""
        return self._lifespan()

    @asynccontextmanager
    async def _lifespan(self) -> AsyncIterator[None]:
        self.entered += 1
        yield
        self.entered -= 1


def _standing(charge: Charge, name: str) -> Standing:
    quota = charge.quota
    return Standing(
        policy=f"{quota.policy}@{name}",
        unit=quota.unit,
        limit=quota.limit,
        window=quota.window,
        remaining=quota.limit - charge.cost,
        reset=1.0,
    )


def charge(on_failure: OnFailure, cost: int = 1, unit: Unit = "requests") -> Charge:
    """Return a charge of a quota that is named by its policy for failures, and its unit."""
    quota = Quota(
        policy=f"{on_failure}-{unit}", unit=unit, limit=10, window=60.0, on_failure=on_failure
    )
    return Charge(quota, ("key", "a/b\n"), cost)


OPEN, CLOSED, LOCAL = charge("open"), charge("closed"), charge("local")


class Room:
    """A guard with a clock, a limiter and a local one that are a test's own."""

    def __init__(self, deed: Deed = "admit", *, timeout: float = LONG) -> None:
        self.clock = Clock()
        self.far = Scripted("far", deed)
        self.near = Scripted("near")
        self.guard = Guarded(self.far, timeout=timeout, local=self.near, clock=self.clock)

    async def take(self, *charges: Charge) -> Decision:
        """Take what is charged; something of an open quota, if nothing is said."""
        return await self.guard.take(charges or (OPEN,))


async def begun(*coroutines: Any) -> list[asyncio.Task[Any]]:
    """Start tasks, and return once each has come as far as it can."""
    tasks = [asyncio.create_task(coroutine) for coroutine in coroutines]
    await asyncio.sleep(0)
    return tasks


async def cancelled(task: asyncio.Task[Any]) -> None:
    """Cancel a task, and see that it ends so."""
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
