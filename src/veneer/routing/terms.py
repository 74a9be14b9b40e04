"""Terms: who may be asked for a call, by whose key, in which tier and under which data policy."""

from collections.abc import Sequence
from types import MappingProxyType

from veneer.dialects import Kind
from veneer.routing.constraint import Constraint, Pair, listed, routing
from veneer.routing.offers import Offers
from veneer.routing.plan import Ask, Offer
from veneer.routing.preferences import DataPolicy, Preferences

# How much a provider promises of what it is given: to train no model by it; to retain nothing.
STRICTNESS = MappingProxyType[str, int]({"none": 0, "no_training": 1, "zdr": 2})


def takes_own(offer: Offer, ask: Ask) -> bool:
    """Whether a call may be made with its caller's own key."""
    return offer.own_keys and offer.target in ask.own_keys and not ask.preferences.only_platform


def takes_platform(offer: Offer, ask: Ask) -> bool:
    """Whether a call may be made with the operator's key, or without any."""
    return offer.platform and not ask.preferences.only_byok


def terms(ask: Ask, offers: Offers) -> list[Constraint]:
    """Return what a client says of providers, and whose keys there are."""
    wanted = ask.preferences
    found = []
    if wanted.providers is not None:
        found.append(_providers(wanted.providers))
    if wanted.exclude_providers:
        found.append(_excluded(wanted.exclude_providers))
    if wanted.only_byok or not offers.platform:
        found.append(_keys(ask))
    if wanted.tier is not None:
        found.append(_tier(wanted.tier))
    if wanted.data_policy != "none":
        found.append(_policy(wanted.data_policy))
    return found


def _providers(allowed: frozenset[str]) -> Constraint:
    return Constraint(
        lambda pair: pair[0].target in allowed,
        Kind.ROUTE_PROVIDERS,
        "None of these providers offers this model.",
        routing("providers"),
        _of_this_model,
    )


def _excluded(excluded: frozenset[str]) -> Constraint:
    return Constraint(
        lambda pair: pair[0].target not in excluded,
        Kind.ROUTE_EXCLUDED,
        "All providers that could serve this call are excluded.",
        routing("exclude_providers"),
        _of_this_model,
    )


def _of_this_model(nearest: Sequence[Pair]) -> str:
    return f"It is offered by {listed(offer.target for offer, _ in nearest)}."


def _keys(ask: Ask) -> Constraint:
    def keeps(pair: Pair) -> bool:
        return takes_platform(pair[0], ask) or takes_own(pair[0], ask)

    wanted = ask.preferences
    if wanted.only_platform:
        return Constraint(
            keeps,
            Kind.ROUTE_PLATFORM_KEYS,
            "All providers that could serve this call need a key of your own.",
            routing("only_platform"),
            lambda _: "Leave out 'only_platform', and give a key of your own.",
        )
    return Constraint(
        keeps,
        Kind.ROUTE_OWN_KEYS,
        "There is no key of your own for any provider that could serve this call.",
        routing("only_byok") if wanted.only_byok else None,
        lambda nearest: _keys_needed(nearest, wanted),
    )


def _keys_needed(nearest: Sequence[Pair], wanted: Preferences) -> str:
    takers = [offer.target for offer, _ in nearest if offer.own_keys]
    if takers:
        return f"Give one for {listed(takers)}."
    return "Leave out 'only_byok'." if wanted.only_byok else "None of them takes any."


def _tier(tier: str) -> Constraint:
    def suggest(nearest: Sequence[Pair]) -> str:
        tiers = [offer.tier for offer, _ in nearest if offer.tier is not None]
        return f"There is {listed(tiers)}." if tiers else "Leave out 'tier': there is only one."

    return Constraint(
        lambda pair: pair[0].tier == tier,
        Kind.ROUTE_NONE,
        "No provider that could serve this call has this tier.",
        routing("tier"),
        suggest,
    )


def _policy(policy: DataPolicy) -> Constraint:
    least = STRICTNESS[policy]

    def suggest(nearest: Sequence[Pair]) -> str:
        strictest = max((offer.data_policy for offer, _ in nearest), key=STRICTNESS.__getitem__)
        return f"The strictest that fits promises '{strictest}'."

    return Constraint(
        lambda pair: STRICTNESS[pair[0].data_policy] >= least,
        Kind.ROUTE_NONE,
        "No provider that could serve this call promises that much of its data.",
        routing("data_policy"),
        suggest,
    )
