"""The thread that works on the file of recordings, and the jobs that it is given."""

import asyncio
import logging
import os
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any

import msgspec

from veneer.idempotency._sqlite_entries import Entries, WriteNeeded
from veneer.idempotency._sqlite_file import FORMAT
from veneer.idempotency.store import StoreUnavailableError
from veneer.stores.sqlite_file import FileUnusableError, is_locked, open_file
from veneer.stores.sqlite_thread import HeldFile, deliver

logger = logging.getLogger("veneer.idempotency")

# Jobs that may wait, and those that are done at once, their writing in one transaction.
MAX_JOBS = 4096
_AT_ONCE = 64

# Seconds after which a file that another process has locked is tried again.
_PAUSE = 0.002


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

    The file is opened with the first job. After a fork there is no thread in the child, and the
    worker is not alive.
    """

    def __init__(self, path: Path, open_entries: Callable[[sqlite3.Connection], Entries]) -> None:
        self._file = HeldFile(path, lambda path: open_entries(open_file(path, FORMAT)))
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        # Those for which the file was locked. What is being done does not count: who has just been
        # answered may ask again before this thread goes on.
        self._waiting = 0
        self._complaint = ""
        self._ended: asyncio.Future[Any] | None = None
        self._pid = os.getpid()
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
                with self._file.using:
                    jobs = self._do(jobs)
                self._waiting = len(jobs)
        finally:
            with self._file.using:
                self._file.close()
            if self._ended is not None:
                deliver([(self._ended, None)])

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
            entries = self._file.opened()
            left = _read(entries, left)
            if left:
                _write(entries, left)
                left = []
            self._complaint = ""
        except sqlite3.Error as error:
            if is_locked(error):
                return _in_time(left)
            self._fail(left, f"{error}")
        except (FileUnusableError, msgspec.DecodeError, OSError) as error:
            self._fail(left, f"{error}")
        else:
            return left
        return []

    def _fail(self, jobs: list[Job], reason: str) -> None:
        """Tell everybody; what the file, opened again, says the next time is another matter."""
        self._file.close()
        if reason != self._complaint:
            self._complaint = reason
            logger.error("recordings cannot be kept in %s: %s", self._file.path, reason)
        deliver([(job.future, Failure(reason)) for job in jobs])


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
    deliver(answers)
    return left


def _write(entries: Entries, jobs: list[Job]) -> None:
    with entries.transaction():
        answers = [(job.future, job.write(entries)) for job in jobs]
    deliver(answers)


def _in_time(jobs: list[Job]) -> list[Job]:
    """Return those that can still wait."""
    now = time.monotonic()
    late = Failure("the file of recordings is locked by another process")
    deliver([(job.future, late) for job in jobs if job.deadline <= now])
    return [job for job in jobs if job.deadline > now]
