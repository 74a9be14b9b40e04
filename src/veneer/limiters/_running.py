"""The running calls in a mapped file, and the processes that they belong to.

A process that has calls running owns a number, and a lock that ends with the process, however that
ends. What stands under the number of one that is gone is given back by those who are left. A
process that is merely stopped keeps its lock, and its slots.
"""

import os
import secrets
from collections import deque
from collections.abc import Container, Iterator
from itertools import islice
from mmap import mmap

from veneer.limiters import _file
from veneer.quotas.limiter import LimiterFullError

FREE = b"\0"
_CLAIMED = b"\1"

# So many places that this process has freed are tried first; then one is looked for.
_FREED = 1024


class Running:
    """One place for each running call: the number of its owner in one byte, and a row.

    The row says in which counter the call stands with how many units, and has a serial number that
    no other call ever had. Everything here is for whoever holds the lock of the file.
    """

    def __init__(self, mapped: mmap, path: str, sizes: _file.Sizes) -> None:
        layout = _file.Layout(sizes)
        self._map = mapped
        self._path = path
        self._begin = layout.states
        self._end = layout.states + sizes.max_running
        self._rows = layout.running
        self._lock: int | None = None
        self._owner = 0
        self._mark = FREE
        self._cursor = self._begin
        self._freed: deque[int] = deque(maxlen=_FREED)
        self._serial = secrets.randbits(63)

    def begun(self, digest: bytes, units: int, others: Container[int]) -> tuple[int, bytes, int]:
        """Fill a row for a call of this process; return where what makes it count, and its serial.

        Its place is not one of `others` that are yet to be written. Raises
        `LimiterFullError` where no place is free.
        """
        if self._lock is None:
            self._claim()
        place = self._vacant(others)
        self._serial += 1
        _file.RUNNING.pack_into(self._map, self._row(place), digest, self._serial, units)
        return place, self._mark, self._serial

    def has(self, place: int, serial: int) -> bool:
        """Whether a call is still the one at a place, which the caller is about to free."""
        if self._map[place] == 0 or self._serial_at(place) != serial:
            return False
        self._freed.append(place)
        return True

    def at(self, place: int) -> tuple[bytes, int]:
        """Return the digest of the counter in which the call at a place stands, and its units."""
        digest, _, units = _file.RUNNING.unpack_from(self._map, self._row(place))
        return digest, units

    def left(self, most: int) -> list[int]:
        """Return some places of calls whose process is gone, at most so many.

        A number under which none are left can be claimed again.
        """
        for number in list(self._numbers(_CLAIMED)):
            lock = _file.lock_beside(self._path, number) if number != self._owner else None
            if lock is None:
                continue
            os.close(lock)
            places = list(islice(self._of(number), most))
            if places:
                return places
            self._map[_file.OWNERS + number] = 0
        return []

    def keep(self) -> None:
        """Let the lock look used, to those who clean up temporary files by their age."""
        if self._lock is not None:
            os.utime(self._lock)

    def close(self) -> None:
        """Let go the number of this process; what still runs under it is given back by others."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _claim(self) -> None:
        for number in self._numbers(FREE):
            lock = _file.lock_beside(self._path, number)
            if lock is not None:
                self._lock = lock
                self._owner = number
                self._mark = bytes((number,))
                self._map[_file.OWNERS + number] = 1
                return
        raise LimiterFullError(
            f"More than {_file.MAX_OWNERS} processes share one file, or have left calls in it."
        )

    def _vacant(self, others: Container[int]) -> int:
        while self._freed:
            place = self._freed.pop()
            if self._map[place] == 0 and place not in others:
                return place
        for begin, end in ((self._cursor, self._end), (self._begin, self._cursor)):
            place = self._map.find(FREE, begin, end)
            while place >= 0:
                if place not in others:
                    self._cursor = place + 1
                    return place
                place = self._map.find(FREE, place + 1, end)
        raise LimiterFullError(
            "The file that workers share has no room for one more running call: max_running is "
            "too small."
        )

    def _row(self, place: int) -> int:
        return self._rows + (place - self._begin) * _file.RUNNING.size

    def _serial_at(self, place: int) -> int:
        _, serial, _ = _file.RUNNING.unpack_from(self._map, self._row(place))
        return int(serial)

    def _of(self, number: int) -> Iterator[int]:
        owner = bytes((number,))
        place = self._map.find(owner, self._begin, self._end)
        while place >= 0:
            yield place
            place = self._map.find(owner, place + 1, self._end)

    def _numbers(self, state: bytes) -> Iterator[int]:
        """Yield the numbers of owners, from 1 on, in a state."""
        end = _file.OWNERS + _file.MAX_OWNERS + 1
        at = self._map.find(state, _file.OWNERS + 1, end)
        while at >= 0:
            yield at - _file.OWNERS
            at = self._map.find(state, at + 1, end)
