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

import math
from collections.abc import Sequence
from math import log
from types import MappingProxyType

from veneer.dialects.routing import STRATEGY, Strategy
from veneer.routing.constraint import Pair
from veneer.routing.plan import Ask, Reading, Spread
from veneer.routing.preferences import Preferences, Weights

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
CROWDED = 0.002
# Those that always fail are not worse than this.
MOST_FAILING = 0.99


def strategy_of(preferences: Preferences) -> tuple[Strategy, Weights]:
    """Return what a client goes by, with weights that sum up to 1."""
    given = preferences.weights
    if given is None:
        strategy: Strategy = preferences.optimize or STRATEGY
        return strategy, WEIGHTS[strategy]
    # Divided first, for the sum of the largest numbers is none.
    largest = max(given.cost, given.ttft, given.throughput)
    shares = [each / largest for each in (given.cost, given.ttft, given.throughput)]
    cost, ttft, throughput = (share / sum(shares) for share in shares)
    return "custom", Weights(cost=cost, ttft=ttft, throughput=throughput)


def scores(pairs: Sequence[Pair], ask: Ask, weights: Weights) -> list[float]:
    """Return the score of each offer."""
    found = [_attempts(reading.failing) if reading.failing else 0.0 for _, reading in pairs]
    if weights.cost:
        _add_costs(found, pairs, ask, weights.cost)
    if weights.ttft:
        _add_ttfts(found, pairs, ask, weights.ttft)
    if weights.throughput:
        _add_throughputs(found, pairs, ask, weights.throughput)
    return found


def _attempts(failing: float) -> float:
    """Return the logarithm of how many calls an answer takes."""
    return -log(1.0 - min(failing, MOST_FAILING))


def _add_costs(found: list[float], pairs: Sequence[Pair], ask: Ask, weight: float) -> None:
    tokens, output = float(ask.input_tokens), float(ask.output_tokens)
    least, free = math.inf, []
    for index, (offer, reading) in enumerate(pairs):
        rates = offer.rates
        if rates is None:
            continue
        cost = tokens * rates.input + output * rates.output + rates.request
        if reading.warm:
            cost -= min(reading.warm, tokens) * (rates.input - rates.cached)
        if cost:
            level = log(cost)
            if level < least:  # noqa: PLR1730 - `min` takes as long as all the rest
                least = level
            found[index] += weight * level
        else:
            free.append(index)
    if least < math.inf:
        for index in free:
            found[index] += weight * (least + log(FREE))


def _add_ttfts(found: list[float], pairs: Sequence[Pair], ask: Ask, weight: float) -> None:
    at_p50 = ask.preferences.ttft_percentile == "p50"
    unknown = []
    for index, (_, reading) in enumerate(pairs):
        ttft = reading.ttft
        if ttft is None:
            unknown.append(index)
            continue
        level = ttft.level if at_p50 else _at_p95(ttft)
        if reading.outstanding or reading.warm:
            level += _crowded(reading, ask.input_tokens)
        found[index] += weight * level
    if unknown:
        spreads = [reading.ttft for _, reading in pairs]
        _add_average(found, unknown, spreads, weight)


def _add_throughputs(found: list[float], pairs: Sequence[Pair], ask: Ask, weight: float) -> None:
    at_p50 = ask.preferences.throughput_percentile == "p50"
    unknown = []
    for index, (_, reading) in enumerate(pairs):
        throughput = reading.throughput
        if throughput is None:
            unknown.append(index)
        else:
            level = throughput.level if at_p50 else _at_p95(throughput)
            found[index] -= weight * level
    if unknown:
        spreads = [reading.throughput for _, reading in pairs]
        _add_average(found, unknown, spreads, -weight)


def _at_p95(spread: Spread) -> float:
    return spread.level + log(spread.p95 / spread.p50)


def _crowded(reading: Reading, tokens: int) -> float:
    """Return how much longer the first event takes for calls under way, less for warm input."""
    warm = min(reading.warm / tokens, 1.0) if tokens else 0.0
    return log((1.0 + CROWDED * reading.outstanding) * (1.0 - SPARED * warm))


def _add_average(
    found: list[float], unknown: Sequence[int], spreads: Sequence[Spread | None], weight: float
) -> None:
    """Add the average of what is known where nothing is, which neither helps nor harms."""
    levels = [spread.level for spread in spreads if spread is not None]
    if levels:
        average = weight * sum(levels) / len(levels)
        for index in unknown:
            found[index] += average
