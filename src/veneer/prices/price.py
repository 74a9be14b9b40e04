"""The price: what a model costs, by what is used of it."""

from collections.abc import Mapping, Sequence
from datetime import date
from fractions import Fraction
from functools import cached_property
from types import MappingProxyType
from typing import Any

import msgspec

from veneer.prices.money import half_even

MILLION = 1_000_000
ONE = Fraction(1)

# The kinds of tokens of each side; one that may be several is the first of them, the last the rest.
INPUT = ("cached_input", "cache_write", "input_audio", "input_image", "input")
OUTPUT = ("reasoning", "output_audio", "output_image", "output")
UNITS = ("image", "second", "request")

# Where a kind of token has no rate of its own, that of the whole counts; where neither side of it
# has one, that of the other side.
_WHOLE = MappingProxyType(
    {
        **dict.fromkeys(INPUT, ("input", "output")),
        **dict.fromkeys(OUTPUT, ("output", "input")),
    }
)

# Tiers that cost what the price says, unless it says otherwise.
_STANDARD = frozenset(["", "auto", "default", "standard"])


class Price(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """What a model costs, in picodollars.

    A million tokens cost, by their kind: `input`, `cached_input`, `cache_write`, `input_audio` and
    `input_image`; `output`, `reasoning`, `output_audio` and `output_image`. A kind without a rate
    costs what `input` or `output` does, and either of these what the other does, so that a rate
    left out never makes tokens free: 0 does. Where there is neither, tokens cost nothing.
    `image`, `second` (of audio) and `request` are for one of each, and `tools` for one call of a
    hosted tool, by its name; those without a price cost nothing.

    `tiers` are the factors of service tiers, which the rates of tokens are multiplied with, and
    nothing else is. The upstream may have tiers that are not among them: `auto`, `default` and
    `standard` count 1, any other as much as the dearest that is known, 1 at least. `since` is the
    day (UTC) from which the price holds, None for always; `above` are the input tokens beyond which
    it does, for all tokens of such a call.

    Raises ValueError for a rate or a factor that is negative or not exact, for rates of tokens
    without `input` or `output`, and for a price that prices nothing.
    """

    input: int | None = None
    cached_input: int | None = None
    cache_write: int | None = None
    output: int | None = None
    reasoning: int | None = None
    input_audio: int | None = None
    output_audio: int | None = None
    input_image: int | None = None
    output_image: int | None = None
    image: int | None = None
    second: int | None = None
    request: int | None = None
    tools: Mapping[str, int] = {}
    tiers: Mapping[str, Fraction] = {}
    since: date | None = None
    above: int = 0

    def __post_init__(self) -> None:
        rates = {
            name: rate
            for name in (*INPUT, *OUTPUT, *UNITS)
            if (rate := getattr(self, name)) is not None
        }
        amounts: list[tuple[str, object]] = [*rates.items(), *self.tools.items()]
        for name, amount in [*amounts, ("above", self.above)]:
            # A Struct does not look at what it is given; True and 1.0 would pass for whole numbers.
            if type(amount) is not int or amount < 0:
                raise ValueError(f"{name} is {amount!r}: give a whole number, 0 or more.")
        factors: Mapping[str, object] = self.tiers
        for name, factor in factors.items():
            if not isinstance(factor, Fraction) or factor < 0:
                raise ValueError(f"The tier {name!r} is {factor!r}: give a Fraction, 0 or more.")
        if not rates and not self.tools:
            raise ValueError("The price prices nothing: give it a rate, 0 for what is free.")
        if not self.has_tokens and rates.keys() & _WHOLE.keys():
            raise ValueError(
                f"There is a rate for {min(rates.keys() & _WHOLE.keys())}, and none for input or "
                "output: give one of these, 0 for what is free."
            )

    @cached_property
    def has_tokens(self) -> bool:
        """Whether tokens are priced."""
        return self.input is not None or self.output is not None

    @cached_property
    def rates(self) -> Mapping[str, int]:
        """What a million tokens of each kind cost in the standard tier."""
        return {kind: self._rate(kind, *whole) for kind, whole in _WHOLE.items()}

    @cached_property
    def each(self) -> Mapping[str, int] | None:
        """What one token of each kind costs, as `rates`; None where one of them is no whole number.

        They are whole for all prices that have up to six places, which are nearly all.
        """
        if any(rate % MILLION for rate in self.rates.values()):
            return None
        return {kind: rate // MILLION for kind, rate in self.rates.items()}

    @cached_property
    def most_input(self) -> int:
        """What a million tokens of the input can cost at most, in the standard tier."""
        return max(map(self.rates.__getitem__, INPUT))

    @cached_property
    def most_output(self) -> int:
        """What a million tokens of the output can cost at most, in the standard tier."""
        return max(map(self.rates.__getitem__, OUTPUT))

    @cached_property
    def dearest_tier(self) -> Fraction:
        """The greatest factor that a tier can have."""
        return max(ONE, *self.tiers.values()) if self.tiers else ONE

    def factor(self, tier: str | None) -> Fraction:
        """Return the factor of a service tier; None is the standard one."""
        if tier is None or not self.tiers:
            return ONE
        found = self.tiers.get(tier)
        if found is None:
            return ONE if tier in _STANDARD else self.dearest_tier
        return found

    def times(self, factor: Fraction) -> "Price":
        """Return the price with each amount multiplied, and rounded half-even."""

        def multiplied(amount: int) -> int:
            return half_even(amount * factor.numerator, factor.denominator)

        rates = {
            name: multiplied(rate)
            for name in (*INPUT, *OUTPUT, *UNITS)
            if (rate := getattr(self, name)) is not None
        }
        tools = {name: multiplied(amount) for name, amount in self.tools.items()}
        return msgspec.structs.replace(self, **rates, tools=tools)

    def _rate(self, kind: str, whole: str, other: str) -> int:
        for name in (kind, whole, other):
            found: int | None = getattr(self, name)
            if found is not None:
                return found
        return 0


def dearest(prices: Sequence[Price]) -> Price:
    """Return the price whose every amount is the highest that one of these has, in any tier.

    It prices what any of these does, and nothing else.
    """
    rates: dict[str, Any] = {}
    if any(price.has_tokens for price in prices):
        rates = {
            kind: max(_ceiling(price.rates[kind] * price.dearest_tier) for price in prices)
            for kind in (*INPUT, *OUTPUT)
        }
    units: dict[str, Any] = {
        unit: max(amounts)
        for unit in UNITS
        if (amounts := [each for price in prices if (each := getattr(price, unit)) is not None])
    }
    tools: dict[str, int] = {}
    for price in prices:
        for tool, amount in price.tools.items():
            tools[tool] = max(amount, tools.get(tool, 0))
    return Price(**rates, **units, tools=tools)


def _ceiling(exact: Fraction) -> int:
    return -(-exact.numerator // exact.denominator)
