"""The choice: who is asked for a call, and who next where they fail."""

from collections.abc import Sequence

from veneer.dialects import Kind
from veneer.dialects.routing import Warned
from veneer.routing.constraint import Pair
from veneer.routing.constraints import fitting
from veneer.routing.offers import Offers
from veneer.routing.plan import Ask, Offer, Plan, Reading, Step, Unfit
from veneer.routing.ranking import drawn, due, places
from veneer.routing.scores import strategy_of
from veneer.routing.terms import takes_own, takes_platform

# Seconds after which somebody who has no room may have some.
ROOM_AFTER = 1.0

# The upper bits of a draw decide whether to look at others, the lower ones who of several is taken:
# the one says nothing about the other.
_UPPER = 1024


def choose(
    ask: Ask, offers: Sequence[Offer], readings: Sequence[Reading], draw: float
) -> Plan | Unfit:
    """Return who is asked, or why nobody can be.

    `offers` are those of the models of `ask`; `readings` are theirs, in the same order. `draw` is
    any number from 0 to 1 (never 1 itself), and the same one gives the same plan.

    Those who are away or full are left out, and who may be back comes last. A call is the first to
    ask somebody who was not asked for long only if others can be asked after: never without
    `allow_fallbacks`.
    """
    if not isinstance(offers, Offers):
        offers = Offers(offers)
    able = [
        (offer, reading)
        for offer, reading in zip(offers, readings, strict=True)
        if not reading.full and (not reading.resting or reading.probing)
    ]
    fits = fitting(ask, offers, able) if able else None
    if fits is None or isinstance(fits, Unfit):
        return _unfit(ask, offers, readings)
    strategy, weights = strategy_of(ask.preferences)
    most = _most(ask)
    order = _order(fits, places(fits, ask, offers, weights), ask, most, draw)
    steps = [step for index in order for step in _steps(fits[index][0], ask)]
    return Plan(
        steps=tuple(steps[:most]), strategy=strategy, warnings=_unknown_providers(ask, offers)
    )


def in_order(ask: Ask, offers: Sequence[Offer]) -> Plan | Unfit:
    """Return the plan of a call that names no model: who may be asked, in the offers' order.

    Or why nobody may be. How they do is not gone by.
    """
    offers = Offers(offers)
    fits = fitting(ask, offers, [(offer, Reading()) for offer in offers])
    if isinstance(fits, Unfit):
        return fits
    steps = [step for offer, _ in fits for step in _steps(offer, ask)]
    strategy, _ = strategy_of(ask.preferences)
    return Plan(
        steps=tuple(steps[: _most(ask)]),
        strategy=strategy,
        warnings=_unknown_providers(ask, offers),
    )


def _order(
    able: Sequence[Pair], found: Sequence[float], ask: Ask, most: int, draw: float
) -> list[int]:
    """Return who is asked, by their places; who was away comes last, but for who is looked at."""
    order = sorted(range(len(able)), key=found.__getitem__)
    looked_at = due(order, able, found, ask, draw) if most > 1 else None
    taken = []
    if looked_at is not None:
        order.remove(looked_at)
        taken.append(looked_at)
    lower = draw * _UPPER % 1.0
    taken += drawn(order, able, found, most - len(taken), lower)
    return taken


def _unfit(ask: Ask, offers: Offers, readings: Sequence[Reading]) -> Unfit:
    """Return why nobody can be asked: by what the call wants, or for now."""
    fits = fitting(ask, offers, list(zip(offers, readings, strict=True)))
    if isinstance(fits, Unfit):
        return fits
    waits = [max(reading.resting, ROOM_AFTER * reading.full) for _, reading in fits]
    return Unfit(
        kind=Kind.UPSTREAM_NONE_LEFT,
        message="No provider that could serve this call has room for it now.",
        retry_after=min(waits),
    )


def _most(ask: Ask) -> int:
    """Return how many may be asked."""
    wanted = ask.preferences
    if not wanted.allow_fallbacks:
        return 1
    if wanted.max_fallback_attempts is None:
        return max(ask.tries, 1)
    return max(min(ask.tries, 1 + wanted.max_fallback_attempts), 1)


def _steps(offer: Offer, ask: Ask) -> Sequence[Step]:
    """Return the tries of an offer: by the caller's own key first, where there is one."""
    if offer.platform and not (
        ask.own_keys or ask.preferences.only_byok or offer.unknown_parameters
    ):
        return offer.steps
    dropped: tuple[str, ...] = ()
    if offer.unknown_parameters:
        dropped = tuple(sorted(offer.unknown_parameters & ask.parameters))
    steps = []
    if takes_own(offer, ask):
        steps.append(Step(offer=offer, own_key=True, dropped=dropped))
    if takes_platform(offer, ask):
        steps.append(Step(offer=offer, dropped=dropped))
    return steps


def _unknown_providers(ask: Ask, offers: Offers) -> tuple[Warned, ...]:
    wanted = ask.preferences
    if wanted.providers is None and not wanted.exclude_providers and wanted.prefer is None:
        return ()
    named = wanted.exclude_providers.union(wanted.providers or ())
    if wanted.prefer is not None:
        named |= {wanted.prefer}
    return tuple(
        Warned("unknown_provider", "unknown_provider", f"No provider '{name}' offers this model.")
        for name in sorted(named - offers.targets)
    )
