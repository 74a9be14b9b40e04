"""The roster of a router: its targets by their names, what they offer and how they do."""

import time
from collections.abc import Callable, Sequence
from functools import lru_cache

from starlette.types import ASGIApp

from veneer.routing.affinity import Affinity
from veneer.routing.observations import Observations
from veneer.routing.offers import Offers
from veneer.routing.plan import Offer, Reading
from veneer.routing.prefix import Prefix
from veneer.routing.target import Target
from veneer.upstream._patience import Deadlines
from veneer.upstream._standing import MINUTE, Standing

# Lists of models whose offers are remembered: what clients name is theirs, and may be anything.
MAX_REMEMBERED = 1024

NO_PREFIX = Prefix()


class Roster:
    """What a router knows of its targets.

    `clock` gives seconds, `wall` those since the epoch, by which prices change. Raises ValueError
    for no targets, two of one name, and weights that are all 0.
    """

    def __init__(
        self,
        targets: Sequence[Target],
        *,
        affinity: bool,
        clock: Callable[[], float],
        wall: Callable[[], float] = time.time,
    ) -> None:
        if not targets:
            raise ValueError("A router needs a target at least.")
        names = [target.name for target in targets]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"Two targets are called {name!r}: give them names of their own.")
        if not any(target.weight for target in targets):
            raise ValueError("The weights of all targets are 0: give one of them another.")
        self.targets = tuple(targets)
        self.observations = Observations(clock)
        self.deadlines = Deadlines()
        self.affinity = Affinity(clock=clock) if affinity else None
        self._wall = wall
        self._apps: dict[str, ASGIApp] = {target.name: target.app for target in targets}
        self._standings = {target.name: Standing(target, clock) for target in targets}
        self._nameless = tuple(map(_nameless, targets))
        self._offers = lru_cache(MAX_REMEMBERED)(self._find)

    def app(self, name: str) -> ASGIApp:
        """Return the app of a target."""
        return self._apps[name]

    def standing(self, name: str) -> Standing:
        """Return how a target stands."""
        return self._standings[name]

    def offers(self, models: tuple[str, ...]) -> Offers:
        """Return all that is offered of these models of the catalog."""
        return self._offers(models, self._wall() // MINUTE)

    def readings(self, offers: Sequence[Offer], prefix: Prefix) -> list[Reading]:
        """Return how each offer does, for a call with this prefix."""
        found = []
        standings, reading = self._standings, self.observations.reading
        cached = self.affinity is not None and bool(prefix.blocks)
        for offer in offers:
            standing = standings[offer.target]
            warm = self._warm(offer, prefix) if cached else 0
            if standing.is_idle:
                found.append(reading(offer, warm=warm))
                continue
            found.append(
                reading(
                    offer,
                    outstanding=standing.outstanding,
                    full=standing.is_full,
                    resting=standing.resting(offer.name),
                    probing=standing.is_probing(offer.name),
                    warm=warm,
                )
            )
        return found

    def are_limited(self, offers: Sequence[Offer]) -> bool:
        """Whether all of these rest because they were asked too much."""
        return all(self._standings[each.target].is_limited(each.name) for each in offers)

    def prefix(self, body: bytes) -> Prefix:
        """Return what of a call's body targets may have cached."""
        return NO_PREFIX if self.affinity is None else self.affinity.prefix(body)

    def nameless(self) -> Sequence[Offer]:
        """Return what the targets offer a call that names no model, in their order."""
        return self._nameless

    def _warm(self, offer: Offer, prefix: Prefix) -> int:
        return 0 if self.affinity is None else self.affinity.warm(prefix, member_of(offer))

    def _find(self, models: tuple[str, ...], minute: float) -> Offers:
        at = minute * MINUTE
        return Offers(offer for target in self.targets for offer in target.offers(models, at=at))


def member_of(offer: Offer) -> str:
    """Return the name of whoever caches what an offer is asked."""
    return f"{offer.target} {offer.name}"


def _nameless(target: Target) -> Offer:
    return Offer(
        target=target.name,
        model="",
        name="",
        data_policy=target.data_policy,
        tier=target.tier,
        platform=target.platform,
        own_keys=target.own_keys,
    )
