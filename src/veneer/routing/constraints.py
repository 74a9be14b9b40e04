"""Constraints: which offers may serve a call at all, and what its client is told where none may.

They are looked at in one order: who may be asked, by whose key, in which tier and under which data
policy (`terms`); what the call needs (`needs`); what it may cost and take (`bounds`). Where nobody
is left, the one that took the last away is what the client hears of, with the nearest value that
would do.

What is not known of an offer refuses nothing: one without a price is within any cost, and one that
was not measured of late may be as quick as anybody asks for.
"""

from collections.abc import Sequence

from veneer.dialects import Kind
from veneer.routing.bounds import bounds
from veneer.routing.constraint import Constraint, Pair
from veneer.routing.needs import needs
from veneer.routing.offers import Offers
from veneer.routing.plan import Ask, Unfit
from veneer.routing.terms import terms


def constraints(ask: Ask, offers: Offers) -> list[Constraint]:
    """Return what a call asks of offers, in order, but for what all of these are known to keep."""
    return [*terms(ask, offers), *needs(ask, offers), *bounds(ask)]


def fitting(ask: Ask, offers: Offers, pairs: Sequence[Pair]) -> Sequence[Pair] | Unfit:
    """Return the offers that keep all constraints, in their order, or why there are none."""
    if not pairs:
        return Unfit(kind=Kind.ROUTE_NONE, message="No provider offers this model.", param="model")
    held = constraints(ask, offers)
    for index, constraint in enumerate(held):
        kept = [pair for pair in pairs if constraint.keeps(pair)]
        if not kept:
            return _unfit(constraint, _nearest(pairs, held[index + 1 :]))
        pairs = kept
    return pairs


def _nearest(pairs: Sequence[Pair], others: Sequence[Constraint]) -> Sequence[Pair]:
    """Return the offers that would be left without a constraint; all where none would be."""
    left = [pair for pair in pairs if all(other.keeps(pair) for other in others)]
    return left or pairs


def _unfit(constraint: Constraint, nearest: Sequence[Pair]) -> Unfit:
    return Unfit(
        kind=constraint.kind,
        message=constraint.message,
        param=constraint.param,
        suggestion=constraint.suggest(nearest),
    )
