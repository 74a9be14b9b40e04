"""The lookout: who is to look after a call once it has lasted a while, with one timer for all."""

import asyncio
from typing import Protocol

# Most calls are over before, and cost no timer, let alone a task; in seconds.
WATCH_AFTER = 0.025

# Who is due so soon after another is called together with it.
TOGETHER = 0.005


class Watchful(Protocol):
    """What looks after a call."""

    def look(self) -> None:
        """See to it: the call has lasted a while."""


class Lookout:
    """Calls `look` of what was added and not dropped, about `WATCH_AFTER` later.

    It is shared by calls that come one after the other, so that a timer comes once in a while and
    not with each of them. It belongs to one event loop at a time.
    """

    __slots__ = ("_due", "_loop", "_timer")

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        # In the order of their times, as the wait is the same for all.
        self._due: dict[Watchful, float] = {}
        self._timer: asyncio.TimerHandle | None = None

    def add(self, watchful: Watchful) -> None:
        """Call it in a while, if it is not to be called already."""
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self._loop = loop
            self._due = {}
            self._timer = None
        if watchful not in self._due:
            when = self._due[watchful] = loop.time() + WATCH_AFTER
            if self._timer is None:
                self._timer = loop.call_at(when, self._look, loop)

    def drop(self, watchful: Watchful) -> None:
        """Call it no more; one that is not there is no error."""
        self._due.pop(watchful, None)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        """Call who is due, and come again for the next."""
        if loop is not self._loop:
            return
        soon = loop.time() + TOGETHER
        try:
            for watchful, when in list(self._due.items()):
                if when > soon:
                    break
                if self._due.pop(watchful, None) is not None:
                    watchful.look()
        finally:
            first = next(iter(self._due.values()), None)
            self._timer = None if first is None else loop.call_at(first, self._look, loop)
