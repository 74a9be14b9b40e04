"""The file that workers share: where what stands in it, and how it is made and opened.

It is good for one boot of one machine. Its times are those of a clock that begins anew with the
next one, and its pages are written together by processes that see the same memory.
"""

import fcntl
import os
import stat
import struct
import sys
from pathlib import Path

import msgspec

from veneer.limiters import _rows
from veneer.quotas.limiter import LimiterUnavailableError

# Bytes; and the most processes that can have calls running at once: their numbers are bytes too.
PAGE = 4096
JOURNAL = 65536
MAX_OWNERS = 255

# What a row holds besides its digest and its `until`; see `_counters`.
BUCKET = "5d"
RING = "2q2dI480s"
RUNNING = struct.Struct(f"={_rows.DIGEST}sQI")

# Where the claimed numbers of processes are marked, by one byte each, behind the header.
OWNERS = 1024

_MAGIC = b"veneer limits\n"
_UNFINISHED = b"veneer limits, not complete\n"
_FORMAT = 1
_HEADER = struct.Struct(f"={len(_MAGIC)}sI3Q36s")
_FLAGS = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class Sizes(msgspec.Struct, frozen=True, kw_only=True):
    """How many counters there can be at once, how many strict ones, and how many running calls."""

    max_partitions: int
    max_strict: int
    max_running: int

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is a positive number, not {getattr(self, name)}.")


class Layout:
    """Where the regions of a file of given sizes begin, and its `size` in bytes."""

    def __init__(self, sizes: Sizes) -> None:
        self.journal = PAGE
        self.states = self.journal + JOURNAL
        self.running = _paged(self.states + sizes.max_running)
        self.buckets = _paged(self.running + sizes.max_running * RUNNING.size)
        self.rings = _paged(self.buckets + _rows.size_of(sizes.max_partitions, BUCKET))
        self.size = _paged(self.rings + _rows.size_of(sizes.max_strict, RING))


def open_file(path: str, sizes: Sizes) -> int | None:
    """Return a descriptor of the file, made if there is none; None while another process locks it.

    Raises ValueError for a file that is not one of these or has other sizes, which is left as it
    is, and OSError for what the system refuses.
    """
    descriptor = os.open(path, _FLAGS, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        try:
            _complete(descriptor, path, sizes)
        finally:
            fcntl.flock(descriptor, fcntl.LOCK_UN)
    except BlockingIOError:
        os.close(descriptor)
        return None
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def lock_beside(path: str, number: int) -> int | None:
    """Return a descriptor with a lock of its own, which ends with it; None if another has that.

    Raises `LimiterUnavailableError` for what the system refuses.
    """
    try:
        descriptor = os.open(f"{path}.{number}", _FLAGS, 0o600)
    except OSError as error:
        raise LimiterUnavailableError(f"Calls cannot be told to be running: {error}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def boot_id() -> bytes:
    """Return what tells this boot of the machine from others; nothing where there is no telling."""
    try:
        return _BOOT_ID.read_bytes().strip()
    except OSError:
        return b""


def _complete(descriptor: int, path: str, sizes: Sizes) -> None:
    """See to it that the file is whole, of our format and of this boot, or refuse it."""
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid():
        raise ValueError(f"{path} is no file of this user's, so no limits are counted in it.")
    size = Layout(sizes).size
    begun = os.pread(descriptor, PAGE, 0)
    if begun.startswith(_MAGIC) and len(begun) >= _HEADER.size:
        _, form, *theirs, boot = _HEADER.unpack_from(begun)
        if form != _FORMAT:
            raise ValueError(
                f"{path} has format {form} of the limits' file, and this version of veneer has "
                f"format {_FORMAT}: stop the others and remove it, or give another path."
            )
        ours = msgspec.structs.astuple(sizes)
        if tuple(theirs) != ours or status.st_size != size:
            raise ValueError(
                f"{path} was made for {theirs} counters, strict ones and running calls "
                f"({status.st_size} bytes), not for {list(ours)} ({size} bytes): give the same "
                "numbers everywhere, or stop the others and remove it."
            )
        if boot.rstrip(b"\0") == boot_id():
            return
    elif begun and not begun.startswith(_UNFINISHED):
        raise ValueError(f"{path} holds something else than limits, and is left as it is.")
    _make(descriptor, sizes, size)


def _make(descriptor: int, sizes: Sizes, size: int) -> None:
    """Fill the file with zeros, which is an empty table, under a header that is written last."""
    os.pwrite(descriptor, _UNFINISHED, 0)
    os.ftruncate(descriptor, len(_UNFINISHED))
    os.ftruncate(descriptor, size)
    if sys.platform != "darwin":
        # A page for which there is no room later would be the end of whoever touches it (SIGBUS).
        os.posix_fallocate(descriptor, 0, size)
    numbers = msgspec.structs.astuple(sizes)
    header = _HEADER.pack(_MAGIC, _FORMAT, *numbers, boot_id())
    os.pwrite(descriptor, header.ljust(len(_UNFINISHED), b"\0"), 0)


def _paged(size: int) -> int:
    return -(-size // PAGE) * PAGE
