"""Who decides while whoever counts is away, and who settles what was taken."""

import asyncio
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.clock import Clock
from tests.limiters.scripted import (
    CLOSED,
    LOCAL,
    LONG,
    OPEN,
    Deed,
    Room,
    Scripted,
    begun,
    charge,
)
from veneer.limiters.guarded import Guarded
from veneer.quotas.limiter import Decision, LimiterUnavailableError
from veneer.quotas.quota import Charge


async def test_while_the_limiter_answers_it_alone_decides_and_settles() -> None:
    room = Room()
    decision = await room.take(OPEN, CLOSED, LOCAL)
    room.guard.settle(decision.taken, 5)

    assert [s.policy for s in decision.standings] == [
        "open-requests@far",
        "closed-requests@far",
        "local-requests@far",
    ]
    assert [tokens for _, tokens in room.far.settled] == [5]
    assert +room.far.open == {}
    assert room.near.asked == []
    assert room.guard.failures == 0


async def test_a_refusal_is_no_failure() -> None:
    room = Room("refuse")
    for _ in range(3):
        assert (await room.take()).refused == (0,)
    assert len(room.far.asked) == 3
    assert room.guard.failures == 0


async def test_an_open_quota_admits_uncounted() -> None:
    room = Room("fail")
    for cost in (1, 0, 10_000):
        decision = await room.take(charge("open", cost))
        (standing,) = decision.standings
        assert (decision.refused, decision.wait, decision.taken) == ((), 0.0, None)
        assert (standing.policy, standing.unit) == ("open-requests", "requests")
        assert (standing.limit, standing.remaining, standing.reset) == (10, 10, 0.0)
        assert standing.window == 60.0
    assert room.near.asked == []


async def test_a_closed_quota_refuses_all_and_nothing_is_taken_anywhere() -> None:
    room = Room("fail")
    for _ in range(3):
        with pytest.raises(LimiterUnavailableError, match="'closed-requests' admits nothing"):
            await room.take(OPEN, LOCAL, CLOSED)
    assert room.near.asked == []
    assert +room.far.open == {}


async def test_what_only_asks_about_a_closed_quota_passes() -> None:
    room = Room("fail")
    decision = await room.take(LOCAL, charge("closed", 0))
    assert decision.refused == ()
    assert [s.remaining for s in decision.standings] == [9, 10]
    assert room.near.asked == [[LOCAL]]


async def test_a_local_quota_is_decided_and_settled_in_this_process() -> None:
    room = Room("fail")
    decision = await room.take(LOCAL)
    assert decision.standings[0].policy == "local-requests@near"

    room.far.deed = "admit"
    room.clock.now += 1.0
    again = await room.take(LOCAL)
    room.guard.settle(again.taken, 2)
    room.guard.settle(decision.taken, 3)
    assert room.near.settled == [(("near", 1), 3)]
    assert room.far.settled == [(("far", 2), 2)]


async def test_standings_and_refusals_keep_the_order_of_the_charges() -> None:
    room = Room("fail")
    room.near.deed = "refuse"
    tokens = charge("local", 400, "tokens")
    decision = await room.take(charge("closed", 0), LOCAL, OPEN, tokens, charge("open", 3))

    assert [s.policy for s in decision.standings] == [
        "closed-requests",
        "local-requests@near",
        "open-requests",
        "local-tokens@near",
        "open-requests",
    ]
    assert room.near.asked == [[LOCAL, tokens]]
    assert (decision.refused, decision.wait, decision.taken) == ((3,), 7.0, None)


async def test_a_local_limiter_that_can_count_no_more_says_so() -> None:
    room = Room("fail")
    room.near.deed = "fail"
    with pytest.raises(LimiterUnavailableError, match="refused"):
        await room.take(LOCAL)


async def test_without_one_of_its_own_it_makes_a_local_limiter_that_keeps_its_counts() -> None:
    clock, far = Clock(), Scripted("far", "fail")
    guard = Guarded(far, timeout=LONG, clock=clock)
    tokens = charge("local", 4, "tokens")
    kept: list[Any] = []

    async def outage() -> list[bool]:
        far.deed = "fail"
        decisions = [await guard.take([tokens]) for _ in range(3)]
        kept.extend(decision.taken for decision in decisions if not decision.refused)
        far.deed = "admit"
        clock.now += 1.0
        assert (await guard.take([tokens])).standings[0].policy == "local-tokens@far"
        return [not decision.refused for decision in decisions]

    assert await outage() == [True, True, False]
    assert await outage() == [False, False, False]
    for taken in kept:
        guard.settle(taken, 0)
    assert await outage() == [True, True, False]


async def test_it_can_be_used_where_both_limiters_can() -> None:
    room = Room()
    async with room.guard.lifespan(), room.guard.lifespan():
        assert (room.far.entered, room.near.entered) == (2, 2)
    assert (room.far.entered, room.near.entered) == (0, 0)
    async with Guarded(room.far).lifespan():
        assert room.far.entered == 1


@pytest.mark.parametrize("timeout", [0.0, -1.0, float("inf"), float("nan")])
def test_a_timeout_is_a_positive_number(timeout: float) -> None:
    with pytest.raises(ValueError, match="positive number of seconds"):
        Guarded(Scripted(), timeout=timeout)


DEEDS = st.sampled_from(["admit", "refuse", "fail", "full", "late", "hang"])
CHARGES = st.lists(st.builds(charge, st.sampled_from(["open", "closed", "local"])), max_size=3)
STEPS = st.tuples(DEEDS, st.lists(CHARGES, min_size=1, max_size=3), st.floats(0, 12), st.booleans())


async def play(steps: list[tuple[Deed, list[list[Charge]], float, bool]]) -> Room:
    """Make several takes at once with each deed; settle now, or when all is over."""
    room = Room(timeout=0.001)
    room.near.deed = "admit"
    held: list[Any] = []
    for deed, takes, seconds, leave in steps:
        room.far.deed = deed
        tasks = await begun(*(room.guard.take(charges) for charges in takes))
        if leave:
            tasks[0].cancel()
        for answer in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(answer, Decision):
                if answer.taken is not None:
                    held.append(answer.taken)
            else:
                assert isinstance(answer, LimiterUnavailableError | asyncio.CancelledError)
        room.clock.now += seconds
        if seconds > 6:
            room.guard.settle(held.pop(), 1) if held else None
    for taken in held:
        room.guard.settle(taken, 1)
    return room


@settings(max_examples=60, deadline=None)
@given(st.lists(STEPS, max_size=8))
def test_whatever_fails_all_that_is_taken_is_settled_once_by_whoever_took_it(
    steps: list[tuple[Deed, list[list[Charge]], float, bool]],
) -> None:
    room = asyncio.run(play(steps))
    for limiter in (room.far, room.near):
        assert set(limiter.open.values()) <= {0}
        assert {owner for (owner, _), _ in limiter.settled} <= {limiter.name}
