"""The journal: several writes to a mapped file become one, whoever is killed among them.

What shall be written is first written down as a whole, then one byte says that it counts, then it
is done, then the byte is cleared. A process that is killed before that byte has changed nothing;
what one that is killed after it has left undone, the next holder of the lock does (writing the same
twice is harmless). Nothing here outlives the machine: that is for counters that need not.
"""

import struct
from collections.abc import Mapping
from mmap import mmap

from veneer.quotas.limiter import LimiterFullError

Write = tuple[int, bytes]

_LENGTH = struct.Struct("=I")
_ENTRY = struct.Struct("=QI")


class Journal:
    """The journal of a mapped file: `size` bytes from `start`, which nothing else uses."""

    def __init__(self, mapped: mmap, start: int, size: int) -> None:
        self._map = mapped
        self._valid = start
        self._begin = start + 1
        self._room = size - 1

    def commit(self, writes: Mapping[int, bytes]) -> None:
        """Do all the writes, bytes by their offsets, or none of them.

        Raises `LimiterFullError`, with nothing written, where they are more than it holds.
        """
        entry = _ENTRY.pack
        body = b"".join([entry(at, len(data)) + data for at, data in writes.items()])
        begin, mapped = self._begin, self._map
        end = begin + _LENGTH.size + len(body)
        if end - begin > self._room:
            raise LimiterFullError("One request has more limits than can be counted at once.")
        mapped[begin:end] = _LENGTH.pack(len(body)) + body
        mapped[self._valid] = 1
        for at, data in writes.items():
            mapped[at : at + len(data)] = data
        mapped[self._valid] = 0

    def recover(self) -> None:
        """Do what somebody who was killed has left undone. To be called first under the lock."""
        if not self._map[self._valid]:
            return
        mapped = self._map
        at = self._begin + _LENGTH.size
        end = at + _LENGTH.unpack_from(mapped, self._begin)[0]
        while at < end:
            target, length = _ENTRY.unpack_from(mapped, at)
            at += _ENTRY.size
            mapped[target : target + length] = mapped[at : at + length]
            at += length
        mapped[self._valid] = 0
