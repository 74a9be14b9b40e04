"""What one call is paid by: prices, what it may use, and who it turns out to be answered by."""

from collections.abc import Mapping

import msgspec

from veneer.facts import Answered, Cost, Route, Usage
from veneer.layers._need import Need
from veneer.prices.book import Era
from veneer.prices.costing import cost_of
from veneer.prices.price import MILLION


class Bill(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What one call is paid by: what its `name` in the price book costs when it begins, its `era`.

    That is None for a call that is free. `version` is the book's. `amount` (picodollars) is the
    most that it can cost, if it uses no more than it needs.

    Where it is not known who will answer, this is the dearest of the `offers`: by a target's name
    and the model's in the catalog, or by the model's alone. `model` is the model's that is asked
    for. With `free_own_keys`, a call that is made with the caller's own key costs it nothing here.
    """

    name: str
    need: Need
    amount: int
    era: Era | None
    version: str | None = None
    model: str | None = None
    offers: Mapping[tuple[str | None, str], "Bill"] = {}
    free_own_keys: bool = False

    def served_by(self, route: Route) -> "Bill":
        """Return what the call is paid by once it is known who answers it.

        Who answers without having a price of its own is paid as the dearest that may have.
        """
        if route.own_key and self.free_own_keys:
            return msgspec.structs.replace(self, amount=0, era=None, version=None, offers={})
        model = route.canonical or self.model
        if not self.offers or model is None:
            return self
        return self.offers.get((route.target, model)) or self.offers.get((None, model)) or self

    @property
    def goes_by_usage(self) -> bool:
        """Whether the cost depends on what the upstream says was used."""
        era = self.era
        return era is not None and (era.base.has_tokens or era.base.second is not None)

    @property
    def pays_images(self) -> bool:
        """Whether images cost something by their number."""
        return self.era is not None and self.era.base.image is not None

    @property
    def pays_output(self) -> bool:
        """Whether what the model writes costs something."""
        return self.era is not None and self.era.dearest.most_output > 0

    def outputs(self, spent: int) -> int:
        """Return how many tokens of output the hold pays beyond what is spent, at the least."""
        if self.era is None:
            return 0
        return max(0, self.amount - spent) * MILLION // self.era.dearest.most_output

    def cost(
        self, usage: Usage, answered: Answered, *, images: int, estimated: bool = False
    ) -> Cost:
        """Return what the call costs by its usage, its answer, and the images that it has made."""
        if self.era is None:
            return self.nothing()
        return cost_of(
            usage,
            self.era.price(usage.input_tokens),
            tier=answered.service_tier,
            images=images,
            tools=answered.tools,
            model=self.name,
            version=self.version,
            estimated=estimated,
        )

    def whole(self) -> Cost:
        """Return the cost of a call of which nothing could be seen: all that was held for it."""
        amount = self.amount
        return msgspec.structs.replace(
            self.nothing(), parts={"held": amount} if amount else {}, total=amount, estimated=True
        )

    def nothing(self) -> Cost:
        """Return the cost of a call that costs nothing."""
        return Cost(model=self.name, price_version=self.version)
