"""Guesses: how many failures a peer has, and how they drain."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.clock import Clock
from veneer.auth import guesses as module
from veneer.auth.guesses import Guesses

HERE, THERE = b"here", b"there"


def test_failures_up_to_the_limit_find_room_and_then_drain() -> None:
    clock = Clock(100.0)
    guesses = Guesses(limit=3, window=60, clock=clock)
    assert guesses.quiet
    assert [guesses.failed(HERE) for _ in range(4)] == [0, 0, 0, pytest.approx(20)]
    assert guesses.over(HERE)
    assert not guesses.over(THERE)
    clock.now += 20
    assert not guesses.over(HERE)
    assert guesses.failed(HERE) == 0
    assert guesses.failed(HERE) == pytest.approx(20)


def test_a_refused_failure_does_not_lengthen_the_wait() -> None:
    clock = Clock(100.0)
    guesses = Guesses(limit=1, window=10, clock=clock)
    guesses.failed(HERE)
    for _ in range(100):
        assert guesses.failed(HERE) == pytest.approx(10)


@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.floats(0, 50, allow_nan=False)), min_size=1, max_size=200
    )
)
def test_no_window_has_more_than_twice_the_limit(events: list[tuple[int, float]]) -> None:
    clock = Clock(100.0)
    guesses = Guesses(limit=5, window=60, clock=clock)
    passed: dict[int, list[float]] = {}
    for peer, delay in events:
        clock.now += delay
        if guesses.failed(bytes([peer])) == 0:
            passed.setdefault(peer, []).append(clock.now)
    for times in passed.values():
        for start in times:
            assert sum(start <= time < start + 60 for time in times) <= 10


def test_peers_are_forgotten_once_they_are_quiet() -> None:
    clock = Clock(100.0)
    guesses = Guesses(limit=3, window=60, clock=clock)
    guesses.failed(HERE)
    assert not guesses.over(THERE)
    assert not guesses.quiet
    clock.now += 20
    assert not guesses.over(THERE)
    assert guesses.quiet


def test_memory_is_bounded_and_the_quietest_peer_goes_first() -> None:
    guesses = Guesses(limit=1, max_peers=100)
    for number in range(1000):
        guesses.failed(b"%d" % number)
        guesses.failed(HERE)
    assert len(guesses._buckets) == 100
    assert guesses.over(HERE)
    assert not guesses.over(b"0")


def test_what_is_remembered_as_good_is_bounded() -> None:
    guesses = Guesses()
    for number in range(module.MAX_REMEMBERED + 1):
        guesses.remember(f"key-{number}")
    assert not guesses.is_good("key-0")
    assert guesses.is_good("key-1")


async def test_a_peer_has_few_turns_at_a_time_and_others_have_their_own() -> None:
    guesses = Guesses(at_once=2)
    running = {HERE: 0, THERE: 0}
    most = {HERE: 0, THERE: 0}
    hold = asyncio.Event()

    async def attempt(peer: bytes) -> None:
        async with guesses.turn(peer):
            running[peer] += 1
            most[peer] = max(most[peer], running[peer])
            await hold.wait()
            running[peer] -= 1

    tasks = [asyncio.create_task(attempt(peer)) for peer in [HERE] * 5 + [THERE] * 3]
    await asyncio.sleep(0)
    assert running == {HERE: 2, THERE: 2}
    tasks[0].cancel()
    tasks[4].cancel()
    hold.set()
    await asyncio.wait(tasks)
    assert most == {HERE: 2, THERE: 2}
    assert guesses._gates == {}


@pytest.mark.parametrize("wrong", [{"limit": 0}, {"window": 0}, {"at_once": 0}, {"max_peers": 0}])
def test_numbers_that_cannot_be_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="more than 0"):
        Guesses(**wrong)  # type: ignore[arg-type]  # numbers all
