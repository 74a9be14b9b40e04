"""The limiter in memory: what it takes, settles, forgets and refuses to forget."""

import asyncio
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.clock import Clock
from veneer.limiters.memory import MemoryLimiter
from veneer.quotas.limiter import Decision, Limiter, LimiterUnavailableError
from veneer.quotas.quota import CONCURRENT, REQUESTS, TOKENS, Charge, Quota

MINUTE = Quota(policy="requests", unit=REQUESTS, limit=60, window=60)
DAY = Quota(policy="requests", unit=REQUESTS, limit=10_000, window=86_400)
WORDS = Quota(policy="words", unit=TOKENS, limit=100, window=50)
EXACT = Quota(policy="exact", unit=TOKENS, limit=100, window=59, strict=True)
SLOTS = Quota(policy="slots", unit=CONCURRENT, limit=10)
ME = ("me",)


def charges(*pairs: tuple[Quota, int], partition: tuple[str, ...] = ME) -> list[Charge]:
    return [Charge(quota, partition, cost) for quota, cost in pairs]


async def left(limiter: Limiter, *quotas: Quota, partition: tuple[str, ...] = ME) -> list[int]:
    decision = await limiter.take([Charge(quota, partition, 0) for quota in quotas])
    return [standing.remaining for standing in decision.standings]


async def admitted(limiter: Limiter, asked: Sequence[Charge]) -> Decision:
    decision = await limiter.take(asked)
    assert not decision.refused
    return decision


async def test_what_is_taken_is_missing_until_it_is_settled_or_comes_back() -> None:
    clock = Clock()
    limiter: Limiter = MemoryLimiter(clock=clock)
    async with limiter.lifespan():
        asked = charges((MINUTE, 1), (WORDS, 40), (EXACT, 40), (SLOTS, 1))
        decision = await admitted(limiter, asked)
        assert [standing.remaining for standing in decision.standings] == [59, 60, 60, 9]

        limiter.settle(decision.taken, 10)
        assert await left(limiter, MINUTE, WORDS, EXACT, SLOTS) == [59, 90, 90, 10]
        clock.now += 59
        assert await left(limiter, MINUTE, WORDS, EXACT, SLOTS) == [60, 100, 90, 10]
        clock.now += 1
        assert await left(limiter, EXACT) == [100]


async def test_refused_tokens_give_nothing_to_settle_and_keep_the_request() -> None:
    limiter = MemoryLimiter(clock=Clock())
    decision = await limiter.take(charges((MINUTE, 1), (WORDS, 101), (SLOTS, 1)))
    assert decision.refused == (1,)
    assert decision.wait == float("inf")
    assert decision.taken is None
    assert await left(limiter, MINUTE, WORDS, SLOTS) == [59, 100, 10]


async def test_requests_alone_leave_nothing_to_settle() -> None:
    assert (await MemoryLimiter().take(charges((MINUTE, 1), (WORDS, 0)))).taken is None


async def test_a_debt_goes_in_though_the_counter_has_ended_and_was_dropped() -> None:
    clock = Clock()
    limiter = MemoryLimiter(clock=clock)
    decision = await admitted(limiter, charges((WORDS, 10), (EXACT, 10)))
    clock.now += 100
    await limiter.take(charges((MINUTE, 1)))
    assert len(limiter._meters) == 1

    limiter.settle(decision.taken, 160)
    assert await left(limiter, WORDS, EXACT) == [0, 0]
    clock.now += 30
    assert await left(limiter, WORDS, EXACT) == [10, 0]


@pytest.mark.parametrize("quota", [WORDS, EXACT], ids=["bucket", "ring"])
async def test_a_counter_that_has_ended_gives_nothing_back_to_the_one_after_it(
    quota: Quota,
) -> None:
    clock = Clock()
    limiter = MemoryLimiter(clock=clock)
    decision = await admitted(limiter, charges((quota, 100)))
    clock.now += 100
    await limiter.take(charges((MINUTE, 1)))
    assert len(limiter._meters) == 1
    await limiter.take(charges((quota, 80)))

    limiter.settle(decision.taken, 0)
    assert await left(limiter, quota) == [20]


async def test_partitions_are_told_apart_whatever_they_are_called() -> None:
    limiter = MemoryLimiter(clock=Clock())
    names = [("a", "b"), ("a/b",), ("a\nb",), ("ab", ""), ("", "ab"), ("ab",), (), ("x" * 10_000,)]
    for name in names:
        await admitted(limiter, charges((WORDS, 100), partition=name))
    assert len(limiter._meters) == len(names)


async def test_windows_of_one_policy_are_counted_apart() -> None:
    limiter = MemoryLimiter(clock=Clock())
    for _ in range(60):
        await admitted(limiter, charges((MINUTE, 1), (DAY, 1)))
    decision = await limiter.take(charges((MINUTE, 1), (DAY, 1)))
    assert decision.refused == (0,)
    assert [standing.remaining for standing in decision.standings] == [0, 9940]


async def test_calls_that_interleave_are_never_over_and_leave_nothing() -> None:
    limiter = MemoryLimiter(clock=Clock())
    running = highest = served = 0

    async def call(number: int) -> None:
        nonlocal running, highest, served
        asked = charges((DAY, 1), (WORDS, 3), (SLOTS, 1))
        decision = await limiter.take(asked)
        while decision.refused:
            await asyncio.sleep(0)
            decision = await limiter.take(asked)
        running += 1
        highest = max(highest, running)
        for _ in range(number % 7):
            await asyncio.sleep(0)
        running -= 1
        served += 1
        limiter.settle(decision.taken, 0)

    await asyncio.gather(*(call(number) for number in range(200)))
    assert served == 200
    assert highest == 10
    assert await left(limiter, WORDS, SLOTS) == [100, 10]


async def test_tokens_of_calls_that_interleave_are_never_over() -> None:
    clock = Clock()
    limiter = MemoryLimiter(clock=clock)
    used = 0

    async def call(number: int) -> None:
        nonlocal used
        decision = await limiter.take(charges((WORDS, 7)))
        for _ in range(100):
            if not decision.refused:
                break
            await asyncio.sleep(0)
            decision = await limiter.take(charges((WORDS, 7)))
        else:
            return
        for _ in range(number % 5):
            await asyncio.sleep(0)
        used += number % 8
        limiter.settle(decision.taken, number % 8)

    await asyncio.gather(*(call(number) for number in range(200)))
    assert 100 - 7 < used <= 100
    assert await left(limiter, WORDS) == [100 - used]


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(1, 60), st.integers(0, 90)), max_size=40))
async def test_what_was_taken_and_settled_balances(
    calls: list[tuple[int, int, int]],
) -> None:
    limiter = MemoryLimiter(clock=Clock())
    running, used = [], 0
    for ends, cost, tokens in calls:
        decision = await limiter.take(charges((WORDS, cost), (EXACT, cost), (SLOTS, 1)))
        if not decision.refused:
            running.append(decision.taken)
        if running and ends:
            limiter.settle(running.pop(ends % len(running)), tokens)
            used += tokens
    for taken in running:
        limiter.settle(taken, 0)
    assert await left(limiter, SLOTS) == [10]
    assert await left(limiter, WORDS, EXACT) == [max(0, 100 - used)] * 2


async def test_counters_that_have_ended_are_dropped_while_others_are_made() -> None:
    """A caller a second for a simulated day of distinct callers, scaled down from ten millions."""
    clock = Clock()
    limiter = MemoryLimiter(clock=clock)
    most = 0
    for number in range(20_000):
        clock.now += 0.1
        await limiter.take(charges((MINUTE, 1), (DAY, 1), partition=(str(number),)))
        most = max(most, len(limiter._meters))
    # A unit flows out in a second and in 8.64: alive are 10 counters, and 87.
    assert most <= 2 * 97 + 2
    assert len(limiter._oldest) == len(limiter._meters)


async def test_slots_are_dropped_once_the_last_call_has_ended_and_not_before() -> None:
    limiter = MemoryLimiter(clock=Clock())
    first = await limiter.take(charges((SLOTS, 1)))
    second = await limiter.take(charges((SLOTS, 1)))
    limiter.settle(first.taken, 0)
    await limiter.take(charges((MINUTE, 1)))
    assert await left(limiter, SLOTS) == [9]
    limiter.settle(second.taken, 0)
    await limiter.take(charges((DAY, 1)))
    assert len(limiter._meters) == len(limiter._oldest) == 2


async def test_asking_and_being_refused_leave_no_counter() -> None:
    limiter = MemoryLimiter(clock=Clock())
    await limiter.take(charges((WORDS, 0), (SLOTS, 0)))
    await limiter.take(charges((WORDS, 101), (SLOTS, 11)))
    assert not limiter._meters


async def test_a_live_counter_is_never_forgotten_so_there_may_be_no_room() -> None:
    clock = Clock()
    limiter = MemoryLimiter(max_partitions=3, clock=clock)
    for number in range(3):
        await limiter.take(charges((WORDS, 50), partition=(str(number),)))

    with pytest.raises(LimiterUnavailableError, match="holds 3 counters"):
        await limiter.take(charges((WORDS, 1), partition=("3",)))
    # Those who are known are served, and it may be asked how others stand.
    assert not (await limiter.take(charges((WORDS, 50), partition=("0",)))).refused
    assert await left(limiter, WORDS, partition=("3",)) == [100]

    clock.now += 25
    assert not (await limiter.take(charges((WORDS, 1), partition=("3",)))).refused
    assert await left(limiter, WORDS, partition=("0",)) == [50]


async def test_a_refusal_for_want_of_room_takes_nothing() -> None:
    limiter = MemoryLimiter(max_partitions=3, clock=Clock())
    await limiter.take(charges((MINUTE, 1), (DAY, 1)))
    with pytest.raises(LimiterUnavailableError):
        await limiter.take(charges((MINUTE, 1), (WORDS, 10), (SLOTS, 1)))
    assert await left(limiter, MINUTE, WORDS, SLOTS) == [59, 100, 10]


@pytest.mark.parametrize("number", [0, -1])
def test_a_limiter_for_nobody_cannot_be(number: int) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        MemoryLimiter(max_partitions=number)


async def test_a_counter_that_has_ended_is_not_dropped_by_the_request_that_uses_it() -> None:
    clock = Clock()
    limiter = MemoryLimiter(clock=clock)
    await admitted(limiter, charges((MINUTE, 60)))
    clock.now += 60
    # Room for the new counter is made by dropping those that have ended.
    await admitted(limiter, [Charge(MINUTE, ME, 60), Charge(WORDS, ("new",), 1)])
    assert await left(limiter, MINUTE) == [0]
