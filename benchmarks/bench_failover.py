"""What clients see of a target that fails for 30 % of its calls, where two others do not.

20 clients at a time stream chat completions through a `Router` with three targets, each a server
that begins to answer after 40 to 60 ms. One of them fails in turns: a connection that is reset, a
500, a stream that ends before its first event, and silence, for which a try has a second. A call
counts as answered if its stream comes to its end. Each round begins with a router that has seen
nothing yet, so what it costs to find out is among the figures.
"""

import asyncio
import sys
from collections.abc import Mapping
from functools import partial
from statistics import mean, quantiles

from rig.processes import cores
from rig.results import Bar, Column, Result, alternate, main, median_ratio
from rig.routed import load, router

AT_ONCE = 20
FAILING = 0.3

# The share of calls of the first target that fail, and how many targets there are.
CASES: Mapping[str, tuple[float, int]] = {
    "healthy": (0.0, 3),
    "failing": (FAILING, 3),
    "alone": (FAILING, 1),
}


def measure(*, rounds: int, calls: float) -> Result:
    """Measure, so many calls for each case in each of the rounds."""
    result = Result(
        name="failover",
        doc=__doc__,
        columns=[
            Column("answered", "answered %", digits=2),
            Column("p50_ms", "p50 ms to the first event"),
            Column("p99_ms", "p99 ms"),
        ],
        labels={
            "healthy": "three targets",
            "failing": "three targets, one of which fails",
            "alone": "the one that fails, alone",
        },
        settings={"at_once": AT_ONCE, "rounds": rounds, "calls": calls},
    )
    cases = {name: partial(called, *case, int(calls)) for name, case in CASES.items()}
    result.samples = alternate(cases, rounds)
    result.bars = [
        Bar(
            "answered, where one of three fails",
            mean(result.samples["failing"]["answered"]),
            at_least=99.9,
            unit=" %",
        ),
        Bar(
            "p99 to the first event, times that of three that do not fail",
            median_ratio(result.samples, "failing", "healthy", "p99_ms"),
            at_most=2.0,
        ),
    ]
    return result


def called(share: float, targets: int, calls: int) -> dict[str, float]:
    """Make the calls of a case; return the metrics, the times being those of answered calls."""
    core, other = cores()
    with router(share, targets, core, other) as origin:
        seen = asyncio.run(load(origin, calls, at_once=AT_ONCE))
    times = [each * 1000 for each in seen if each is not None]
    percentiles = quantiles(times, n=100)
    return {
        "answered": 100 * len(times) / len(seen),
        "p50_ms": percentiles[49],
        "p99_ms": percentiles[98],
    }


if __name__ == "__main__":
    sys.exit(main(measure, rounds=5, calls=3000))
