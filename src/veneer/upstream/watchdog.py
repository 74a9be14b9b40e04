"""A timeout that costs next to nothing while it is not reached."""

import asyncio
import math
from collections.abc import Callable


class Watchdog:
    """Calls `expired` once the loop's clock has passed `deadline`.

    Moving or lifting a deadline is a store; the one timer looks, when it fires, whether there still
    is a deadline, and where. Only a deadline earlier than the timer's costs a new timer.
    """

    __slots__ = ("_expired", "_loop", "_now", "_timer", "_timer_at", "deadline")

    def __init__(self, loop: asyncio.AbstractEventLoop, expired: Callable[[], None]) -> None:
        self.deadline = math.inf
        self._loop = loop
        self._now = loop.time
        self._expired = expired
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = math.inf

    def limit(self, seconds: float) -> None:
        """Set the deadline to `seconds` from now; infinity lifts it."""
        deadline = self.deadline = self._now() + seconds
        if deadline < self._timer_at:
            self._arm(deadline)

    def lift(self) -> None:
        """Have no deadline and no timer."""
        self.deadline = self._timer_at = math.inf
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self, when: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(when, self._look)
        self._timer_at = when

    def _look(self) -> None:
        self._timer = None
        self._timer_at = math.inf
        if self.deadline <= self._now():
            self.deadline = math.inf
            self._expired()
        elif self.deadline < math.inf:
            self._arm(self.deadline)
