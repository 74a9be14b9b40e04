"""The counters in a mapped file: meters, as they are read from rows and written into them."""

import hashlib
from array import array
from mmap import mmap

from veneer.limiters import _file
from veneer.limiters._journal import Write
from veneer.limiters._rows import DIGEST, Rows
from veneer.limiters.bucket import Bucket
from veneer.limiters.ring import Ring
from veneer.limiters.slots import Slots
from veneer.quotas.limiter import LimiterFullError
from veneer.quotas.quota import CONCURRENT, Charge

# So many counters' digests and places are kept in mind; then all are worked out anew.
_KNOWN = 8192

Counter = Bucket | Ring | Slots


class Place:
    """Where a counter of some kind was last seen: by digest, at an offset (0: not yet)."""

    __slots__ = ("at", "digest", "kind", "rows")

    def __init__(self, digest: bytes, rows: Rows, kind: type[Counter]) -> None:
        self.digest = digest
        self.rows = rows
        self.kind = kind
        self.at = 0


class Counters:
    """All counters of a file; `read` and `written` are for whoever holds its lock."""

    def __init__(self, mapped: mmap, sizes: _file.Sizes) -> None:
        layout = _file.Layout(sizes)
        self._buckets = Rows(mapped, layout.buckets, sizes.max_partitions, _file.BUCKET)
        self._rings = Rows(mapped, layout.rings, sizes.max_strict, _file.RING)
        self._places: dict[tuple[str, tuple[str, ...]], Place] = {}

    def place(self, charge: Charge) -> Place:
        """Return the place of a charge's counter."""
        quota = charge.quota
        key = (quota.id, charge.partition)
        place = self._places.get(key)
        if place is None:
            if quota.unit == CONCURRENT:
                place = Place(_digest(*key), self._buckets, Slots)
            elif quota.strict:
                place = Place(_digest(*key), self._rings, Ring)
            else:
                place = Place(_digest(*key), self._buckets, Bucket)
            if len(self._places) >= _KNOWN:
                self._places.clear()
            self._places[key] = place
        return place

    def slots(self, digest: bytes) -> tuple[Place, Slots]:
        """Return the counter of concurrent requests with a digest, and its place."""
        place = Place(digest, self._buckets, Slots)
        counter = self.read(place)
        return place, counter if isinstance(counter, Slots) else Slots()

    def read(self, place: Place) -> Counter:
        """Return the counter that stands at a place; a new one where none does."""
        values = place.rows.read(place.at) if place.at else None
        if values is None or values[0] != place.digest:
            place.at = place.rows.find(place.digest)
            if not place.at:
                return place.kind()
            values = place.rows.read(place.at)
        if place.kind is Bucket:
            _, used, held, since, thinned, at, until = values
            return Bucket(used, held, since, thinned, at, until)
        if place.kind is Slots:
            return Slots(int(values[1]))
        _, first, slot, total, at, count, packed, until = values
        units = array("d")
        units.frombytes(packed[: count * units.itemsize])
        return Ring(units, first, slot, total, at, until)

    def written(self, place: Place, counter: Counter, now: float, used: set[int]) -> Write:
        """Return what is to be written to keep a counter at its place.

        A place that is not one yet becomes one. It is none of the offsets that are `used` at the
        same time, though what stands there may have ended, and is used itself from then on. Raises
        `LimiterFullError` where there is no room for it.
        """
        rows = place.rows
        if not place.at:
            place.at = rows.vacant(place.digest, now, used)
            if not place.at:
                size = "max_strict" if rows is self._rings else "max_partitions"
                raise LimiterFullError(
                    f"The file that workers share has no room for one more counter in use: {size} "
                    "is too small."
                )
            used.add(place.at)
        return place.at, _packed(rows, place.digest, counter)


def _packed(rows: Rows, digest: bytes, counter: Counter) -> bytes:
    """Return the row of a counter."""
    if isinstance(counter, Bucket):
        return rows.pack(
            digest,
            counter.used,
            counter.held,
            counter.since,
            counter.thinned,
            counter.at,
            counter.until,
        )
    if isinstance(counter, Slots):
        return rows.pack(digest, counter.running, 0.0, 0.0, 0.0, 0.0, counter.until)
    units = counter.units
    return rows.pack(
        digest,
        counter.first,
        counter.slot,
        counter.total,
        counter.at,
        len(units),
        units.tobytes(),
        counter.until,
    )


def _digest(quota_id: str, partition: tuple[str, ...]) -> bytes:
    """Return the digest of a counter's name; lengths in front keep its parts apart."""
    hashed = hashlib.blake2b(digest_size=DIGEST)
    for part in (quota_id, *partition):
        encoded = part.encode("utf-8", "surrogatepass")
        hashed.update(b"%d:" % len(encoded))
        hashed.update(encoded)
    return hashed.digest()
