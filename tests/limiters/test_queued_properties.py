"""The queue under any interleaving: never over, in order, and everything given back."""

import asyncio
import random
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.limiters.virtual import run, timers
from veneer.limiters.memory import MemoryLimiter
from veneer.limiters.queued import Queued
from veneer.quotas.limiter import Decision, LimiterUnavailableError
from veneer.quotas.quota import CONCURRENT, REQUESTS, TOKENS, Charge, Quota

ALL = Quota(policy="all", unit=CONCURRENT, limit=3)
OWN = Quota(policy="own", unit=CONCURRENT, limit=2)
WORDS = Quota(policy="words", unit=TOKENS, limit=50, window=1)
CALLS = Quota(policy="calls", unit=REQUESTS, limit=20, window=1)
MAX_WAIT = 0.4


class Visit(NamedTuple):
    """One request: when it comes, whose it is, what it wants, how long it stays, if it may."""

    come: float
    who: str
    words: int
    stay: float
    patience: float

    def charges(self) -> list[Charge]:
        """Return what it takes."""
        return [
            Charge(CALLS, (), 1),
            Charge(ALL, (), 1),
            Charge(OWN, (self.who,), 1),
            Charge(WORDS, (self.who,), self.words),
        ]


MOMENTS = st.integers(0, 40).map(lambda hundredths: hundredths / 100)
VISITS = st.lists(
    st.builds(
        Visit,
        come=MOMENTS,
        who=st.sampled_from("abc"),
        words=st.sampled_from([0, 1, 20, 50, 51]),
        stay=MOMENTS,
        patience=st.sampled_from([0.0, 0.05, 0.1, 0.3, 9.0]),
    ),
    max_size=40,
)


class Counting:
    """The limiter behind the queue: it may be slow and fail, and counts what is out."""

    def __init__(self, seed: int | None) -> None:
        self.inner = MemoryLimiter(clock=asyncio.get_running_loop().time)
        self.random = None if seed is None else random.Random(seed)  # noqa: S311 - a test's delays
        self.running: list[Charge] = []
        self.settled: list[int] = []
        self.calls = 0

    async def _dawdle(self) -> None:
        if self.random is not None:
            await asyncio.sleep(self.random.choice([0, 0.001, 0.02]))

    async def take(self, charges: Sequence[Charge], /) -> Decision:
        """Ask the limiter in memory, and see that no slot is given twice."""
        await self._dawdle()
        if self.random is not None and self.random.random() < 0.1:
            raise LimiterUnavailableError("gone")
        decision = await self.inner.take(charges)
        if not any(charges[index].quota.unit == REQUESTS for index in decision.refused):
            self.calls += sum(charge.cost for charge in charges if charge.quota.unit == REQUESTS)
        if decision.taken is not None:
            slots = [charge for charge in charges if charge.quota.unit == CONCURRENT]
            self.running += slots
            assert sum(charge.quota is ALL for charge in self.running) <= ALL.limit
            assert all(self.running.count(charge) <= charge.quota.limit for charge in slots)
            decision = Decision(
                standings=decision.standings,
                refused=decision.refused,
                wait=decision.wait,
                taken=(decision.taken, slots),
            )
        try:
            await self._dawdle()
        except asyncio.CancelledError:
            if decision.taken is not None:
                self.settle(decision.taken, 0)
            raise
        return decision

    def settle(self, taken: Any, tokens: int, /) -> None:
        """Settle, which has to be owed."""
        inner, slots = taken
        for charge in slots:
            self.running.remove(charge)
        self.settled.append(tokens)
        self.inner.settle(inner, tokens)

    def lifespan(self) -> AbstractAsyncContextManager[object]:
        """Return that of the limiter in memory."""
        return self.inner.lifespan()


class House:
    """Visits that come and go, and what became of them."""

    def __init__(self, seed: int | None, max_waiting: int) -> None:
        self.now = asyncio.get_running_loop().time
        self.limiter = Counting(seed)
        self.queued = Queued(
            self.limiter, max_wait=MAX_WAIT, max_waiting=max_waiting, clock=self.now
        )
        self.came: dict[frozenset[Any], list[int]] = {}
        self.admitted: dict[frozenset[Any], list[int]] = {}

    async def host(self, number: int, visit: Visit) -> None:
        """Let one come, wait, stay and go."""
        await asyncio.sleep(visit.come)
        line = frozenset((visit.who, visit.words > 0))
        self.came.setdefault(line, []).append(number)
        start = self.now()
        try:
            async with asyncio.timeout(visit.patience):
                decision = await self.queued.take(visit.charges())
        except (TimeoutError, LimiterUnavailableError):
            return
        # Two questions, each as slow as can be, on both sides of the wait.
        assert self.now() - start <= MAX_WAIT + 0.1
        assert [standing.policy for standing in decision.standings] == [
            "calls",
            "all",
            "own",
            "words",
        ]
        if decision.refused:
            assert decision.wait > 0
            return
        self.admitted.setdefault(line, []).append(number)
        await asyncio.sleep(visit.stay)
        self.queued.settle(decision.taken, visit.words)

    def no_slot_is_idle(self) -> None:
        """See that whoever is first and waits for a slot alone waits for one that is taken."""
        for key, counter in self.queued._lines._counters.items():
            if counter.stuck and key[0] != WORDS.id and key[0] != CALLS.id:
                running = sum(
                    (charge.quota.id, charge.partition) == key for charge in self.limiter.running
                )
                assert running == (ALL if key[0] == ALL.id else OWN).limit
            assert counter.asking or counter.timer is not None
            assert counter.stuck or counter.asking or not counter.queue

    async def oversee(self) -> None:
        """Look now and then, when everybody has had his turns."""
        for _ in range(60):
            await asyncio.sleep(0.0171)
            loop = vars(asyncio.get_running_loop())
            while loop["_ready"]:  # noqa: ASYNC110 - nothing tells that a loop has come to rest
                await asyncio.sleep(0)
            self.no_slot_is_idle()


async def play(visits: list[Visit], seed: int | None, max_waiting: int) -> House:
    house = House(seed, max_waiting)
    async with asyncio.TaskGroup() as group:
        for number, visit in enumerate(visits):
            group.create_task(house.host(number, visit))
        if seed is None:
            group.create_task(house.oversee())
    queued = house.queued
    assert house.limiter.running == []
    assert not queued._waiting
    assert not queued._lines
    assert not queued._lines._lines
    assert not queued._came_back
    assert timers() == []
    assert house.limiter.calls <= len(visits)
    return house


@settings(max_examples=100, deadline=None)
@given(visits=VISITS, max_waiting=st.sampled_from([1, 5, 1000]))
def test_never_over_and_in_order(visits: list[Visit], max_waiting: int) -> None:
    async def main() -> None:
        house = await play(visits, None, max_waiting)
        for line, admitted in house.admitted.items():
            assert admitted == [number for number in house.came[line] if number in admitted]

    run(main())


@settings(max_examples=100, deadline=None)
@given(visits=VISITS, max_waiting=st.sampled_from([1, 5, 1000]), seed=st.integers(0, 999))
def test_nothing_is_lost_where_the_limiter_is_slow_and_fails(
    visits: list[Visit], max_waiting: int, seed: int
) -> None:
    async def main() -> None:
        await play(visits, seed, max_waiting)

    run(main())
