"""A bound on the time of a call that often needs none."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from veneer.begun import Begun

T = TypeVar("T")

_STEPS = 5


async def within(seconds: float, coroutine: Coroutine[Any, Any, T]) -> T:
    """Return what a coroutine does, or cancel it and raise TimeoutError.

    One that never waits costs no timer. The time passes in fifths, each of which begins when the
    loop comes to it: what the loop itself is late, with much to do, is not held against a call
    whose answer is there and cannot be read yet.
    """
    try:
        waits_for = coroutine.send(None)
    except StopIteration as done:
        result: T = done.value
        return result
    return await _bounded(seconds, Begun(coroutine, waits_for))


async def _bounded(seconds: float, begun: Begun[T]) -> T:
    loop = asyncio.get_running_loop()
    step = seconds / _STEPS
    timer: asyncio.TimerHandle
    async with asyncio.timeout(None) as bound:

        def tick(left: int) -> None:
            nonlocal timer
            if left:
                timer = loop.call_later(step, tick, left - 1)
            else:
                bound.reschedule(loop.time())

        timer = loop.call_later(step, tick, _STEPS - 1)
        try:
            return await begun
        finally:
            timer.cancel()
