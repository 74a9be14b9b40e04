"""What it takes to choose among targets, and to read how they do.

In one process, without a server: the CPU time of choosing who is asked for a call, and of reading
what was seen of each target before, among 20 targets and among 100 that are all measured, priced
and able to do what the call needs. One of ten has failed of late, one of four has calls under way.
`plain` calls say nothing of routing; the others go by a measure, or set bounds and name providers.
A plan has three steps. The least of many short runs counts, for whatever else happens only adds.
"""

import random
import sys
import time
from collections.abc import Callable
from functools import partial
from statistics import median

from rig.results import Bar, Column, Result, alternate, main

from veneer.prices.price import Price
from veneer.routing.choice import choose
from veneer.routing.observations import Observations
from veneer.routing.offers import Offers
from veneer.routing.plan import Ask, Offer, Plan, Reading
from veneer.routing.preferences import NO_PREFERENCES, Preferences

CALLS = 200
TRIES = 40
COUNTS = (20, 100)
KINDS = {
    "plain": NO_PREFERENCES,
    "cost": Preferences(optimize="cost"),
    "ttft": Preferences(optimize="ttft"),
    "bounds": Preferences(
        max_cost_per_1m=4.0,
        max_ttft_ms=60_000,
        min_throughput_tps=1.0,
        exclude_providers=frozenset(["target-3"]),
        prefer="target-5",
    ),
}


class Market:
    """Targets that offer a model, and what was seen of them."""

    def __init__(self, count: int) -> None:
        luck = random.Random(count)  # noqa: S311 - a benchmark
        self.offers = Offers(
            Offer(
                target=f"target-{index}",
                model="m",
                name=f"m-{index}",
                price=Price(
                    input=luck.randrange(10**11, 10**12),
                    cached_input=5 * 10**10,
                    output=luck.randrange(10**12, 5 * 10**12),
                ),
                context_window=128_000,
                output_cap=16_000,
                capabilities=frozenset(["tools", "streaming", "json_schema"]),
            )
            for index in range(count)
        )
        self._observations = Observations(time.monotonic)
        for index, offer in enumerate(self.offers):
            for _ in range(64):
                self._observations.saw_first(offer, luck.lognormvariate(-1, 0.4))
                self._observations.saw_end(offer, 300, luck.uniform(3, 9))
                self._observations.succeeded(offer)
            if index % 10 == 0:
                self._observations.failed(offer)

    def readings(self) -> list[Reading]:
        """Read how they do."""
        reading = self._observations.reading
        return [
            reading(
                offer,
                outstanding=2 if index % 4 == 0 else 0,
                full=False,
                resting=0.0,
                probing=False,
                warm=0,
            )
            for index, offer in enumerate(self.offers)
        ]


def asked(preferences: Preferences, now: float) -> Ask:
    """Return what is asked of them."""
    return Ask(
        models=("m",),
        preferences=preferences,
        input_tokens=2000,
        output_tokens=300,
        output_cap=1000,
        needs=frozenset(["tools", "streaming"]),
        parameters=frozenset(["model", "messages", "stream", "tools"]),
        tries=3,
        now=now,
    )


def least(market: Market, ask: Ask) -> dict[str, float]:
    """Return the microseconds of CPU of a choice, with its readings and without."""
    draws = [index / CALLS for index in range(CALLS)]
    readings = market.readings()
    if not isinstance(choose(ask, market.offers, readings, 0.5), Plan):
        raise TypeError("nobody is chosen")

    def choosing() -> None:
        for draw in draws:
            choose(ask, market.offers, readings, draw)

    def both() -> None:
        for draw in draws:
            choose(ask, market.offers, market.readings(), draw)

    return {"choice_us": _best(choosing), "whole_us": _best(both)}


def _best(run: Callable[[], None]) -> float:
    found = []
    for _ in range(TRIES):
        began = time.process_time()
        run()
        found.append(time.process_time() - began)
    return min(found) / CALLS * 1e6


def measure(*, rounds: int) -> Result:
    """Measure; each sample is for one call."""
    markets = {count: Market(count) for count in COUNTS}
    cases = {
        f"{kind}-{count}": partial(least, market, asked(preferences, time.monotonic()))
        for count, market in markets.items()
        for kind, preferences in KINDS.items()
    }
    result = Result(
        name="routing",
        doc=__doc__,
        columns=[Column("choice_us", "µs to choose"), Column("whole_us", "µs with the readings")],
        labels={
            f"{kind}-{count}": f"`{kind}`, {count} targets" for count in COUNTS for kind in KINDS
        },
        settings={"rounds": rounds, "calls": CALLS},
    )
    result.samples = alternate(cases, rounds, watched=False)
    whole = median(result.samples["plain-20"]["whole_us"])
    result.bars = [
        Bar("choosing among 20 targets, with readings", whole, at_most=20, unit=" µs", digits=1)
    ]
    return result


if __name__ == "__main__":
    sys.exit(main(measure, rounds=9))
