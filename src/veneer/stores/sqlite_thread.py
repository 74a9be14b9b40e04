"""What a thread needs that works on an SQLite file for event loops."""

import asyncio
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import Any, Generic, Protocol, TypeVar
from weakref import WeakMethod


class Closable(Protocol):
    """Whatever is open."""

    def close(self) -> None:
        """Close it."""
        ...


T = TypeVar("T", bound=Closable)


class HeldFile(Generic[T]):
    """A file that is opened when it is needed, and what `opening` makes of its path.

    It is closed before this process forks and opened again afterwards: SQLite's locks are not
    inherited, though it would believe so. Whoever works on it holds `using`.
    """

    def __init__(self, path: Path, opening: Callable[[Path], T]) -> None:
        self.path = path
        self.using = Lock()
        self._opening = opening
        self._opened: T | None = None
        self._inode = (0, 0)
        _at_forks(WeakMethod(self._before_fork), WeakMethod(self._after_fork))

    def opened(self) -> T:
        """Return what has our path now: the last one may have been removed."""
        if self._opened is not None and self._inode != _inode(self.path):
            self.close()
        if self._opened is None:
            self._opened = self._opening(self.path)
            self._inode = _inode(self.path)
        return self._opened

    def close(self) -> None:
        """Close it, until it is needed again."""
        if self._opened is not None:
            self._opened.close()
            self._opened = None

    def _before_fork(self) -> None:
        self.using.acquire()
        self.close()

    def _after_fork(self) -> None:
        self.using.release()


def deliver(answers: Sequence[tuple[asyncio.Future[Any], Any]]) -> None:
    """Set results where their futures belong, at once for each loop."""
    by_loop: dict[asyncio.AbstractEventLoop, list[tuple[asyncio.Future[Any], Any]]] = {}
    for answer in answers:
        by_loop.setdefault(answer[0].get_loop(), []).append(answer)
    for loop, theirs in by_loop.items():
        # A loop that is closed has nobody who waits.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(_set, theirs)


def _set(answers: Sequence[tuple[asyncio.Future[Any], Any]]) -> None:
    for future, answer in answers:
        if not future.done():
            future.set_result(answer)


def _inode(path: Path) -> tuple[int, int]:
    try:
        found = path.stat()
    except FileNotFoundError:
        return (0, 0)
    return (found.st_dev, found.st_ino)


def _at_forks(
    before: WeakMethod[Callable[[], None]], after: WeakMethod[Callable[[], None]]
) -> None:
    """Have methods called before and, on both sides, after each fork, as long as they live."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(
            before=lambda: _call(before),
            after_in_parent=lambda: _call(after),
            after_in_child=lambda: _call(after),
        )


def _call(method: WeakMethod[Callable[[], None]]) -> None:
    alive = method()
    if alive is not None:
        alive()
