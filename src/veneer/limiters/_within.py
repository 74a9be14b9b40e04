"""A bound on the time of a call that often needs none."""

import asyncio
from collections.abc import Coroutine, Generator
from typing import Any, TypeVar

T = TypeVar("T")

# The part of the time that is left when the loop gets to looking at it.
_LAST = 0.1


async def within(seconds: float, coroutine: Coroutine[Any, Any, T]) -> T:
    """Return what a coroutine does, or cancel it and raise TimeoutError.

    One that never waits costs no timer. The last tenth of the time begins when the loop comes to
    it: where the loop itself was late, an answer that has arrived meanwhile is read, not dropped.
    """
    try:
        waits_for = coroutine.send(None)
    except StopIteration as done:
        result: T = done.value
        return result
    return await _bounded(seconds, _Begun(coroutine, waits_for))


async def _bounded(seconds: float, begun: "_Begun[T]") -> T:
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(None) as bound:

        def last() -> None:
            bound.reschedule(loop.time() + seconds * _LAST)

        timer = loop.call_later(seconds * (1 - _LAST), last)
        try:
            return await begun
        finally:
            timer.cancel()


class _Begun(Generator[Any, Any, T]):
    """The rest of a coroutine that has taken its first step, and what it waits for since."""

    def __init__(self, coroutine: Coroutine[Any, Any, T], waits_for: Any) -> None:
        self._coroutine = coroutine
        self._waits_for = waits_for
        self._told = False

    def __await__(self) -> Generator[Any, Any, T]:
        return self

    def send(self, value: Any) -> Any:
        """Say what is waited for; take the next steps after that."""
        if self._told:
            return self._coroutine.send(value)
        self._told = True
        return self._waits_for

    def throw(self, *error: Any) -> Any:
        """Raise an error (a cancellation) where the coroutine waits."""
        self._told = True
        return self._coroutine.throw(*error)
