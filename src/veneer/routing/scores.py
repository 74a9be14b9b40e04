"""Scores: how well offers serve a call, by what it is to be chosen by; the lower, the better.

A score is the sum of the logarithms of the expected cost, of the expected time to the first event
and of the reciprocal of the throughput, each with its weight, where the weights sum up to 1. So it
does not go by units or sizes: what costs half as much scores as much lower as what takes half the
time, and a difference of scores is the logarithm of a ratio.

- Cost: input and output at their prices, warm input as cached. A caller's own key costs as much,
  though somebody else is paid. What is free counts as a tenth of the cheapest that is not.
- Time to the first event: its level of late, times how much worse the 95 % percentile is than the
  median where that is what the client goes by. It is shorter where the input is warm, and longer
  by the calls that are under way, which measures do not tell of yet.
- What was not measured counts as the average of those that were.
- A failure is another call: everything is multiplied by the calls that one answer takes.
"""

from collections.abc import Sequence
from math import log
from types import MappingProxyType
from typing import cast

from veneer.dialects.routing import STRATEGY, Strategy
from veneer.routing.constraint import Pair
from veneer.routing.plan import Ask, Reading, Spread
from veneer.routing.preferences import Optimize, Percentile, Preferences, Weights

WEIGHTS = MappingProxyType[str, Weights](
    {
        "cost": Weights(cost=1.0),
        "cost-focus": Weights(cost=0.8, ttft=0.1, throughput=0.1),
        "ttft": Weights(ttft=1.0),
        "ttft-focus": Weights(cost=0.1, ttft=0.8, throughput=0.1),
        "tps": Weights(throughput=1.0),
        "tps-focus": Weights(cost=0.1, ttft=0.1, throughput=0.8),
        "balanced": Weights(cost=1 / 3, ttft=1 / 3, throughput=1 / 3),
    }
)

# What is free counts as this share of the cheapest that is not.
FREE = 0.1
# How much of the time to the first event a model server is spared where all of the input is warm.
SPARED = 0.5
# How much longer the first event takes for each call under way.
CROWDED = 0.01
# Those that always fail are not worse than this.
MOST_FAILING = 0.99


def strategy_of(preferences: Preferences) -> tuple[Strategy, Weights]:
    """Return what a client goes by, with weights that sum up to 1."""
    given = preferences.weights
    if given is None:
        strategy: Optimize = preferences.optimize or STRATEGY
        return strategy, WEIGHTS[strategy]
    # Divided first, for the sum of the largest numbers is none.
    largest = max(given.cost, given.ttft, given.throughput)
    shares = [each / largest for each in (given.cost, given.ttft, given.throughput)]
    cost, ttft, throughput = (share / sum(shares) for share in shares)
    return "custom", Weights(cost=cost, ttft=ttft, throughput=throughput)


def scores(pairs: Sequence[Pair], ask: Ask, weights: Weights) -> list[float]:
    """Return the score of each offer."""
    uncounted = [0.0] * len(pairs)
    by_cost, by_ttft, by_throughput = weights.cost, weights.ttft, weights.throughput
    columns = zip(
        pairs,
        _costs(pairs, ask) if by_cost else uncounted,
        _ttfts(pairs, ask) if by_ttft else uncounted,
        _throughputs(pairs, ask) if by_throughput else uncounted,
        strict=True,
    )
    return [
        by_cost * cost
        + by_ttft * ttft
        - by_throughput * throughput
        + (_attempts(pair[1].failing) if pair[1].failing else 0.0)
        for pair, cost, ttft, throughput in columns
    ]


def _attempts(failing: float) -> float:
    """Return the logarithm of how many calls an answer takes."""
    return -log(1.0 - min(failing, MOST_FAILING))


def expected_costs(pairs: Sequence[Pair], ask: Ask) -> list[float | None]:
    """Return what a call is expected to cost with each, in picodollars; None without a price."""
    tokens, output = ask.input_tokens, ask.output_tokens
    return [
        None
        if (rates := offer.rates) is None
        else tokens * rates.input
        + output * rates.output
        + rates.request
        - (min(reading.warm, tokens) * (rates.input - rates.cached) if reading.warm else 0.0)
        for offer, reading in pairs
    ]


def _costs(pairs: Sequence[Pair], ask: Ask) -> Sequence[float]:
    costs = expected_costs(pairs, ask)
    if 0.0 in costs:
        free = FREE * min((cost for cost in costs if cost), default=1.0)
        costs = [free if cost == 0.0 else cost for cost in costs]
    return _filled([None if cost is None else log(cost) for cost in costs])


def _ttfts(pairs: Sequence[Pair], ask: Ask) -> Sequence[float]:
    levels = _levels([reading.ttft for _, reading in pairs], ask.preferences.ttft_percentile)
    return [
        level + _crowded(reading, ask.input_tokens)
        if (reading := pair[1]).outstanding or reading.warm
        else level
        for level, pair in zip(levels, pairs, strict=True)
    ]


def _crowded(reading: Reading, tokens: int) -> float:
    """Return how much longer the first event takes for calls under way, less for warm input."""
    warm = min(reading.warm / tokens, 1.0) if tokens else 0.0
    return log((1.0 + CROWDED * reading.outstanding) * (1.0 - SPARED * warm))


def _throughputs(pairs: Sequence[Pair], ask: Ask) -> Sequence[float]:
    percentile = ask.preferences.throughput_percentile
    return _levels([reading.throughput for _, reading in pairs], percentile)


def _levels(spreads: Sequence[Spread | None], percentile: Percentile) -> Sequence[float]:
    if percentile == "p50":
        return _filled([None if spread is None else spread.level for spread in spreads])
    return _filled(
        [
            None if spread is None else spread.level + log(spread.p95 / spread.p50)
            for spread in spreads
        ]
    )


def _filled(values: list[float | None]) -> Sequence[float]:
    """Put the average where nothing is known, which neither helps nor harms."""
    if None not in values:
        return cast("list[float]", values)
    known = [value for value in values if value is not None]
    average = sum(known) / len(known) if known else 0.0
    return [average if value is None else value for value in values]
