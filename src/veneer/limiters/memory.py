"""The limiter in memory: one process's own counters, gone when it ends."""

from collections import deque
from collections.abc import Callable, Container, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from time import monotonic
from typing import Any

from veneer.limiters.decide import Meter, decide, meter_for
from veneer.quotas.limiter import Decision, LimiterFullError
from veneer.quotas.quota import REQUESTS, Charge

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
    ended, `take` raises LimiterFullError for a partition that is new. `clock` (seconds)
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
        # Their keys, in the order in which they were last looked at.
        self._oldest: deque[_Key] = deque()

    async def take(self, charges: Sequence[Charge], /) -> Decision:
        """Decide, and take what is admitted; see `Limiter`."""
        now = self._clock()
        known = self._meters
        keys: list[_Key] = []
        meters: list[Meter] = []
        fresh: list[int] = []
        settles = False
        for charge in charges:
            quota = charge.quota
            key = (quota.id, charge.partition)
            meter = known.get(key)
            if charge.cost > 0:
                if meter is None:
                    fresh.append(len(keys))
                if quota.unit != REQUESTS:
                    settles = True
            keys.append(key)
            meters.append(meter or meter_for(quota))
        if fresh:
            self._make_room(len(fresh), now, keys)
        judged = decide(charges, meters, now)
        for index in fresh:
            self._keep(keys[index], meters[index], now)
        taken = (charges, meters, judged.marks) if settles and not judged.refused else None
        return Decision(judged.standings, judged.refused, judged.wait, taken)

    def settle(self, taken: Any, tokens: int, /) -> None:
        """Correct what was taken to what was used; see `Limiter`."""
        now = self._clock()
        charges, meters, marks = taken
        for index, charge in enumerate(charges):
            mark, quota = marks[index], charge.quota
            if mark is None or quota.unit == REQUESTS:
                continue
            meter = meters[index]
            ended = meter.until <= now
            if ended:
                # It may have been dropped: another one counts now, or none. It has nothing to give
                # back, but a debt goes into that which counts.
                key = (quota.id, charge.partition)
                meter = self._meters.get(key) or meter_for(quota)
            meter.drain(quota, now)
            meter.settle(quota, mark, charge.cost, tokens)
            if ended:
                self._keep(key, meter, now)

    def lifespan(self) -> AbstractAsyncContextManager[object]:
        """Return a context in which nothing happens: it can always be used."""
        return nullcontext()

    def _make_room(self, wanted: int, now: float, used: Container[_Key]) -> None:
        """Drop some of the counters that have ended and are not just being used, or raise."""
        self._look(_LOOKS * wanted, now, used)
        if len(self._meters) + wanted > self._max_partitions:
            self._look(_LOOKS_WHEN_FULL, now, used)
            if len(self._meters) + wanted > self._max_partitions:
                raise LimiterFullError(
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

    def _keep(self, key: _Key, meter: Meter, now: float) -> None:
        """Hold a new counter, if anything stands in it."""
        if meter.until > now and key not in self._meters:
            self._meters[key] = meter
            self._oldest.append(key)
