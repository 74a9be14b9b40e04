"""The limiter in memory: one process's own counters, gone when it ends."""

from collections import deque
from collections.abc import Callable, Container, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from time import monotonic
from typing import Any

from veneer.limiters.decide import Meter, decide, meter_for
from veneer.quotas.limiter import Decision, LimiterUnavailableError
from veneer.quotas.quota import CONCURRENT, REQUESTS, Charge

# So many of the oldest counters are looked at for each new one: with two, those that have ended
# are never more than those that have not.
_LOOKS = 2
# And so many where there is no room.
_LOOKS_WHEN_FULL = 64

_Key = tuple[str, tuple[str, ...]]


class MemoryLimiter:
    """Counts in this process.

    A counter lives until its units have flowed out, and is dropped while others are made: nothing
    ever walks over all of them. At most `max_partitions` are held, one for each quota of each
    partition. A live one is never forgotten: where they are that many, and none of the oldest has
    ended, `take` raises LimiterUnavailableError for a partition that is new. `clock` (seconds)
    stands in for time in tests. Raises ValueError for a number that cannot be.
    """

    def __init__(
        self, *, max_partitions: int = 1_000_000, clock: Callable[[], float] = monotonic
    ) -> None:
        if max_partitions < 1:
            raise ValueError(f"max_partitions is {max_partitions}: it has to be at least 1.")
        self._max_partitions = max_partitions
        self._clock = clock
        self._meters: dict[_Key, Meter] = {}
        # The keys of those that end by themselves, in the order in which they were last looked at.
        self._oldest: deque[_Key] = deque()

    async def take(self, charges: Sequence[Charge], /) -> Decision:
        """Decide, and take what is admitted; see `Limiter`."""
        now = self._clock()
        keys: list[_Key] = []
        meters: list[Meter] = []
        fresh: list[tuple[_Key, Meter, Charge]] = []
        settles = False
        for charge in charges:
            key = (charge.quota.id, charge.partition)
            meter = self._meters.get(key)
            if meter is None:
                meter = meter_for(charge.quota)
                if charge.cost > 0:
                    fresh.append((key, meter, charge))
            keys.append(key)
            meters.append(meter)
            if charge.cost > 0 and charge.quota.unit != REQUESTS:
                settles = True
        if fresh:
            self._make_room(len(fresh), now, keys)
        judged = decide(charges, meters, now)
        for key, meter, charge in fresh:
            self._keep(key, meter, charge, now)
        return Decision(
            standings=judged.standings,
            refused=judged.refused,
            wait=judged.wait,
            taken=(keys, charges, judged.marks) if settles and not judged.refused else None,
        )

    def settle(self, taken: Any, tokens: int, /) -> None:
        """Correct what was taken to what was used; see `Limiter`."""
        now = self._clock()
        keys, charges, marks = taken
        for index, charge in enumerate(charges):
            key, mark, quota = keys[index], marks[index], charge.quota
            if mark is None or quota.unit == REQUESTS:
                continue
            known = self._meters.get(key)
            # A counter that has ended meanwhile gives nothing back, but it takes a debt.
            meter = meter_for(quota) if known is None else known
            meter.drain(quota, now)
            meter.settle(quota, mark, charge.cost, tokens)
            if known is None:
                self._keep(key, meter, charge, now)
            elif quota.unit == CONCURRENT and meter.until <= now:
                del self._meters[key]

    def lifespan(self) -> AbstractAsyncContextManager[object]:
        """Return a context in which nothing happens: it can always be used."""
        return nullcontext()

    def _make_room(self, wanted: int, now: float, used: Container[_Key]) -> None:
        """Drop some of the counters that have ended and are not just being used, or raise."""
        self._look(_LOOKS * wanted, now, used)
        if len(self._meters) + wanted > self._max_partitions:
            self._look(_LOOKS_WHEN_FULL, now, used)
            if len(self._meters) + wanted > self._max_partitions:
                raise LimiterUnavailableError(
                    f"The limiter in memory holds {len(self._meters)} counters that are in use; "
                    f"max_partitions is {self._max_partitions}."
                )

    def _look(self, times: int, now: float, used: Container[_Key]) -> None:
        for _ in range(min(times, len(self._oldest))):
            key = self._oldest.popleft()
            if self._meters[key].until <= now and key not in used:
                del self._meters[key]
            else:
                self._oldest.append(key)

    def _keep(self, key: _Key, meter: Meter, charge: Charge, now: float) -> None:
        """Hold a new counter, if anything stands in it."""
        if meter.until > now:
            self._meters[key] = meter
            if charge.quota.unit != CONCURRENT:
                self._oldest.append(key)
