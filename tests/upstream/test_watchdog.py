"""The watchdog, on a clock of its own."""

import asyncio
import math
from collections.abc import Callable
from typing import cast

from veneer.upstream.watchdog import Watchdog


class Handle:
    """A timer that can be taken back."""

    def __init__(self) -> None:
        self.cancelled = False

    def cancel(self) -> None:
        """Take it back."""
        self.cancelled = True


class Clock:
    """As much of an event loop as a watchdog needs."""

    def __init__(self) -> None:
        self.now = 0.0
        self.timers: list[tuple[float, Callable[[], None], Handle]] = []
        self.armed = 0

    def time(self) -> float:
        """Return the time set."""
        return self.now

    def call_at(self, when: float, callback: Callable[[], None]) -> Handle:
        """Keep a timer."""
        self.armed += 1
        handle = Handle()
        self.timers.append((when, callback, handle))
        return handle

    def advance(self, seconds: float) -> None:
        """Let time pass, and fire what is due."""
        until = self.now + seconds
        while due := [timer for timer in self.timers if timer[0] <= until]:
            timer = min(due, key=lambda each: each[0])
            self.timers.remove(timer)
            self.now = max(self.now, timer[0])
            if not timer[2].cancelled:
                timer[1]()
        self.now = until


def watched() -> tuple[Clock, Watchdog, list[float]]:
    clock = Clock()
    barks: list[float] = []
    watchdog = Watchdog(cast("asyncio.AbstractEventLoop", clock), lambda: barks.append(clock.now))
    return clock, watchdog, barks


def test_a_deadline_that_passes_is_told_once() -> None:
    clock, watchdog, barks = watched()
    watchdog.limit(5)
    clock.advance(4.9)
    assert barks == []
    clock.advance(100)
    assert barks == [5]


def test_moving_a_deadline_on_costs_no_timer() -> None:
    clock, watchdog, barks = watched()
    for _ in range(1000):
        watchdog.limit(5)
        clock.advance(0.001)
    assert clock.armed == 1
    clock.advance(100)
    assert len(barks) == 1
    assert 5.9 < barks[0] < 6.1
    assert clock.armed == 2


def test_an_earlier_deadline_is_kept_too() -> None:
    clock, watchdog, barks = watched()
    watchdog.limit(600)
    watchdog.limit(3)
    clock.advance(1000)
    assert barks == [3]


def test_a_lifted_deadline_is_forgotten() -> None:
    clock, watchdog, barks = watched()
    watchdog.limit(5)
    watchdog.deadline = math.inf
    clock.advance(100)
    watchdog.limit(5)
    watchdog.lift()
    watchdog.lift()
    clock.advance(100)
    assert barks == []
    watchdog.limit(math.inf)
    assert clock.armed == 2
