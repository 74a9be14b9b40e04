"""The plan of a call: from what is asked, what is offered and how targets do, who gets it."""

import math
from functools import cached_property

import msgspec

from veneer.catalog.model import Capability
from veneer.dialects import Kind
from veneer.dialects.routing import Strategy, Warned
from veneer.prices.price import MILLION, Price
from veneer.routing.preferences import NO_PREFERENCES, DataPolicy, Preferences


class Rates(msgspec.Struct, frozen=True, gc=False):
    """What one token of each kind, and a request, cost, in picodollars; only good for ranking."""

    input: float
    cached: float
    output: float
    request: float


class Offer(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """A model at a target.

    `model` is its name in the catalog, `name` the target's own. What is None is not known, and
    nothing is refused for it. `price` is what the operator pays for it. `unknown_parameters` are
    members of a call that the target does not know. `weight` is its share where several do equally
    well. `platform` is whether the operator has a key for it (or it needs none), `own_keys` whether
    callers may bring theirs.
    """

    target: str
    model: str
    name: str
    price: Price | None = None
    capabilities: frozenset[Capability] | None = None
    context_window: int | None = None
    output_cap: int | None = None
    unknown_parameters: frozenset[str] = frozenset()
    data_policy: DataPolicy = "none"
    tier: str | None = None
    weight: float = 1.0
    platform: bool = True
    own_keys: bool = False

    @cached_property
    def rates(self) -> Rates | None:
        """Its price by the token, None where it has none for tokens nor for requests."""
        price = self.price
        if price is None or not (price.has_tokens or price.request is not None):
            return None
        rates = price.rates
        return Rates(
            rates["input"] / MILLION,
            rates["cached_input"] / MILLION,
            rates["output"] / MILLION,
            float(price.request or 0),
        )

    @cached_property
    def steps(self) -> "tuple[Step]":
        """The try of a call with the operator's key, of which all members are known to it."""
        return (Step(offer=self),)


class Spread(msgspec.Struct, frozen=True, gc=False):
    """How a measure is distributed: where it is of late, its percentiles, how often it was taken.

    `level` is the moving average of its natural logarithm, so that one outlier is not all that
    counts, and all that choosing needs of it is there. Half of the calls did at
    least as well as `p50`, 95 % as well as `p95`, which is a long time or a low throughput.
    """

    level: float
    p50: float
    p95: float
    count: int


class Reading(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """How an offer does at this moment.

    `ttft` is in seconds, `throughput` in tokens a second, None where it has not been seen yet;
    `seen` is when it was seen last, well or failing, by the clock of `Ask.now`; it never was where
    that is minus infinity. `outstanding` are the calls under way there,
    `full` is whether the target's own limits leave no room. `resting` are the seconds for which it
    is not to be asked (its breaker is open, or it said so), 0 for none; `probing` is whether this
    call may try one that was away. `failing` is the share of late calls that failed.
    `warm` is how much of this call's input (tokens) it has likely cached.
    """

    ttft: Spread | None = None
    throughput: Spread | None = None
    seen: float = -math.inf
    outstanding: int = 0
    full: bool = False
    resting: float = 0.0
    probing: bool = False
    failing: float = 0.0
    warm: int = 0


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked, as far as routing goes by it.

    `models` are the names in the catalog that may answer, in their order. `input_tokens` and
    `output_tokens` are what the call is expected to use, `output_cap` what it allows. `needs` are
    the capabilities it uses, `parameters` the names of the members of its body. `own_keys` are the
    targets that the caller has a key of its own for. `tries` is how many may be asked at most,
    whatever its preferences say; Auriko's allow 19 after the first. `now` is the time in seconds
    by the clock of the observations.
    """

    models: tuple[str, ...]
    preferences: Preferences = NO_PREFERENCES
    input_tokens: int = 0
    output_tokens: int = 0
    output_cap: int | None = None
    needs: frozenset[Capability] = frozenset()
    parameters: frozenset[str] = frozenset()
    own_keys: frozenset[str] = frozenset()
    tries: int = 20
    now: float = 0.0


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One try: an offer, whose key it is made with, and the members that are left out for it."""

    offer: Offer
    own_key: bool = False
    dropped: tuple[str, ...] = ()

    @property
    def warnings(self) -> tuple[Warned, ...]:
        """What its client is told, where it is this one that answers."""
        return tuple(
            Warned(
                "unsupported_parameter",
                "unsupported_parameter",
                f"'{name}' was left out: {self.offer.target} does not know it.",
            )
            for name in self.dropped
        )


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """Who is asked, in this order, until one answers; `steps` is not empty.

    `warnings` are about the call, whoever answers; those about a step are its own.
    """

    steps: tuple[Step, ...]
    strategy: Strategy
    warnings: tuple[Warned, ...] = ()


class Unfit(msgspec.Struct, frozen=True, kw_only=True):
    """Why nobody can be asked.

    `kind`, `param` and `message` are for the client, and so is `suggestion`: what to change.
    `retry_after` (seconds) is given where waiting helps.
    """

    kind: Kind
    message: str
    param: str | None = None
    suggestion: str | None = None
    retry_after: float | None = None
