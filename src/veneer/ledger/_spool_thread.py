"""A thread for what may block, one after the other, which nobody has to wait for."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from threading import Thread
from typing import Any, TypeVar

T = TypeVar("T")

_Errand = tuple[Callable[[], Any], asyncio.Future[Any]]


class Clerk:
    """Does what it is given in a thread of its own, in that order, from now until it is stopped.

    A disk that does not answer keeps the thread, and nothing else: also not the end of the process.
    """

    def __init__(self) -> None:
        self._errands: SimpleQueue[_Errand | None] = SimpleQueue()
        Thread(target=self._run, name="veneer-spool", daemon=True).start()

    def do(self, work: Callable[[], T]) -> asyncio.Future[T]:
        """Have something done; an OSError or a ValueError that it raises is the future's."""
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._errands.put((work, future))
        return future

    def stop(self) -> None:
        """End, after all that was given."""
        self._errands.put(None)

    def _run(self) -> None:
        while (errand := self._errands.get()) is not None:
            work, future = errand
            try:
                answer, error = work(), None
            except (OSError, ValueError) as raised:
                answer, error = None, raised
            # A loop that is closed has nobody who waits.
            with suppress(RuntimeError):
                future.get_loop().call_soon_threadsafe(_tell, future, answer, error)


def _tell(future: asyncio.Future[Any], answer: Any, error: Exception | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(answer)
    else:
        future.set_exception(error)
