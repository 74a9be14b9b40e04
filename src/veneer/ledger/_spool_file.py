"""A file of a spool: whoever has it open has it alone, and it is nobody's when that process ends.

All of it is blocking, and for one thread at a time.
"""

import fcntl
import logging
import os
from pathlib import Path
from time import time

import msgspec

from veneer.ledger._spool_lines import decode
from veneer.ledger.entry import Settlement
from veneer.wire.ids import RANDOM_LENGTH, ulid

logger = logging.getLogger("veneer.ledger")

SUFFIX = ".spool"
# Of a file beside it, with the lines that could not be read.
UNREAD = ".unread"

# Bytes that are read at once, unless a line is longer.
_READ = 64 * 1024
# Files of others that are open at once.
_TAKEN = 16
# A block of most file systems: if there is no room, this will not find any.
_BLOCK = 4096

_CLOSED = -1
_FLAGS = os.O_RDWR | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC


class Chunk(msgspec.Struct, frozen=True):
    """Some settlements of a file, in their order, and the byte where they end.

    `unread` are lines among them that are not whole, or of another version; `torn` is whether the
    file ends within a line, as one may whose process was killed.
    """

    settlements: list[Settlement]
    unread: list[bytes]
    torn: bool
    end: int


class SpoolFile:
    """Lines that were appended and are to be read: `waiting` of them, in `size` bytes at most."""

    def __init__(self, path: Path, descriptor: int, size: int = 0, waiting: int = 0) -> None:
        self.path = path
        self.size = size
        self.waiting = waiting
        self._descriptor = descriptor
        self._begin = 0
        self._is_torn = False

    def append(self, line: bytes) -> None:
        """Append a line, or nothing of it: raises OSError."""
        # What is left of one that was cut off, and could not be removed, becomes a line of its own.
        rest = memoryview(b"\n" + line if self._is_torn else line)
        try:
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
        except OSError:
            self._cut()
            raise
        self.size += len(line) + self._is_torn
        self._is_torn = False
        self.waiting += 1

    def check(self) -> None:
        """See whether there is room for more: raises OSError."""
        try:
            os.write(self._descriptor, b"\n" * _BLOCK)
        finally:
            self._cut()

    def read(self) -> Chunk | None:
        """Return what comes next, if anything; nothing of it is gone before `advance`."""
        length = _READ
        while True:
            found = os.pread(self._descriptor, length, self._begin)
            whole = found.rfind(b"\n") + 1
            if whole or len(found) < length:
                break
            length *= 2
        if not found:
            return None
        settlements, unread = [], []
        for line in filter(None, found[:whole].split(b"\n")):
            settlement = decode(line)
            if settlement is None:
                unread.append(line + b"\n")
            else:
                settlements.append(settlement)
        return Chunk(settlements, unread, not whole, self._begin + (whole or len(found)))

    def advance(self, chunk: Chunk) -> None:
        """Do without what was read: it is somewhere else, or put aside now. Raises OSError."""
        if chunk.unread:
            aside = os.open(self.path.with_suffix(UNREAD), _FLAGS | os.O_CREAT, 0o600)
            with os.fdopen(aside, "ab") as file:
                file.writelines(chunk.unread)
        self._begin = chunk.end
        self.waiting -= len(chunk.settlements) + len(chunk.unread)
        if self._begin >= os.fstat(self._descriptor).st_size:
            os.ftruncate(self._descriptor, 0)
            self._begin = self.size = self.waiting = 0
            self._is_torn = False

    def close(self) -> None:
        """Let others have it, unless there is nothing in it: then it is gone."""
        descriptor, self._descriptor = self._descriptor, _CLOSED
        if descriptor == _CLOSED:
            return
        try:
            if not os.fstat(descriptor).st_size:
                self.path.unlink(missing_ok=True)
        finally:
            os.close(descriptor)

    def _cut(self) -> None:
        """Remove what was appended in part."""
        try:
            os.ftruncate(self._descriptor, self.size)
        except OSError:
            self.size = os.fstat(self._descriptor).st_size
            self._is_torn = True


def create(folder: Path) -> SpoolFile:
    """Return a new file of ours in a folder, which is made where there is none: raises OSError."""
    folder.mkdir(mode=0o700, exist_ok=True)
    while True:
        path = folder / (ulid(int(time() * 1000), os.urandom(RANDOM_LENGTH)) + SUFFIX)
        descriptor = os.open(path, _FLAGS | os.O_CREAT | os.O_EXCL, 0o600)
        if _is_ours(descriptor):
            file = SpoolFile(path, descriptor)
            try:
                file.check()
            except OSError:
                file.close()
                raise
            return file
        # Somebody who looked for files that are nobody's was quicker, and removes it.


def take(path: Path) -> SpoolFile | None:
    """Return a file whose process has ended; None for one that is another's, or gone."""
    try:
        descriptor = os.open(path, _FLAGS)
    except FileNotFoundError:
        return None
    if not _is_ours(descriptor):
        return None
    waiting = 0
    while block := os.read(descriptor, _READ):
        waiting += block.count(b"\n")
    return SpoolFile(path, descriptor, os.fstat(descriptor).st_size, waiting)


def take_over(folder: Path, taken: list[SpoolFile], known: set[Path]) -> None:
    """Add to `taken` what dead processes have left in a folder, of those first that began first.

    Files that are `known` are left as they are, and those that cannot be taken are from now on.
    """
    for path in sorted(folder.glob(f"*{SUFFIX}")):
        if path in known:
            continue
        if len(taken) >= _TAKEN:
            break
        try:
            file = take(path)
        except OSError as error:
            logger.error("what waits in %s is not read: %s", path, error.strerror)  # noqa: TRY400 - the reason is all there is to say
            known.add(path)
            continue
        if file is not None:
            known.add(path)
            taken.append(file)


def _is_ours(descriptor: int) -> bool:
    """Lock a file, or close it: another has it, or had it and has removed it meanwhile."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return False
    if not os.fstat(descriptor).st_nlink:
        os.close(descriptor)
        return False
    return True
