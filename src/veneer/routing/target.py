"""Targets: who may answer calls, which models they have, and on what terms."""

import math
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

import msgspec

from veneer.catalog.catalog import matches, stands_for_many
from veneer.catalog.model import Capability
from veneer.prices.book import PriceBook
from veneer.routing.plan import Offer
from veneer.routing.preferences import DataPolicy

# What stands in place of a model's own name at a target that knows it by the catalog's.
SAME = "*"

EVERY = MappingProxyType({"*": SAME})


def own_name(models: Mapping[str, str], model: str) -> str | None:
    """Return the name by which a target of these models knows one, None where it has it not."""
    name = models.get(model)
    if name is None:
        name = next(
            (
                own
                for pattern, own in models.items()
                if stands_for_many(pattern) and matches((pattern,), model)
            ),
            None,
        )
    return model if name == SAME else name


class Target(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """A target: the app that answers for it, and what is known of it.

    `name` is what logs, receipts and clients call it. `app` is any ASGI app: an `Upstream`, one
    inside its own `CompatMiddleware`, a `Fleet`. `models` are the names of its models in the
    catalog, or patterns of them, each with the name that the target knows it by, `*` for the same;
    an exact name goes before a pattern, and of those the first counts.

    `prices` are what the operator pays, by the target's own names or the catalog's. `capabilities`,
    `context_window` and `output_cap` hold for all its models, and nothing is refused where they
    are None. `unknown_parameters` are members of a call that it does not know. `weight` is its
    share where several do equally well. `platform` is whether the operator has a key for it, or it
    needs none; `own_keys`, whether callers may bring theirs. `max_concurrent` and
    `requests_per_minute` bound what it is asked by this process; None for no bound.

    Raises ValueError for what cannot be, and TypeError for an app that is none.
    """

    name: str
    app: Any
    models: Mapping[str, str] = EVERY
    weight: float = 1.0
    data_policy: DataPolicy = "none"
    tier: str | None = None
    unknown_parameters: frozenset[str] = frozenset()
    capabilities: frozenset[Capability] | None = None
    context_window: int | None = None
    output_cap: int | None = None
    prices: PriceBook | None = None
    platform: bool = True
    own_keys: bool = False
    max_concurrent: int | None = None
    requests_per_minute: int | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        if not (self.name and self.name.isascii() and self.name.isprintable()):
            raise ValueError(f"{self.name!r} cannot name a target: use printable ASCII.")
        if not callable(self.app):
            raise TypeError(f"The target {self.name!r} has no app: give it an Upstream, say.")
        if not self.models or not all(self.models.values()) or "" in self.models:
            raise ValueError(
                f"The target {self.name!r} has no models, or one without a name: leave them out "
                "for all, or map names of the catalog to its own ('*' for the same)."
            )
        if not (math.isfinite(self.weight) and self.weight >= 0):
            raise ValueError(f"The weight of {self.name!r} is {self.weight}: give 0 or more.")
        if not (self.platform or self.own_keys):
            raise ValueError(
                f"Nobody has a key for {self.name!r}: the operator (platform), or callers "
                "(own_keys), must have one."
            )
        for what in ("max_concurrent", "requests_per_minute", "context_window", "output_cap"):
            bound = getattr(self, what)
            if bound is not None and bound < 1:
                raise ValueError(f"{what} of {self.name!r} is {bound}: give 1 or more, or none.")

    def own_name(self, model: str) -> str | None:
        """Return the target's name for a model of the catalog, None for one that it has not."""
        return own_name(self.models, model)

    def offers(self, models: Iterable[str], *, at: float) -> list[Offer]:
        """Return what it offers of these models of the catalog, at the prices of a time.

        `at` is in seconds since the epoch.
        """
        named = ((model, self.own_name(model)) for model in dict.fromkeys(models))
        return [self._offer(model, name, at) for model, name in named if name is not None]

    def _offer(self, model: str, name: str, at: float) -> Offer:
        price = None
        if self.prices is not None:
            price = self.prices.price(name, at=at) or self.prices.price(model, at=at)
        return Offer(
            target=self.name,
            model=model,
            name=name,
            price=price,
            capabilities=self.capabilities,
            context_window=self.context_window,
            output_cap=self.output_cap,
            unknown_parameters=self.unknown_parameters,
            data_policy=self.data_policy,
            tier=self.tier,
            weight=self.weight,
            platform=self.platform,
            own_keys=self.own_keys,
        )
