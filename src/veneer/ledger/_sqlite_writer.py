"""The thread that writes into a ledger's file: all that has piled up is one transaction."""

import asyncio
import logging
import os
import sqlite3
from collections import deque
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from time import monotonic, sleep

from veneer.ledger._ends import released
from veneer.ledger._sqlite_group import Group
from veneer.ledger._sqlite_rows import Rows
from veneer.ledger._wanted import Answer, Settled, Wanted
from veneer.ledger.columns import closed
from veneer.ledger.entry import Moved
from veneer.ledger.ledger import LedgerUnavailableError
from veneer.stores.sqlite_file import FileUnusableError, is_locked
from veneer.stores.sqlite_thread import HeldFile, deliver

logger = logging.getLogger("veneer.ledger")

# Holds, and settlements, of one transaction.
AT_ONCE = 512

# Seconds after which a file that could not be written is tried again: the first time, then twice as
# long each time, up to the last.
_PAUSE = 0.002
_LONGEST_PAUSE = 0.25


class Writer:
    """Writes what groups bring, in their order, in a thread of its own, until it is stopped.

    Settlements that cannot be written are kept and tried again. Holds and questions wait only for a
    lock, as long as anybody waits for them; where anything else is wrong they are told at once.
    `due_in` gives the seconds until there is something to write in any case. After a fork there is
    no thread in the child, and the writer is not there.
    """

    def __init__(
        self, path: Path, opening: Callable[[Path], Rows], due_in: Callable[[], float]
    ) -> None:
        self._file = HeldFile(path, opening)
        self._due_in = due_in
        self._groups: SimpleQueue[Group | None] = SimpleQueue()
        self._group: Group | None = None
        self._holds: list[Wanted] = []
        self._questions: list[Wanted] = []
        self._settlements: deque[Settled] = deque()
        # Whether there is more to close of what dead processes have left.
        self._has_more = False
        self._pause = 0.0
        self._complaint = ""
        self._stop_at = 0.0
        self._ended: asyncio.Future[int] | None = None
        self._pid = os.getpid()
        # Settlements that were given, as the loop counts them, and those that are in.
        self.given = 0
        self._settled = 0
        self.start()

    @property
    def is_ours(self) -> bool:
        """Whether it is of this process."""
        return self._pid == os.getpid()

    @property
    def left(self) -> int:
        """How many settlements are not in."""
        return self.given - self._settled

    def start(self) -> None:
        """Have a thread that writes, also after one that died: it has what that had."""
        self._thread = Thread(target=self._run, name="veneer-ledger", daemon=True)
        self._thread.start()

    def submit(self, group: Group) -> None:
        """Have a group written."""
        self._groups.put(group)
        if not self._thread.is_alive():
            self.start()

    def stop(self, within: float, ended: asyncio.Future[int]) -> None:
        """Write what was submitted, for so many seconds at most, and give up what is held.

        Then `ended` gets the number of settlements that are not in.
        """
        self._stop_at = monotonic() + within
        self._ended = ended
        self._groups.put(None)

    def _run(self) -> None:
        stopping = False
        try:
            while not stopping or (self._has_work() and monotonic() < self._stop_at):
                stopping = self._take() or stopping
                with self._file.using:
                    self._work()
            self._resign()
        finally:
            with self._file.using:
                self._file.close()
            if stopping and self._ended is not None:
                deliver([(self._ended, len(self._settlements))])

    def _has_work(self) -> bool:
        return bool(self._holds or self._settlements or self._questions)

    def _take(self) -> bool:
        """Take what has piled up, after a time if there is nothing; return whether that was all."""
        wait = self._pause or (0.0 if self._has_work() or self._has_more else self._due_in())
        try:
            group = self._groups.get(timeout=wait) if wait > 0 else self._groups.get_nowait()
            while group is not None:
                self._group = group
                self._holds += group.holds
                self._questions += group.questions
                self._settlements += group.settlements
                group = self._groups.get_nowait()
        except Empty:
            return False
        return True

    def _work(self) -> None:
        try:
            rows = self._file.opened()
            self._write(rows)
            self._answer(rows)
            self._has_more = rows.has_more
            self._pause, self._complaint = 0.0, ""
        except sqlite3.Error as error:
            if is_locked(error):
                self._wait()
            else:
                self._fail(f"{error}")
        except (FileUnusableError, OSError, ValueError) as error:
            self._fail(f"{error}")

    def _write(self, rows: Rows) -> None:
        self._holds = [each for each in self._holds if not each.future.done()]
        holds = self._holds[:AT_ONCE]
        held = [each.held for each in holds if each.held is not None]
        settlements = list(islice(self._settlements, AT_ONCE))
        if not (holds or settlements or rows.has_more or self._due_in() <= 0):
            return
        try:
            written = rows.write(held, settlements)
        except sqlite3.IntegrityError:
            if not self._refuse(rows, holds):
                raise
            return
        del self._holds[: len(holds)]
        for _ in settlements:
            self._settlements.popleft()
        self._settled += len(settlements)
        self._deliver(list(zip(holds, written.answers, strict=True)), written.moved)

    def _refuse(self, rows: Rows, holds: list[Wanted]) -> bool:
        """Leave out holds of calls that have a row, or get one; return whether there are any."""
        calls = [each.held[0].call for each in holds if each.held is not None]
        taken = rows.existing(calls)
        taken.update(end.call for end, _ in self._settlements if end.hold is not None)
        refused: list[Answer] = []
        left: list[Wanted] = []
        for each, call in zip(holds, calls, strict=True):
            if call in taken:
                refused.append((each, ValueError(f"The call {call} has a row.")))
            else:
                left.append(each)
            taken.add(call)
        self._holds[: len(holds)] = left
        self._deliver(refused)
        return bool(refused)

    def _answer(self, rows: Rows) -> None:
        if not self._questions:
            return
        asked = self._questions
        answers = [(each, each.ask(rows)) for each in asked if each.ask and not each.future.done()]
        self._questions = []
        self._deliver(answers)

    def _fail(self, reason: str) -> None:
        """Tell everybody; what the file, opened again, says the next time is another matter."""
        self._file.close()
        if reason != self._complaint:
            self._complaint = reason
            logger.error("the ledger cannot be kept in %s: %s", self._file.path, reason)
        waiting = self._holds + self._questions
        self._holds, self._questions = [], []
        self._deliver([(each, LedgerUnavailableError(reason)) for each in waiting])
        self._wait()

    def _wait(self) -> None:
        self._pause = min(self._pause * 2 or _PAUSE, _LONGEST_PAUSE)

    def _deliver(self, answers: list[Answer], moved: Sequence[Moved] = ()) -> None:
        """Tell the loop, also that settlements are in, if it is still there."""
        try:
            if self._group is not None:
                self._group.loop.call_soon_threadsafe(self._group.answered, answers, moved)
        except RuntimeError:
            # It is closed: nobody is there who could give back what he has.
            for each, answer in answers:
                hold = each.admitted(answer)
                if hold is not None:
                    end = released(hold)
                    self._settlements.append((end, closed(end)))
                    self._settled -= 1

    def _resign(self) -> None:
        """Give up what is held; where that cannot be, others will when the lease is over."""
        while True:
            try:
                with self._file.using:
                    if not self._file.opened().resign():
                        return
            except (sqlite3.Error, FileUnusableError, OSError, ValueError) as error:
                may_pass = isinstance(error, sqlite3.Error) and is_locked(error)
                if not may_pass or monotonic() >= self._stop_at:
                    logger.warning("what this process holds is left to others: %s", error)
                    return
                sleep(_PAUSE)
