"""Rows: counters in a mapped file, found by digest.

A row is a digest, whatever values, and the time `until` which it is of use. It belongs into one of
two groups, which its digest names; a new one goes where there is more room. So nothing is ever
moved, and what is not in its two groups is nowhere. Filled to the half, groups of 16 do not
overflow: with a million of two million rows in use, the fullest group had 11.
"""

import struct
from collections.abc import Callable, Container
from functools import partial
from mmap import mmap
from typing import Any

GROUP = 16
DIGEST = 16

_HALVES = struct.Struct("=QQ")
_UNTIL = 8


class Rows:
    """A region of rows that begins at `start`, with room for `count` in use at once.

    `values` is the format of what stands between digest and `until` (see `struct`).
    """

    def __init__(self, mapped: mmap, start: int, count: int, values: str) -> None:
        self._map = mapped
        self._start = start
        self._groups = _groups_for(count)
        self._row = _row(values)
        self._size = self._row.size * GROUP
        self._untils = struct.Struct("=" + f"{self._row.size - _UNTIL}xd" * GROUP)
        # The row at an offset, and the bytes of a row: digest, values, until.
        self.read: Callable[[int], tuple[Any, ...]] = partial(self._row.unpack_from, mapped)
        self.pack = self._row.pack

    def find(self, digest: bytes) -> int:
        """Return the offset of the row with this digest, of use or not; 0 if there is none."""
        for begin in self._both(digest):
            end = begin + self._size
            at = self._map.find(digest, begin, end)
            while at >= 0:
                if (at - begin) % self._row.size == 0:
                    return at
                # Values that look like a digest.
                at = self._map.find(digest, at + 1, end)
        return 0

    def vacant(self, digest: bytes, now: float, promised: Container[int]) -> int:
        """Return where a row with this digest may be made, not one of `promised`; 0 if nowhere."""
        most: list[int] = []
        for begin in self._both(digest):
            offsets = range(begin, begin + self._size, self._row.size)
            untils = self._untils.unpack_from(self._map, begin)
            room = [
                at
                for at, until in zip(offsets, untils, strict=True)
                if until <= now and at not in promised
            ]
            if len(room) > len(most):
                most = room
        return most[0] if most else 0

    def _both(self, digest: bytes) -> tuple[int, int]:
        one, other = _HALVES.unpack(digest)
        start, size, groups = self._start, self._size, self._groups
        return start + one % groups * size, start + other % groups * size


def size_of(count: int, values: str) -> int:
    """Return the bytes of a region with room for `count` rows."""
    return _groups_for(count) * GROUP * _row(values).size


def _groups_for(count: int) -> int:
    return -(-count * 2 // GROUP)


def _row(values: str) -> struct.Struct:
    return struct.Struct(f"={DIGEST}s{values}d")
