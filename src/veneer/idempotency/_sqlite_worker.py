"""The thread that works on the file of recordings, and the jobs that it is given."""

import asyncio
import logging
import os
import sqlite3
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Lock, Thread
from typing import Any
from weakref import WeakMethod

import msgspec

from veneer.idempotency._sqlite_entries import Entries, WriteNeeded
from veneer.idempotency._sqlite_file import open_file
from veneer.idempotency.store import StoreUnavailableError

logger = logging.getLogger("veneer.idempotency")

# Jobs that may wait, and those that are done at once, their writing in one transaction.
MAX_JOBS = 4096
_AT_ONCE = 64

# Seconds after which a file that another process has locked is tried again.
_PAUSE = 0.002

# SQLite's codes for a lock that somebody else has; the upper bytes of a code say more of it.
_LOCKED = frozenset([sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED])


class Failure(msgspec.Struct, frozen=True):
    """The answer to a job that cannot be done, and why."""

    reason: str


class Job(msgspec.Struct, eq=False):
    """Something to be done with the entries, and the future that waits for its answer.

    Without `read`, or where that raises `WriteNeeded`, `write` is called in a transaction. Where
    the file stays locked, the job fails at `deadline` (as `time.monotonic` has it). It is left out
    if its future is done before.
    """

    future: asyncio.Future[Any]
    read: Callable[[Entries], Any] | None
    write: Callable[[Entries], Any]
    deadline: float


class Worker:
    """Does jobs on one file, in a thread of its own, until it is stopped.

    The file is opened with the first job. It is closed before this process forks and opened again
    afterwards: SQLite's locks are not inherited, though it would believe so. In the child there is
    no thread, and the worker is not alive.
    """

    def __init__(self, path: Path, open_entries: Callable[[sqlite3.Connection], Entries]) -> None:
        self._path = path
        self._open_entries = open_entries
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._waiting = 0
        # Held by whoever works on the file.
        self._using = Lock()
        self._entries: Entries | None = None
        self._inode = (0, 0)
        self._complaint = ""
        self._ended: asyncio.Future[Any] | None = None
        self._pid = os.getpid()
        _at_forks(WeakMethod(self._before_fork), WeakMethod(self._after_fork))
        self._thread = Thread(target=self._run, name="veneer-recordings", daemon=True)
        self._thread.start()

    @property
    def is_alive(self) -> bool:
        """Whether it does jobs."""
        return self._pid == os.getpid() and self._thread.is_alive()

    def submit(self, job: Job) -> None:
        """Have a job done; raises `StoreUnavailableError` where too many wait."""
        if self._jobs.qsize() + self._waiting >= MAX_JOBS:
            raise StoreUnavailableError(f"{MAX_JOBS} others wait for the file of recordings")
        self._jobs.put(job)

    def stop(self, ended: asyncio.Future[Any]) -> None:
        """Do the jobs that were submitted, close the file, then set `ended`."""
        self._ended = ended
        self._jobs.put(None)

    def _run(self) -> None:
        jobs: list[Job] = []
        stopping = False
        try:
            while jobs or not stopping:
                stopping = self._take(jobs) or stopping
                self._waiting = len(jobs)
                with self._using:
                    jobs = self._do(jobs)
                self._waiting = len(jobs)
        finally:
            with self._using:
                self._close()
            if self._ended is not None:
                _deliver([(self._ended, None)])

    def _take(self, jobs: list[Job]) -> bool:
        """Add those that wait, after some time if there are none; return whether no more come."""
        try:
            job = self._jobs.get(timeout=_PAUSE if jobs else None)
            end = len(jobs) + _AT_ONCE
            while job is not None:
                jobs.append(job)
                if len(jobs) == end:
                    return False
                job = self._jobs.get_nowait()
        except Empty:
            return False
        return True

    def _do(self, jobs: list[Job]) -> list[Job]:
        """Do jobs; return those for which the file is locked."""
        left = [job for job in jobs if not job.future.done()]
        if not left:
            return left
        try:
            entries = self._opened()
            left = _read(entries, left)
            if left:
                _write(entries, left)
                left = []
            self._complaint = ""
        except sqlite3.Error as error:
            if getattr(error, "sqlite_errorcode", 0) & 0xFF in _LOCKED:
                return _in_time(left)
            self._fail(left, f"{error}")
        except (StoreUnavailableError, msgspec.DecodeError, OSError) as error:
            self._fail(left, f"{error}")
        else:
            return left
        return []

    def _opened(self) -> Entries:
        """Return the entries of the file that has our path now; the last may have been removed."""
        if self._entries is not None and self._inode != _inode(self._path):
            self._close()
        if self._entries is None:
            self._entries = self._open_entries(open_file(self._path))
            self._inode = _inode(self._path)
        return self._entries

    def _fail(self, jobs: list[Job], reason: str) -> None:
        """Tell everybody; what the file, opened again, says the next time is another matter."""
        self._close()
        if reason != self._complaint:
            self._complaint = reason
            logger.error("recordings cannot be kept in %s: %s", self._path, reason)
        _deliver([(job.future, Failure(reason)) for job in jobs])

    def _close(self) -> None:
        if self._entries is not None:
            self._entries.close()
            self._entries = None

    def _before_fork(self) -> None:
        self._using.acquire()
        self._close()

    def _after_fork(self) -> None:
        self._using.release()


def _read(entries: Entries, jobs: list[Job]) -> list[Job]:
    """Answer those who only want to read; return the others."""
    answers: list[tuple[asyncio.Future[Any], Any]] = []
    left = []
    for job in jobs:
        try:
            if job.read is not None:
                answers.append((job.future, job.read(entries)))
                continue
        except WriteNeeded:
            job.read = None
        left.append(job)
    _deliver(answers)
    return left


def _write(entries: Entries, jobs: list[Job]) -> None:
    with entries.transaction():
        answers = [(job.future, job.write(entries)) for job in jobs]
    _deliver(answers)


def _in_time(jobs: list[Job]) -> list[Job]:
    """Return those that can still wait."""
    now = time.monotonic()
    late = Failure("the file of recordings is locked by another process")
    _deliver([(job.future, late) for job in jobs if job.deadline <= now])
    return [job for job in jobs if job.deadline > now]


def _deliver(answers: list[tuple[asyncio.Future[Any], Any]]) -> None:
    """Set results where their futures belong, at once for each loop."""
    by_loop: dict[asyncio.AbstractEventLoop, list[tuple[asyncio.Future[Any], Any]]] = {}
    for answer in answers:
        by_loop.setdefault(answer[0].get_loop(), []).append(answer)
    for loop, theirs in by_loop.items():
        # A loop that is closed has nobody who waits.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(_set, theirs)


def _set(answers: list[tuple[asyncio.Future[Any], Any]]) -> None:
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
