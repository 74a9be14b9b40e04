"""What a call is paid by, and can cost at the most, by a price book."""

from collections.abc import Iterable, Sequence
from fractions import Fraction

import msgspec
from starlette.types import Scope

from veneer import facts
from veneer.call import Call
from veneer.layers._bill import Bill
from veneer.layers._hosted import tools_in
from veneer.layers._need import Need, need_beside_texts
from veneer.operations import Body
from veneer.prices.book import PriceBook
from veneer.prices.costing import bound_of
from veneer.prices.price import ONE, Price
from veneer.quotas.estimate import ESTIMATED, Estimator, estimated
from veneer.routing.preferences import Preferences

# Operations that are paid for, besides those whose tokens an estimator knows.
PRICED = ESTIMATED | {
    "images.generations",
    "images.edits",
    "images.variations",
    "audio.speech",
    "audio.transcriptions",
    "audio.translations",
}

JSON = Body.JSON


class Tariff:
    """Says what calls are paid by.

    `estimator` tells how many tokens a call of texts may need, `default_output` how many it may
    write that names no cap; `factor` is the room above what a call may cost. `unpriced` is what
    becomes of models without a price, `own_keys` of calls with the caller's own key. `providers`
    are the targets that may have prices of their own. Raises ValueError for what cannot be.
    """

    def __init__(  # noqa: PLR0913 - each is an option of the layer
        self,
        prices: PriceBook,
        *,
        estimator: Estimator,
        default_output: int,
        factor: str,
        unpriced: str,
        own_keys: str,
        providers: Iterable[str],
    ) -> None:
        if unpriced not in ("refuse", "free"):
            raise ValueError(f"unpriced is {unpriced!r}: say 'refuse' or 'free'.")
        if own_keys not in ("free", "charge"):
            raise ValueError(f"own_keys is {own_keys!r}: say 'free' or 'charge'.")
        if isinstance(providers, str):
            raise ValueError(  # noqa: TRY004 - what is wrong is a setting
                f"providers is {providers!r}: give the names of several targets."
            )
        self._providers = tuple(providers)
        self._free_own_keys = own_keys == "free"
        self._prices = prices
        self._estimator = estimator
        self._default_output = default_output
        self._factor = _factor(factor)
        self._free = unpriced == "free"

    def bill(self, scope: Scope, call: Call, body: bytes, at: float) -> Bill | None:
        """Return what a call is paid by; None for one that has no price, and is not free."""
        known = scope[facts.SCOPE_KEY]
        if call.operation.name in ESTIMATED:
            need = Need(estimated(known, self._estimator, call, body))
        else:
            need = need_beside_texts(call, scope["headers"], default_output=self._default_output)
        preferences = known.get(Preferences)
        asked = () if preferences is None else preferences.models
        if asked or self._providers:
            bill = self._dearest(call, body, need, at, asked or (self._name(call, at),))
        else:
            bill = self._bill(self._name(call, at), call, body, need, at)
        only_own = preferences is not None and preferences.only_byok
        if only_own and self._free_own_keys and self._providers:
            # A router does not use the operator's keys for it; any other app may.
            bill = bill or self._unpriced(call.model or call.operation.name, need)
            bill = msgspec.structs.replace(bill, amount=0)
        return bill

    def _dearest(
        self, call: Call, body: bytes, need: Need, at: float, models: Sequence[str]
    ) -> Bill | None:
        """Return the dearest bill of all who may answer; None where a model has no price at all."""
        offers: dict[tuple[str | None, str], Bill] = {}
        for model in models:
            names = {target: self._prices.name_at(target, model) for target in self._providers}
            priced = {
                name: self._bill(name, call, body, need, at)
                for name in dict.fromkeys((model, *names.values()))
            }
            found = [
                ((target, model), bill)
                for target, name in ((None, model), *names.items())
                if (bill := priced[name]) is not None
            ]
            if not found:
                return None
            offers.update(found)
        dearest = max(offers.values(), key=lambda bill: bill.amount)
        return msgspec.structs.replace(dearest, model=models[0], offers=offers)

    def _bill(self, name: str, call: Call, body: bytes, need: Need, at: float) -> Bill | None:
        """Return what a call is paid by that is priced by a name."""
        era = self._prices.era(name, at)
        if era is None or not (era.dearest.has_tokens or _covers(era.dearest, call.operation.name)):
            return self._unpriced(name, need) if self._free else None
        price = era.dearest
        if price.tools:
            tools = tools_in(call.operation.name, body, price.tools)
            need = msgspec.structs.replace(need, tools=tools)
        amount = bound_of(
            price,
            input_tokens=need.tokens.input_tokens,
            output_tokens=need.tokens.output_tokens,
            factor=self._factor,
            images=need.images,
            seconds=need.seconds,
            tools=need.tools,
        )
        return Bill(
            name=name,
            need=need,
            amount=amount,
            era=era,
            version=self._prices.version,
            free_own_keys=self._free_own_keys,
        )

    def _unpriced(self, name: str, need: Need) -> Bill:
        return Bill(name=name, need=need, amount=0, era=None)

    def _name(self, call: Call, at: float) -> str:
        """Return what a call is priced by: its model, or its operation where that is said.

        An upload may have a model, and be priced by its operation all the same: where the model has
        no price of such calls, or the operation has one by name and the model only by a pattern.
        """
        model, operation = call.model, call.operation.name
        if model is None or call.operation.body is JSON:
            return model or operation
        era = self._prices.era(model, at)
        if era is None or not _covers(era.dearest, operation):
            return operation
        is_own = self._prices.names(model) or not self._prices.names(operation)
        return model if is_own else operation


def _covers(price: Price, operation: str) -> bool:
    """Whether a price is one of this operation: that of images alone is none of a chat."""
    if price.has_tokens or price.request is not None:
        return True
    own = price.image if operation.startswith("images.") else price.second
    return own is not None and operation not in ESTIMATED


def _factor(text: str) -> Fraction:
    try:
        factor = Fraction(text)
    except (ValueError, ZeroDivisionError):
        factor = Fraction(0)
    if not 1 <= factor <= 100:  # noqa: PLR2004 - as the sentence says
        raise ValueError(f"factor is {text!r}: give a number as text, 1 to 100, such as '1.1'.")
    # One that is known by itself costs no arithmetic.
    return ONE if factor == ONE else factor
