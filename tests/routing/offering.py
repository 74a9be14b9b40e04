"""Offers and readings for tests of routing, and a choice that has to come to a plan or to none."""

import math
from collections.abc import Sequence
from typing import Any

from veneer.prices.price import Price
from veneer.routing.choice import choose
from veneer.routing.plan import Ask, Offer, Plan, Reading, Spread, Unfit
from veneer.routing.preferences import Preferences

# A draw that looks at nobody, and takes the first of several that are alike.
STEADY = 0.5


def price(dollars: str | float, output: str | float | None = None) -> Price:
    """Return a price in dollars for a million tokens, of output as of input if nothing is said."""
    rate = round(float(dollars) * 10**12)
    return Price(input=rate, output=rate if output is None else round(float(output) * 10**12))


def offer(target: str, dollars: float | None = 1.0, **members: Any) -> Offer:
    """Return an offer of the model `m`."""
    known = None if dollars is None else price(dollars)
    return Offer(
        **{"target": target, "model": "m", "name": f"{target}-m", "price": known, **members}
    )


def spread(value: float, p95: float | None = None) -> Spread:
    """Return a measure that is always the same but for its worst calls."""
    return Spread(math.log(value), value, value if p95 is None else p95, 20)


def reading(
    ttft: float | None = None, tps: float | None = None, *, age: float = 1.0, **members: Any
) -> Reading:
    """Return a reading of one that was seen so many seconds ago, where it is 0 now."""
    measured: dict[str, Any] = {"seen": -age, **members}
    if ttft is not None:
        measured.setdefault("ttft", spread(ttft))
    if tps is not None:
        measured.setdefault("throughput", spread(tps))
    return Reading(**measured)


def asked(preferences: Preferences | None = None, **members: Any) -> Ask:
    """Return what is asked of the model `m`."""
    return Ask(
        **{
            "models": ("m",),
            "preferences": preferences or Preferences(),
            "input_tokens": 1000,
            "output_tokens": 100,
            **members,
        }
    )


def planned(
    ask: Ask,
    offers: Sequence[Offer],
    readings: Sequence[Reading] | None = None,
    draw: float = STEADY,
) -> Plan:
    """Return the plan that there has to be."""
    found = choose(ask, offers, readings or [reading()] * len(offers), draw)
    assert isinstance(found, Plan), found
    return found


def unfit(ask: Ask, offers: Sequence[Offer], readings: Sequence[Reading] | None = None) -> Unfit:
    """Return why there is none."""
    found = choose(ask, offers, readings or [reading()] * len(offers), STEADY)
    assert isinstance(found, Unfit), found
    return found


def targets(plan: Plan) -> list[str]:
    """Return who is asked, in order."""
    return [step.offer.target for step in plan.steps]
