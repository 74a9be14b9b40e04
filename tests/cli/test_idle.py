"""A connection at rest is closed in time, by one timer."""

import asyncio
from collections.abc import Callable
from typing import Any

from veneer.cli.idle import Idle


class Loop:
    """A clock, and what is to be called."""

    def __init__(self) -> None:
        self.now = 100.0
        self.due: list[tuple[float, Callable[[], None]]] = []
        self.set = 0

    def time(self) -> float:
        """Return the time."""
        return self.now

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Any:
        """Remember a callback."""
        entry = (self.now + seconds, callback)
        self.due.append(entry)
        self.set += 1
        due = self.due

        class Handle:
            def cancel(self) -> None:
                due.remove(entry)

        return Handle()

    def pass_until(self, now: float) -> None:
        """Let time pass."""
        while self.due and min(self.due)[0] <= now:
            entry = min(self.due)
            self.due.remove(entry)
            self.now = entry[0]
            entry[1]()
        self.now = now


def resting() -> tuple[Idle, Loop, list[float]]:
    fake = Loop()
    loop: Any = fake
    closed: list[float] = []
    return Idle(loop, 5.0, lambda: closed.append(fake.now)), fake, closed


def test_a_connection_at_rest_is_closed() -> None:
    idle, loop, closed = resting()
    idle.begin()
    loop.pass_until(104.9)
    assert not closed
    loop.pass_until(110)
    assert closed == [105.0]


def test_work_sets_no_timer_and_its_end_begins_the_rest_anew() -> None:
    idle, loop, closed = resting()
    for second in range(101, 105):
        idle.begin()
        loop.pass_until(second)
        idle.end()
    assert loop.set == 1
    idle.begin()
    loop.pass_until(108.9)
    assert not closed
    loop.pass_until(120)
    assert closed == [109.0]


def test_a_connection_at_work_stays_open() -> None:
    idle, loop, closed = resting()
    idle.begin()
    idle.end()
    loop.pass_until(200)
    assert not closed
    assert not loop.due
    idle.begin()
    loop.pass_until(300)
    assert closed == [205.0]


def test_nothing_is_left_of_a_closed_connection() -> None:
    idle, loop, closed = resting()
    idle.stop()
    idle.begin()
    idle.stop()
    loop.pass_until(200)
    assert not closed
    assert not loop.due


async def test_a_real_loop_has_what_it_takes() -> None:
    closed = asyncio.Event()
    Idle(asyncio.get_running_loop(), 0.0, closed.set).begin()
    await closed.wait()
