"""The store in memory: one process's own recordings, gone when it ends."""

import itertools
from collections import OrderedDict
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from time import monotonic

import msgspec

from veneer.idempotency.store import Claim, Done, InFlight, Recording, StoreUnavailableError

DEFAULT_MAX_BYTES = 256 * 1024 * 1024

# About what an entry takes besides what is in it, and each field of a recording, in bytes.
ENTRY = 640
FIELD = 160

# So many of the oldest are looked at for each new claim: with two, those that have ended go faster
# than others come. And so many claims where there is no room.
LOOKS = 2
LOOKS_WHEN_FULL = 64


class _Held(msgspec.Struct):
    fingerprint: bytes
    token: int
    until: float


class _Kept(msgspec.Struct):
    done: Done
    token: int
    until: float
    size: int


class MemoryRecordingStore:
    """Keeps recordings in this process.

    At most `max_entries` claims and recordings are held, of `max_bytes` in all (bodies, fields, and
    what an entry costs). Where there is no room, the oldest recordings go, whatever of their time
    is left; never a claim whose lease lasts: where those alone fill it, `claim` raises
    `StoreUnavailableError`. A recording for which there would be no room even then is kept as None.
    Nothing ever walks over all entries: those whose time is over go as others come. `clock`
    (seconds) stands in for time in tests. Raises ValueError for a number that cannot be.
    """

    def __init__(
        self,
        *,
        max_bytes: int = DEFAULT_MAX_BYTES,
        max_entries: int = 100_000,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        if max_bytes < ENTRY:
            raise ValueError(f"max_bytes is {max_bytes}: an entry alone takes {ENTRY}.")
        if max_entries < 1:
            raise ValueError(f"max_entries is {max_entries}: it has to be at least 1.")
        self._max_bytes = max_bytes
        self._max_entries = max_entries
        self._clock = clock
        self._tokens = itertools.count(1)
        # In the order in which they were looked at or renewed.
        self._held: OrderedDict[bytes, _Held] = OrderedDict()
        # In the order in which they were committed.
        self._kept: OrderedDict[bytes, _Kept] = OrderedDict()
        self._kept_bytes = 0

    @property
    def size(self) -> int:
        """The bytes that are held."""
        return self._kept_bytes + len(self._held) * ENTRY

    def __len__(self) -> int:
        """Return how many entries are held, those included that have ended and not yet gone."""
        return len(self._held) + len(self._kept)

    async def claim(
        self, key: bytes, fingerprint: bytes, lease: float, /
    ) -> Claim | InFlight | Done:
        """Claim a key, or tell what is there; see `RecordingStore`."""
        now = self._clock()
        found = self._find(key, now)
        if found is not None:
            return found
        self._drop_ended(now)
        self._make_room(1, ENTRY, now)
        if not self._has_room(1, ENTRY):
            raise StoreUnavailableError(
                f"The store in memory holds {len(self._held)} calls in flight; max_entries is "
                f"{self._max_entries} and max_bytes {self._max_bytes}."
            )
        token = next(self._tokens)
        self._held[key] = _Held(fingerprint, token, now + lease)
        return Claim(token)

    async def look(self, key: bytes, /) -> InFlight | Done | None:
        """Tell what is there; see `RecordingStore`."""
        return self._find(key, self._clock())

    async def renew(self, key: bytes, token: int, lease: float, /) -> bool:
        """Hold a claim for longer; see `RecordingStore`."""
        now = self._clock()
        held = self._held_by(key, token, now)
        if held is None:
            return False
        held.until = now + lease
        self._held.move_to_end(key)
        return True

    async def commit(
        self, key: bytes, token: int, recording: Recording | None, ttl: float, /
    ) -> bool:
        """Keep an answer in place of a claim; see `RecordingStore`."""
        now = self._clock()
        held = self._held_by(key, token, now)
        if held is None:
            kept = self._kept.get(key)
            return kept is not None and kept.token == token and kept.until > now
        del self._held[key]
        size = _size(recording)
        if len(self._held) * ENTRY + size > self._max_bytes:
            recording, size = None, ENTRY
        self._make_room(1, size, now)
        self._kept[key] = _Kept(Done(held.fingerprint, recording), token, now + ttl, size)
        self._kept_bytes += size
        return True

    async def release(self, key: bytes, token: int, /) -> None:
        """Give a claim up; see `RecordingStore`."""
        if self._held_by(key, token, self._clock()) is not None:
            del self._held[key]

    def lifespan(self) -> AbstractAsyncContextManager[object]:
        """Return a context in which nothing happens: it can always be used."""
        return nullcontext()

    def _find(self, key: bytes, now: float) -> InFlight | Done | None:
        """Return what is there, and forget it if its time is over."""
        kept = self._kept.get(key)
        if kept is not None:
            if kept.until > now:
                return kept.done
            self._forget(key)
        held = self._held.get(key)
        if held is not None:
            if held.until > now:
                return InFlight(held.fingerprint, held.until - now)
            del self._held[key]
        return None

    def _held_by(self, key: bytes, token: int, now: float) -> _Held | None:
        held = self._held.get(key)
        return held if held is not None and held.token == token and held.until > now else None

    def _has_room(self, entries: int, size: int) -> bool:
        return len(self) + entries <= self._max_entries and self.size + size <= self._max_bytes

    def _make_room(self, entries: int, size: int, now: float) -> None:
        """Let the oldest recordings go until there is room, then claims that have ended."""
        while self._kept and not self._has_room(entries, size):
            self._forget(next(iter(self._kept)))
        if not self._has_room(entries, size):
            self._look_at_claims(LOOKS_WHEN_FULL, now)

    def _drop_ended(self, now: float) -> None:
        self._look_at_claims(LOOKS, now)
        # Those with a shorter time than an older one wait for that, or for room to be made.
        for _ in range(min(LOOKS, len(self._kept))):
            oldest = next(iter(self._kept))
            if self._kept[oldest].until > now:
                return
            self._forget(oldest)

    def _look_at_claims(self, times: int, now: float) -> None:
        for _ in range(min(times, len(self._held))):
            key = next(iter(self._held))
            if self._held[key].until > now:
                self._held.move_to_end(key)
            else:
                del self._held[key]

    def _forget(self, key: bytes) -> None:
        self._kept_bytes -= self._kept.pop(key).size


def _size(recording: Recording | None) -> int:
    if recording is None:
        return ENTRY
    fields = sum(len(name) + len(value) + FIELD for name, value in recording.headers)
    return ENTRY + fields + len(recording.body)
