"""Patience: how long a try may take, with one timer for all the tries of a router."""

import asyncio
import math
from types import TracebackType
from typing import Self, cast


class Deadlines:
    """Looks after what has a deadline; most is over long before, and then costs no timer.

    The one timer stands at the earliest deadline there was when it was set. They belong to one
    event loop at a time.
    """

    __slots__ = ("_loop", "_pending", "_timer", "_timer_at")

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._pending: dict[Patience, float] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = math.inf

    def add(self, patience: "Patience", seconds: float) -> None:
        """Have this run out in so many seconds, unless it is dropped before."""
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self._loop = loop
            self._pending.clear()
            self._timer, self._timer_at = None, math.inf
        when = self._pending[patience] = loop.time() + seconds
        if when < self._timer_at:
            self._arm(loop, when)

    def drop(self, patience: "Patience") -> None:
        """Look after it no longer; one that is not there is no error."""
        self._pending.pop(patience, None)

    def _arm(self, loop: asyncio.AbstractEventLoop, when: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = loop.call_at(when, self._look, loop)
        self._timer_at = when

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        """Let run out what is due, and come again for the next."""
        if loop is not self._loop:
            return
        due = self._timer_at
        self._timer, self._timer_at = None, math.inf
        for patience in [each for each, when in self._pending.items() if when <= due]:
            del self._pending[patience]
            patience.run_out()
        if self._pending:
            self._arm(loop, min(self._pending.values()))


class Patience:
    """Cancels what runs inside it after so many seconds, and turns that into `TimeoutError`.

    It does as `asyncio.timeout` does, but that the timer is shared.
    """

    __slots__ = ("_cancelling", "_deadlines", "_seconds", "_task", "expired")

    def __init__(self, deadlines: Deadlines, seconds: float) -> None:
        # Whether the time has run out; after `lift` it does so no more.
        self.expired = False
        self._deadlines = deadlines
        self._seconds = seconds
        self._task: asyncio.Task[object]
        self._cancelling = 0

    def __enter__(self) -> Self:
        task = self._task = cast("asyncio.Task[object]", asyncio.current_task())
        self._cancelling = task.cancelling()
        self._deadlines.add(self, self._seconds)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._deadlines.drop(self)
        if (
            self.expired
            and self._task.uncancel() <= self._cancelling
            and kind is asyncio.CancelledError
        ):
            raise TimeoutError from error

    def lift(self) -> None:
        """Let it take as long as it will, from here on."""
        self._deadlines.drop(self)

    def run_out(self) -> None:
        """Cancel it: its time is over."""
        self.expired = True
        self._task.cancel()
