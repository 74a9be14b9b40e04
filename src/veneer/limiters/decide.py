"""The decision: the charges of a request judged against their counters, in two stages."""

from collections.abc import Sequence
from typing import Protocol

import msgspec

from veneer.facts import Standing
from veneer.limiters.bucket import TOLERANCE, Bucket
from veneer.limiters.ring import Ring
from veneer.limiters.slots import Slots
from veneer.quotas.quota import CONCURRENT, REQUESTS, Charge, Quota

# By what a call that put units in is known to the counter when it settles.
Mark = tuple[float, float]


class Meter(Protocol):
    """A counter of one quota for one partition: what stands in it, and what would fit.

    `drain` brings it up to a time and returns its level; it comes before everything else. `wait`
    and `reset` are told that level. What is put in and never settled drains with its window. At
    `until` it is as good as new, if nothing more is put in.
    """

    @property
    def until(self) -> float:
        """When it is empty, in seconds on the limiter's clock."""
        ...

    def drain(self, quota: Quota, now: float, /) -> float:
        """Let go what has gone by now; return the units that stand in it."""
        ...

    def put_in(self, quota: Quota, units: int, /) -> Mark:
        """Add units, also above the limit; return the mark by which they are settled."""
        ...

    def settle(self, quota: Quota, mark: Mark, taken: int, used: int, /) -> None:
        """Correct what was put in under a mark to what was used."""
        ...

    def wait(self, level: float, quota: Quota, cost: int, /) -> float:
        """Return the seconds until a cost fits, 0 if it does; infinite where it never will."""
        ...

    def reset(self, level: float, quota: Quota, /) -> float:
        """Return the seconds until it is empty."""
        ...


class Judged(msgspec.Struct):
    """What a `Decision` is made of; `marks` are by charge, None where nothing was put in."""

    standings: tuple[Standing, ...]
    refused: tuple[int, ...]
    wait: float
    marks: list[Mark | None]


def meter_for(quota: Quota) -> Meter:
    """Return a new counter of the kind that a quota asks for."""
    if quota.unit == CONCURRENT:
        return Slots()
    return Ring() if quota.strict else Bucket()


def decide(charges: Sequence[Charge], meters: Sequence[Meter], now: float) -> Judged:
    """Judge the charges as `Limiter.take` says, and put what is admitted into their meters.

    Every charge has a meter of its own: two charges on one counter are not seen to be too much
    together. `now` is in seconds on the clock that the meters go by.
    """
    levels = [meter.drain(charge.quota, now) for charge, meter in zip(charges, meters, strict=True)]
    marks: list[Mark | None] = [None] * len(charges)
    refused: list[int] = []
    longest = 0.0
    for of_requests in (True, False):
        admitted: list[int] = []
        for index, charge in enumerate(charges):
            quota = charge.quota
            if charge.cost > 0 and (quota.unit == REQUESTS) is of_requests:
                wait = meters[index].wait(levels[index], quota, charge.cost)
                if wait:
                    refused.append(index)
                    longest = max(longest, wait)
                else:
                    admitted.append(index)
        if refused:
            break
        for index in admitted:
            charge = charges[index]
            marks[index] = meters[index].put_in(charge.quota, charge.cost)
            levels[index] += charge.cost
    standings = [
        _standing(charge.quota, meter, level)
        for charge, meter, level in zip(charges, meters, levels, strict=True)
    ]
    return Judged(tuple(standings), tuple(refused), longest, marks)


def _standing(quota: Quota, meter: Meter, level: float) -> Standing:
    left = int(quota.limit - level + TOLERANCE)
    return Standing(
        policy=quota.policy,
        unit=quota.unit,
        limit=quota.limit,
        window=quota.window,
        remaining=max(0, left),
        reset=meter.reset(level, quota),
    )
