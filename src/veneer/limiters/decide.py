"""The decision: the charges of a request judged against their counters, in two stages."""

from collections.abc import Sequence
from typing import Protocol

import msgspec

from veneer.facts import Standing
from veneer.limiters.bucket import TOLERANCE, Bucket
from veneer.limiters.ring import Ring
from veneer.limiters.slots import Slots
from veneer.quotas.quota import CONCURRENT, REQUESTS, TOKENS, Charge, Quota, Unit

# By what a call that put units in is known to the counter when it settles.
Mark = tuple[float, float]

UNITS: tuple[Unit, ...] = (REQUESTS, TOKENS, CONCURRENT)


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
    levels: list[float] = []
    over: list[int] = []
    for index, charge in enumerate(charges):
        quota, cost = charge.quota, charge.cost
        level = meters[index].drain(quota, now)
        levels.append(level)
        if level + cost > quota.limit + TOLERANCE and cost > 0:
            over.append(index)
    admitted, wait = UNITS, 0.0
    if over:
        requests = [index for index in over if charges[index].quota.unit == REQUESTS]
        admitted = () if requests else (REQUESTS,)
        over = requests or over
        wait = max(meters[at].wait(levels[at], charges[at].quota, charges[at].cost) for at in over)
    standings: list[Standing] = []
    marks: list[Mark | None] = []
    for index, charge in enumerate(charges):
        quota, cost, meter, level = charge.quota, charge.cost, meters[index], levels[index]
        limit, unit = quota.limit, quota.unit
        if cost > 0 and unit in admitted:
            marks.append(meter.put_in(quota, cost))
            level += cost
        else:
            marks.append(None)
        left = limit - level + TOLERANCE
        standings.append(
            Standing(
                quota.policy,
                unit,
                limit,
                quota.window,
                int(left) if left > 0 else 0,
                meter.reset(level, quota),
            )
        )
    return Judged(tuple(standings), tuple(over), wait, marks)
