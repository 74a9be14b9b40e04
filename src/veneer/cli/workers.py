"""Workers: processes that share one listening socket, and the parent that keeps their number.

They are forked, so that what the parent has built and read, secrets included, needs no other way to
them. uvicorn's own supervisor starts crashed workers again without a pause, finds its app by an
import string, and signals workers that their process group has signalled already.
"""

import logging
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import get_context
from multiprocessing.connection import wait
from multiprocessing.context import ForkProcess
from types import FrameType

logger = logging.getLogger("veneer.server")

# A worker that cannot start would not the next time either (uvicorn's exit code for that).
CANNOT_START = 3

# Seconds: the first pause before a crashed worker is replaced, the longest, and the life after
# which a crash counts as the first again.
FIRST_PAUSE = 0.1
LONGEST_PAUSE = 10.0
SOUND = 30.0

# Seconds that workers get after a second signal before they are killed.
LAST_WORDS = 6.0

SIGNALS = (signal.SIGINT, signal.SIGTERM)

Work = Callable[[int], int]


class Worker:
    """One process, and the pipe by which it is told to stop."""

    def __init__(self, process: ForkProcess, control: int, now: float) -> None:
        self.process = process
        self.control = control
        self.since = now

    def tell(self) -> None:
        """Tell it to stop; a second time, at once."""
        try:
            os.write(self.control, b"!")
        except BrokenPipeError:
            logger.debug("worker %s has stopped already", self.process.pid)


class Supervisor:
    """Keeps `count` processes running `work`.

    It gets the end of a pipe, whose bytes and end mean what `server.run` says, and returns an exit
    code.
    """

    def __init__(self, work: Work, count: int) -> None:
        self._work = work
        self._count = count
        self._context = get_context("fork")
        self._workers: list[Worker] = []
        self._signals = 0
        self._pause = FIRST_PAUSE
        self._next_start = 0.0
        self._woken, self._wake = os.pipe()
        os.set_blocking(self._wake, False)

    def run(self) -> int:
        """Run until a signal says to stop; return the exit code."""
        code = 0
        with self._captured_signals():
            while not (self._signals or code):
                self._fill()
                code = self._reap(self._rest())
            self._stop()
        return code

    @contextmanager
    def _captured_signals(self) -> Iterator[None]:
        before = {number: signal.signal(number, self._count_signal) for number in SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _count_signal(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        self._signals += 1
        try:
            os.write(self._wake, b"!")
        except BlockingIOError:
            return

    def _fill(self) -> None:
        """Start the workers that are missing, if their pause is over."""
        if time.monotonic() >= self._next_start:
            while len(self._workers) < self._count:
                self._workers.append(self._start())

    def _rest(self) -> float | None:
        """Return how long to wait for news: until the next start, or without end."""
        if len(self._workers) == self._count:
            return None
        return max(0.0, self._next_start - time.monotonic())

    def _start(self) -> Worker:
        theirs, ours = os.pipe()
        # A signal between the fork and its own handlers would make the child write to our pipe.
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        try:
            process = self._context.Process(target=self._in_child, args=(theirs, ours))
            process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        os.close(theirs)
        return Worker(process, ours, time.monotonic())

    def _in_child(self, control: int, parents_end: int) -> None:
        # Whoever holds the other end of a control pipe keeps it from telling of our parent's death.
        for descriptor in (parents_end, self._woken, self._wake):
            os.close(descriptor)
        for worker in self._workers:
            os.close(worker.control)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        raise SystemExit(self._work(control))

    def _reap(self, seconds: float | None) -> int:
        """Wait for news, and take out workers that have ended; return a code where all must end."""
        sentinels = [worker.process.sentinel for worker in self._workers]
        if self._woken in wait([*sentinels, self._woken], seconds):
            os.read(self._woken, 16)
        for worker in [w for w in self._workers if not w.process.is_alive()]:
            self._workers.remove(worker)
            os.close(worker.control)
            code = worker.process.exitcode
            if self._signals:
                continue
            if code == CANNOT_START:
                return CANNOT_START
            lived = time.monotonic() - worker.since
            self._pause = FIRST_PAUSE if lived > SOUND else min(self._pause * 2, LONGEST_PAUSE)
            self._next_start = time.monotonic() + self._pause
            logger.error(
                "worker %s ended with code %s; the next starts in %.1f s",
                worker.process.pid,
                code,
                self._pause,
            )
        return 0

    def _stop(self) -> None:
        """Tell the workers, pass a second signal on, and wait until all are gone."""
        told = 0
        end: float | None = None
        while self._workers:
            wanted = min(max(self._signals, 1), 2)
            while told < wanted:
                told += 1
                for worker in self._workers:
                    worker.tell()
            if wanted > 1 and end is None:
                end = time.monotonic() + LAST_WORDS
            if end is not None and time.monotonic() >= end:
                for worker in self._workers:
                    worker.process.kill()
            self._reap(None if end is None else max(0.1, end - time.monotonic()))
