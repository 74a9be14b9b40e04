"""Bounds: what a call may cost, how long its first event may take, how slow it may be."""

from collections.abc import Callable, Sequence
from math import ceil, floor

from veneer.dialects import Kind
from veneer.prices import money
from veneer.prices.price import Price
from veneer.routing.constraint import Constraint, Pair, routing
from veneer.routing.plan import Ask, Reading, Spread
from veneer.routing.preferences import Percentile

# Seconds after which a measure says no more that an offer is too slow: somebody may look again.
FRESH = 300.0


def bounds(ask: Ask) -> list[Constraint]:
    """Return the bounds that a client sets."""
    wanted, since = ask.preferences, ask.now - FRESH
    found = []
    if wanted.max_cost_per_1m is not None:
        found.append(_cost(wanted.max_cost_per_1m))
    if wanted.max_ttft_ms is not None:
        found.append(_ttft(wanted.max_ttft_ms, wanted.ttft_percentile, since))
    if wanted.min_throughput_tps is not None:
        found.append(_throughput(wanted.min_throughput_tps, wanted.throughput_percentile, since))
    return found


def _cost(most: float) -> Constraint:
    def keeps(pair: Pair) -> bool:
        price = pair[0].price
        # A quotient of whole numbers is rounded as the digits of the bound were.
        return price is None or _twice_per_1m(price) / (2 * money.DOLLAR) <= most

    def suggest(nearest: Sequence[Pair]) -> str:
        cheapest = min(_twice_per_1m(offer.price) for offer, _ in nearest if offer.price)
        return f"The cheapest that fits costs ${_dollars(cheapest)} per 1M tokens."

    return Constraint(
        keeps,
        Kind.ROUTE_COST,
        "All providers that could serve this call cost more.",
        routing("max_cost_per_1m"),
        suggest,
    )


def _twice_per_1m(price: Price) -> int:
    """Return the sum of the prices of a million tokens of input and of output: twice the mean."""
    return price.rates["input"] + price.rates["output"]


def _dollars(twice: int) -> str:
    """Return half an amount in dollars, exactly, with two places at least."""
    whole, _, places = money.point(twice * 5, money.PLACES + 1).partition(".")
    return f"{whole}.{places.rstrip('0').ljust(2, '0')}"


def _ttft(most: int, percentile: Percentile, since: float) -> Constraint:
    def measured(reading: Reading) -> float | None:
        value = _value(reading.ttft, percentile) if reading.seen >= since else None
        return None if value is None else value * 1000

    def suggest(nearest: Sequence[Pair]) -> str:
        quickest = ceil(_best(nearest, measured, min))
        return f"The quickest that fits takes {quickest} ms ({percentile})."

    def keeps(pair: Pair) -> bool:
        value = measured(pair[1])
        return value is None or value <= most

    return Constraint(
        keeps,
        Kind.ROUTE_LATENCY,
        "All providers that could serve this call take longer to their first event.",
        routing("max_ttft_ms"),
        suggest,
    )


def _throughput(least: float, percentile: Percentile, since: float) -> Constraint:
    def measured(reading: Reading) -> float | None:
        return _value(reading.throughput, percentile) if reading.seen >= since else None

    def suggest(nearest: Sequence[Pair]) -> str:
        best = _best(nearest, measured, max)
        # Rounded down, or the value would not do.
        digits = 10 if best >= 1 else 10_000
        return (
            f"The quickest that fits writes {floor(best * digits) / digits} tokens a second "
            f"({percentile})."
        )

    def keeps(pair: Pair) -> bool:
        value = measured(pair[1])
        return value is None or value >= least

    return Constraint(
        keeps,
        Kind.ROUTE_THROUGHPUT,
        "All providers that could serve this call write more slowly.",
        routing("min_throughput_tps"),
        suggest,
    )


def _value(spread: Spread | None, percentile: Percentile) -> float | None:
    if spread is None:
        return None
    return spread.p50 if percentile == "p50" else spread.p95


def _best(
    nearest: Sequence[Pair],
    measured: Callable[[Reading], float | None],
    of: Callable[[list[float]], float],
) -> float:
    values = [value for _, reading in nearest if (value := measured(reading)) is not None]
    return of(values)
