"""Offers: those of a model, with what they have in common, worked out once."""

import math
from functools import cached_property

from veneer.catalog.model import CAPABILITIES
from veneer.routing.plan import Offer


class Offers(tuple[Offer, ...]):  # noqa: SLOT001 - what they have in common is kept there
    """Offers that are chosen among again and again.

    What is true of all of them need not be asked of each, with every call.
    """

    @cached_property
    def targets(self) -> frozenset[str]:
        """The names of the targets."""
        return frozenset(offer.target for offer in self)

    @cached_property
    def platform(self) -> bool:
        """Whether the operator has a key for all of them."""
        return all(offer.platform for offer in self)

    @cached_property
    def capabilities(self) -> frozenset[str]:
        """What all of them can do, as far as that is known."""
        known = [each.capabilities for each in self if each.capabilities is not None]
        return CAPABILITIES.intersection(*known)

    @cached_property
    def tell_capabilities(self) -> bool:
        """Whether of any of them it is known what it can do."""
        return any(each.capabilities is not None for each in self)

    @cached_property
    def unknown_parameters(self) -> frozenset[str]:
        """The members of a call that one of them does not know."""
        return frozenset().union(*(each.unknown_parameters for each in self))

    @cached_property
    def context_window(self) -> float:
        """The least of their windows, in tokens."""
        return min((each.context_window for each in self if each.context_window), default=math.inf)

    @cached_property
    def output_cap(self) -> float:
        """The least of their caps, in tokens."""
        return min((each.output_cap for each in self if each.output_cap), default=math.inf)

    @cached_property
    def priced(self) -> bool:
        """Whether all of them have a price by which they can be ranked."""
        return all(offer.rates is not None for offer in self)
