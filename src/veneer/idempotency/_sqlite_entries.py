"""The entries in the file: what each operation reads and writes."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import msgspec

from veneer.idempotency.store import Claim, Done, InFlight, Recording
from veneer.stores.sqlite_file import writing

# What an entry takes in the file besides headers and body, in bytes, roughly and rounded up.
OVERHEAD = 256

# Seconds for which what is over stays in the file: whoever was stopped for a little longer than its
# lease may still commit, as long as nobody else has claimed.
GRACE = 60.0

# What is removed with one transaction because its time is over: entries, and bytes.
_SWEPT = 16
_SWEPT_BYTES = 4 * 1024 * 1024

# Seconds by which a lease may seem longer than it is, as clocks are set right all the time.
_SLACK = 1.0

_FIND = "SELECT fingerprint, lease, expires, status, headers, body FROM entries WHERE key = ?"
_INSERT = (
    "INSERT INTO entries (serial, key, token, fingerprint, lease, expires, size) "
    "VALUES (?, ?, ?, ?, ?, ?, ?)"
)
_RENEW = (
    "UPDATE entries SET lease = ?, expires = ? WHERE key = ? AND token = ? AND lease IS NOT NULL"
)
_COMMIT = (
    "UPDATE entries SET serial = ?, lease = NULL, expires = ?, size = ?, status = ?, headers = ?, "
    "body = ? WHERE key = ? AND token = ? AND lease IS NOT NULL"
)
_COMMITTED = "SELECT 1 FROM entries WHERE key = ? AND token = ? AND lease IS NULL"
_RELEASE = "DELETE FROM entries WHERE key = ? AND token = ? AND lease IS NOT NULL"
_OVER = "SELECT serial, size FROM entries WHERE expires <= ? ORDER BY expires LIMIT ?"
_OLDEST = "SELECT serial, size FROM entries WHERE lease IS NULL ORDER BY serial LIMIT 64"

_decode_headers = msgspec.msgpack.Decoder(tuple[tuple[bytes, bytes], ...]).decode


class WriteNeeded(Exception):
    """To read is not enough."""


class Entries:
    """Reads and writes entries; see `RecordingStore` for each operation.

    All that write are called inside `transaction`. `max_bytes` bounds the sum of all sizes, which
    only live claims exceed. `clock` gives seconds since the epoch, the same for all processes.
    """

    def __init__(
        self, connection: sqlite3.Connection, *, max_bytes: int, clock: Callable[[], float]
    ) -> None:
        self._connection = connection
        self._max_bytes = max_bytes
        self._clock = clock
        # As they are in the file, inside a transaction; `_came` is what it has added.
        self._last = 0
        self._size = 0
        self._came = 0

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit what is written inside, and remove a little of what is old; all or nothing."""
        with writing(self._connection):
            totals = self._connection.execute("SELECT last, size FROM totals").fetchone()
            self._last, self._size = totals
            self._came = 0
            yield
            self._sweep()
            self._evict()
            if (self._last, self._size) != totals:
                values = (self._last, self._size)
                self._connection.execute("UPDATE totals SET last = ?, size = ?", values)

    def look(self, key: bytes) -> InFlight | Done | None:
        """Tell what is there; `WriteNeeded` for a lease that is longer than it can be."""
        now = self._clock()
        row = self._connection.execute(_FIND, (key,)).fetchone()
        if row is None:
            return None
        fingerprint, lease, expires, status, headers, body = row
        if expires <= now:
            return None
        if lease is not None:
            # The clock was put back: nobody knows how long, so it lasts its whole time from now.
            if expires - now > lease + _SLACK:
                raise WriteNeeded
            return InFlight(fingerprint, min(expires - now, lease))
        if status is None:
            return Done(fingerprint, None)
        return Done(fingerprint, Recording(status, _decode_headers(headers), body))

    def find(self, key: bytes) -> InFlight | Done:
        """Tell what is there; `WriteNeeded` where that is nothing."""
        found = self.look(key)
        if found is None:
            raise WriteNeeded
        return found

    def mend(self, key: bytes) -> InFlight | Done | None:
        """Tell what is there, and cut a lease that is longer than it can be."""
        try:
            return self.look(key)
        except WriteNeeded:
            self._connection.execute(
                "UPDATE entries SET expires = ? + lease WHERE key = ?", (self._clock(), key)
            )
            return self.look(key)

    def claim(self, key: bytes, fingerprint: bytes, lease: float) -> Claim | InFlight | Done:
        """Claim a key, or tell what is there."""
        found = self.mend(key)
        if found is not None:
            return found
        over = self._connection.execute("SELECT serial, size FROM entries WHERE key = ?", (key,))
        self._delete(over.fetchall())
        token = self._next()
        expires = self._clock() + lease
        row = (token, key, token, fingerprint, lease, expires, OVERHEAD)
        self._connection.execute(_INSERT, row)
        self._grow(OVERHEAD)
        return Claim(token)

    def renew(self, key: bytes, token: int, lease: float) -> bool:
        """Hold a claim from now on."""
        values = (lease, self._clock() + lease, key, token)
        return self._connection.execute(_RENEW, values).rowcount > 0

    def commit(self, key: bytes, token: int, recording: Recording | None, ttl: float) -> bool:
        """Keep an answer; one that is larger than everything may be is kept as too large."""
        columns: tuple[int | bytes | None, ...] = (OVERHEAD, None, None, None)
        if recording is not None:
            headers = msgspec.msgpack.encode(recording.headers)
            size = OVERHEAD + len(headers) + len(recording.body)
            if size <= self._max_bytes:
                columns = (size, recording.status, headers, recording.body)
        values = (self._next(), self._clock() + ttl, *columns, key, token)
        if self._connection.execute(_COMMIT, values).rowcount > 0:
            self._grow(int(columns[0] or 0) - OVERHEAD)
            return True
        return self._connection.execute(_COMMITTED, (key, token)).fetchone() is not None

    def release(self, key: bytes, token: int) -> None:
        """Give a claim up."""
        self._size -= self._connection.execute(_RELEASE, (key, token)).rowcount * OVERHEAD

    def _next(self) -> int:
        self._last += 1
        return self._last

    def _grow(self, size: int) -> None:
        self._size += size
        self._came += size

    def _sweep(self) -> None:
        """Remove some of what has been over for a while."""
        over = self._connection.execute(_OVER, (self._clock() - GRACE, _SWEPT)).fetchall()
        if over:
            self._delete(_first(over, _SWEPT_BYTES))

    def _evict(self) -> None:
        """Remove the oldest recordings, where there is more than there may be.

        Never much more than has come: where `max_bytes` was larger before, one transaction would
        take too long.
        """
        goal = min(self._size - self._max_bytes, 2 * self._came + _SWEPT_BYTES)
        end = self._size - goal
        while self._size > end:
            oldest = self._connection.execute(_OLDEST).fetchall()
            if not oldest:
                return
            self._delete(_first(oldest, self._size - end))

    def _delete(self, rows: list[tuple[int, int]]) -> None:
        serials = [(serial,) for serial, _ in rows]
        self._connection.executemany("DELETE FROM entries WHERE serial = ?", serials)
        self._size -= sum(size for _, size in rows)


def _first(rows: list[tuple[int, int]], size: int) -> list[tuple[int, int]]:
    """Return as many of the rows, at least one, as have that size together."""
    total = 0
    for count, row in enumerate(rows, 1):
        total += row[1]
        if total >= size:
            return rows[:count]
    return rows
