"""Errands: what is done beside the calls, in a bounded number of tasks."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

T = TypeVar("T")

logger = logging.getLogger("veneer.cost")

MAX_WAITING = 1000

# Seconds that an errand has for its own end when it is cut off.
_LAST = 0.2

_CUT = "it was not done in time when the process stopped"


class Errands(Generic[T]):
    """Runs `errand` on each thing that is put, beside whoever puts it, `at_once` at the most.

    The rest waits in its order, so much of it at the most; then the oldest gives way. `given_up` is
    told of that, and of what is cut off by `finish`, each with the reason. What an errand raises is
    logged, with `name` for what has failed.
    """

    def __init__(
        self,
        name: str,
        errand: Callable[[T], Coroutine[Any, Any, None]],
        *,
        at_once: int,
        given_up: Callable[[T, str], None],
    ) -> None:
        self._name = name
        self._errand = errand
        self._at_once = at_once
        self._given_up = given_up
        self._waiting: deque[T] = deque()
        self._tasks: dict[asyncio.Task[None], T] = {}

    def put(self, thing: T) -> None:
        """See to it that the errand is run, now or later."""
        if len(self._waiting) >= MAX_WAITING:
            self._given_up(self._waiting.popleft(), f"{MAX_WAITING} newer ones wait")
        self._waiting.append(thing)
        self._begin()

    async def finish(self, seconds: float) -> None:
        """Wait for what was put, so long at the most; cut off what is not done by then."""
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        try:
            while self._tasks and (left := until - loop.time()) > 0:
                await asyncio.wait(list(self._tasks), timeout=left)
        finally:
            waiting, self._waiting = self._waiting, deque()
            for task in self._tasks:
                task.cancel()
            for thing in waiting:
                self._given_up(thing, _CUT)
        if self._tasks:
            await asyncio.wait(list(self._tasks), timeout=_LAST)

    def _begin(self) -> None:
        while self._waiting and len(self._tasks) < self._at_once:
            thing = self._waiting.popleft()
            task = asyncio.get_running_loop().create_task(self._errand(thing))
            self._tasks[task] = thing
            task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        thing = self._tasks.pop(task)
        if task.cancelled():
            # By `finish`, or by a loop that ends, which takes no new tasks.
            self._given_up(thing, _CUT)
            return
        error = task.exception()
        if error is not None:
            logger.error("%s has failed", self._name, exc_info=error)
        self._begin()
