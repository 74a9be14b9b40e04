"""The table of counters that the workers of one machine share: a mapped file under a lock.

Between `enter` and `leave` nobody else reads or writes it. The lock belongs to this process's own
opening of the file, and the kernel releases it when the process dies.
"""

import fcntl
import logging
import mmap
import os
from collections.abc import Iterable, Sequence

import msgspec

from veneer.limiters import _file
from veneer.limiters._counters import Counter, Counters, Place
from veneer.limiters._journal import Journal
from veneer.limiters._running import FREE, Running
from veneer.limiters.decide import Mark, decide
from veneer.limiters.slots import Slots
from veneer.quotas.limiter import Decision, LimiterUnavailableError
from veneer.quotas.quota import CONCURRENT, REQUESTS, Charge

logger = logging.getLogger("veneer.limits")

# Seconds between two looks for processes that are gone, and the most calls given back in one.
LOOK_EVERY = 1.0
GIVEN_BACK = 256

_TRY = fcntl.LOCK_EX | fcntl.LOCK_NB


class Taken(msgspec.Struct, frozen=True, gc=False):
    """What one charge took; a running call has a `row` and a `serial`."""

    charge: Charge
    mark: Mark
    row: int = 0
    serial: int = 0


class Table:
    """One process's opening of the file at a path, which `descriptor` is of and which it owns.

    The next `look` is due at `next_look`. A table is `lost` when its file has no name any more, by
    which others would find it.
    """

    def __init__(self, path: str, sizes: _file.Sizes, descriptor: int) -> None:
        self._descriptor = descriptor
        self._map = mmap.mmap(descriptor, _file.Layout(sizes).size)
        self._journal = Journal(self._map, _file.PAGE, _file.JOURNAL)
        self._counters = Counters(self._map, sizes)
        self._running = Running(self._map, path, sizes)
        self.next_look = float("-inf")
        self.lost = False

    def enter(self) -> bool:
        """Lock the table, if nobody else has, and finish what one who died in it had begun."""
        try:
            fcntl.flock(self._descriptor, _TRY)
        except BlockingIOError:
            return False
        self._journal.recover()
        return True

    def leave(self) -> None:
        """Unlock the table."""
        fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def close(self) -> None:
        """Close the file. Calls that still run are given back by those who share it."""
        self._running.close()
        self._map.close()
        os.close(self._descriptor)

    def take(self, charges: Sequence[Charge], now: float) -> Decision:
        """Decide and take, as `Limiter.take` says; all of it is written, or nothing."""
        places = [self._counters.place(charge) for charge in charges]
        counters = self._read(places)
        judged = decide(charges, counters, now)
        used = {place.at for place in places}
        writes: dict[int, bytes] = {}
        taken: list[Taken] = []
        for charge, place, counter, mark in zip(
            charges, places, counters, judged.marks, strict=True
        ):
            if mark is None:
                continue
            at, row = self._counters.written(place, counter, now, used)
            writes[at] = row
            unit = charge.quota.unit
            if unit == CONCURRENT:
                at, owner, serial = self._running.begun(place.digest, charge.cost, writes)
                writes[at] = owner
                taken.append(Taken(charge, mark, at, serial))
            elif unit != REQUESTS:
                taken.append(Taken(charge, mark))
        if writes:
            self._journal.commit(writes)
        return Decision(judged.standings, judged.refused, judged.wait, taken or None)

    def settle(self, taken: Iterable[Taken], tokens: int, now: float) -> None:
        """Correct what was taken, as `Limiter.settle` says; all of it is written, or nothing.

        A debt for whose counter there is no room is not counted, and said in the log.
        """
        writes: dict[int, bytes] = {}
        due = [one for one in taken if not one.row or self._running.has(one.row, one.serial)]
        places = [self._counters.place(one.charge) for one in due]
        counters = self._read(places)
        used = {place.at for place in places}
        for one, place, counter in zip(due, places, counters, strict=True):
            quota = one.charge.quota
            counter.drain(quota, now)
            counter.settle(quota, one.mark, one.charge.cost, tokens)
            if one.row:
                writes[one.row] = FREE
            if not place.at and counter.until <= now:
                # It has ended meanwhile, and what is empty needs no row.
                continue
            try:
                at, row = self._counters.written(place, counter, now, used)
            except LimiterUnavailableError as error:
                logger.warning("tokens of %s are not counted: %s", quota.policy, error)
            else:
                writes[at] = row
        if writes:
            self._journal.commit(writes)

    def look(self, now: float) -> None:
        """Give back running calls of processes that are gone, so many that it does not take long.

        The next look is due in `LOOK_EVERY` seconds, or at once where there may be more of them.
        """
        self.lost = os.fstat(self._descriptor).st_nlink == 0
        rows = self._running.left(GIVEN_BACK)
        counters: dict[bytes, tuple[Place, Slots]] = {}
        writes: dict[int, bytes] = {}
        for row in rows:
            digest, units = self._running.at(row)
            if digest not in counters:
                counters[digest] = self._counters.slots(digest)
            slots = counters[digest][1]
            slots.running = max(0, slots.running - units)
            writes[row] = FREE
        for place, slots in counters.values():
            if place.at:
                writes.update([self._counters.written(place, slots, now, set())])
        if writes:
            self._journal.commit(writes)
            logger.warning("%d calls of a process that is gone no longer count", len(rows))
        else:
            self.next_look = now + LOOK_EVERY
            # Those who clean up temporary files go by their age.
            os.utime(self._descriptor)
            self._running.keep()

    def _read(self, places: Sequence[Place]) -> list[Counter]:
        """Return the counters at places; where two are the same, they have one."""
        read = self._counters.read
        if len(set(places)) == len(places):
            return [read(place) for place in places]
        counters = {place: read(place) for place in set(places)}
        return [counters[place] for place in places]


def open_table(path: str, sizes: _file.Sizes) -> Table | None:
    """Return the table in a file, made if there is none; None while another process locks it.

    Raises ValueError and OSError as `open_file` does.
    """
    descriptor = _file.open_file(path, sizes)
    if descriptor is None:
        return None
    try:
        return Table(path, sizes, descriptor)
    except BaseException:
        os.close(descriptor)
        raise
