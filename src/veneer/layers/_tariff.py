"""What a call can cost at the most, and what it comes to, by a price book."""

from collections.abc import Mapping, Sequence
from fractions import Fraction

import msgspec
from starlette.types import Scope

from veneer.call import Call
from veneer.facts import Answered, Cost, Usage
from veneer.layers._hosted import tools_in
from veneer.operations import Body
from veneer.prices.book import PriceBook
from veneer.prices.costing import bound_of, cost_of
from veneer.prices.price import MILLION, Price
from veneer.quotas.estimate import ESTIMATED, FRAME, Estimate, Estimator
from veneer.wire import fields

# No model that is known takes more tokens for an image that it makes, or is given.
IMAGE_TOKENS = 8192

# The most images that the API makes of an upload, whose `n` is not read.
UPLOADED_IMAGES = 10

# Sound as it is taken to be before it is heard: 32 kbit/s, ten tokens a second, and what is said in
# it, by fast speakers. An upload that does not say how long it is has the most that the API takes.
SOUND_BYTES = 4000
SOUND_TOKENS = 10
SPOKEN_TOKENS = 5
UPLOAD = 25 * 1024 * 1024
MAX_DIGITS = 12

# Operations that are paid for, besides those whose tokens an estimator knows.
PRICED = ESTIMATED | {
    "images.generations",
    "images.edits",
    "images.variations",
    "audio.speech",
    "audio.transcriptions",
    "audio.translations",
}


class Need(msgspec.Struct, frozen=True):
    """What a call may use: tokens, images that are made, seconds of sound that are heard.

    `tools` are the calls of hosted tools, by name, that have a price.
    """

    tokens: Estimate
    images: int = 0
    seconds: float = 0.0
    tools: Mapping[str, int] = {}


class Bill(msgspec.Struct, frozen=True, kw_only=True):
    """What one call is paid by: its `name` in the price book, as it was `at` its beginning.

    `prices` is None for a call that is free. `amount` (picodollars) is the most that it can cost,
    if it uses no more than it needs.
    """

    name: str
    at: float
    need: Need
    amount: int
    prices: PriceBook | None

    @property
    def goes_by_usage(self) -> bool:
        """Whether the cost depends on what the upstream says was used."""
        price = self._price(0)
        return price is not None and (price.has_tokens or price.second is not None)

    @property
    def pays_images(self) -> bool:
        """Whether images cost something by their number."""
        price = self._price(0)
        return price is not None and price.image is not None

    @property
    def pays_output(self) -> bool:
        """Whether what the model writes costs something."""
        price = None if self.prices is None else self.prices.dearest(self.name, at=self.at)
        return price is not None and price.most_output > 0

    def outputs(self, spent: int) -> int:
        """Return how many tokens of output the hold pays beyond what is spent, at the least."""
        price = None if self.prices is None else self.prices.dearest(self.name, at=self.at)
        return 0 if price is None else max(0, self.amount - spent) * MILLION // price.most_output

    def cost(
        self, usage: Usage, answered: Answered, *, images: int, estimated: bool = False
    ) -> Cost:
        """Return what the call costs by its usage, its answer, and the images that it has made."""
        price = self._price(usage.input_tokens)
        if self.prices is None or price is None:
            return self.nothing()
        return cost_of(
            usage,
            price,
            tier=answered.service_tier,
            images=images,
            tools=answered.tools,
            model=self.name,
            version=self.prices.version,
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
        version = None if self.prices is None else self.prices.version
        return Cost(model=self.name, price_version=version)

    def _price(self, input_tokens: int) -> Price | None:
        if self.prices is None:
            return None
        return self.prices.price(self.name, at=self.at, input_tokens=input_tokens)


class Tariff:
    """Says what calls are paid by.

    `estimator` tells how many tokens a call of texts may need, `default_output` how many it may
    write that names no cap; `factor` is the room above what a call may cost. `unpriced` is what
    becomes of models without a price: `refuse` or `free`. Raises ValueError for what cannot be.
    """

    def __init__(
        self,
        prices: PriceBook,
        *,
        estimator: Estimator,
        default_output: int,
        factor: str,
        unpriced: str,
    ) -> None:
        if unpriced not in ("refuse", "free"):
            raise ValueError(f"unpriced is {unpriced!r}: say 'refuse' or 'free'.")
        self._prices = prices
        self._estimator = estimator
        self._default_output = default_output
        self._factor = _factor(factor)
        self._free = unpriced == "free"

    def bill(self, scope: Scope, call: Call, body: bytes, at: float) -> Bill | None:
        """Return what a call is paid by; None for one that has no price, and is not free."""
        name = self._name(call, at)
        price = self._prices.dearest(name, at=at)
        need = self._need(scope, call, body)
        if price is None or not _covers(price, call.operation.name):
            if not self._free:
                return None
            return Bill(name=name, at=at, need=need, amount=0, prices=None)
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
        return Bill(name=name, at=at, need=need, amount=amount, prices=self._prices)

    def _name(self, call: Call, at: float) -> str:
        """Return what a call is priced by: its model, or its operation where that is said.

        An upload may have a model, and be priced by its operation all the same: where the model has
        no price of such calls, or the operation has one by name and the model only by a pattern.
        """
        model, operation = call.model, call.operation.name
        if model is None or call.operation.body is Body.JSON:
            return model or operation
        price = self._prices.dearest(model, at=at)
        if price is None or not _covers(price, operation):
            return operation
        is_own = self._prices.names(model) or not self._prices.names(operation)
        return model if is_own else operation

    def _need(self, scope: Scope, call: Call, body: bytes) -> Need:
        name = call.operation.name
        if name in ESTIMATED:
            return Need(self._estimator(call, body))
        text = call.input_bytes + FRAME
        if name == "audio.speech":
            return Need(Estimate(text))
        if name.startswith("images."):
            # Of an upload is not known how many images it asks for.
            uploaded = name != "images.generations"
            images = UPLOADED_IMAGES if uploaded else call.choices
            given = IMAGE_TOKENS if uploaded else 0
            return Need(Estimate(text + given, IMAGE_TOKENS * images), images)
        seconds = max(1, _uploaded(scope["headers"]) // SOUND_BYTES)
        written = max(self._default_output, seconds * SPOKEN_TOKENS)
        return Need(Estimate(text + seconds * SOUND_TOKENS, written), 0, float(seconds))


def _covers(price: Price, operation: str) -> bool:
    """Whether a price is one of this operation: that of images alone is none of a chat."""
    if price.has_tokens or price.request is not None:
        return True
    own = price.image if operation.startswith("images.") else price.second
    return own is not None and operation not in ESTIMATED


def _uploaded(headers: Sequence[tuple[bytes, bytes]]) -> int:
    """Return how many bytes a request has, as far as it says so."""
    length = fields.get(headers, b"content-length") or b""
    return int(length) if length.isdigit() and len(length) <= MAX_DIGITS else UPLOAD


def _factor(text: str) -> Fraction:
    try:
        factor = Fraction(text)
    except (ValueError, ZeroDivisionError):
        factor = Fraction(0)
    if not 1 <= factor <= 100:  # noqa: PLR2004 - as the sentence says
        raise ValueError(f"factor is {text!r}: give a number as text, 1 to 100, such as '1.1'.")
    return factor
