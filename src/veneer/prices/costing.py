"""Costing: what a call costs by its usage, and the most that it can cost before it is made."""

from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Any

from veneer.facts import Cost, Usage
from veneer.prices.counting import LARGEST, count, counted
from veneer.prices.money import MOST, half_even
from veneer.prices.price import MILLION, ONE, Price

# Each part of a cost may be rounded up by half a picodollar; tokens and seconds have ten.
_ROUNDING = 5


def cost_of(  # noqa: PLR0913 - all that a receipt needs, each with its name, most with a default
    usage: Usage,
    price: Price,
    *,
    tier: str | None = None,
    images: int = 0,
    tools: Mapping[str, int] = {},
    requests: int = 1,
    model: str | None = None,
    version: str | None = None,
    estimated: bool = False,
) -> Cost:
    """Return what a call costs, in parts that add up to the total; never negative, never raising.

    Tokens are told apart by `counted`, and each kind costs its rate times the factor of the service
    `tier` that the upstream says it used. `images`, `tools` (calls of hosted tools, by name),
    `requests` and the usage's seconds cost what the price has for them, as `images`, `tools`,
    `requests` and `seconds`. Each part is rounded half-even once; those of nothing are left out.

    The cost is `estimated` where the caller says so; where the usage was malformed or contradicted
    itself; where nothing of it has a price, so that it costs nothing; and where it comes to more
    than `MOST`, at which it stops.
    """
    tokens, mended = counted(usage, price)
    parts = _token_parts(tokens, price, tier)
    # Most calls are of tokens, and nothing else.
    if usage.seconds:
        length, each, odd = _seconds(usage.seconds)
        mended = mended or odd
        _add(parts, "seconds", half_even(length * (price.second or 0), each))
    if images:
        _add(parts, "images", count(images) * (price.image or 0))
    if price.request is not None:
        _add(parts, "requests", count(requests) * price.request)
    if tools:
        _add(parts, "tools", sum(count(tools[name]) * price.tools.get(name, 0) for name in tools))
    total = sum(parts.values())
    if total > MOST:
        parts = _cut(parts)
        total, mended = MOST, True
    elif not total and (tokens or usage.seconds) and not _covers(price, tokens, usage, images):
        mended = True
    return Cost(
        parts=parts,
        total=total,
        model=model,
        price_version=version,
        estimated=estimated or mended,
    )


def bound_of(  # noqa: PLR0913 - as above
    price: Price,
    *,
    input_tokens: int,
    output_tokens: int,
    factor: Fraction = ONE,
    images: int = 0,
    seconds: float = 0,
    tools: Mapping[str, int] = {},
    requests: int = 1,
) -> int:
    """Return picodollars that a call cannot cost more than, if it uses no more than this.

    Every token is taken at the dearest rate that it can have, in the dearest tier, and the whole
    times `factor`, which makes room for estimates. Of a model with several prices, give the dearest
    (`PriceBook.dearest`). It is `MOST` at most.
    """
    dearest = price.dearest_tier
    number = price.most_input * input_tokens + price.most_output * output_tokens
    per = MILLION
    if dearest is not ONE:
        number *= dearest.numerator
        per *= dearest.denominator
    if images or tools or price.request:
        units = images * (price.image or 0) + requests * (price.request or 0)
        units += sum(tools[name] * price.tools.get(name, 0) for name in tools)
        number += units * per
    if seconds:
        length, each, _ = _seconds(seconds)
        number = number * each + length * (price.second or 0) * per
        per *= each
    if not number:
        return 0
    if factor is not ONE:
        number *= factor.numerator
        per *= factor.denominator
    bound = -(-number // per) + _ROUNDING
    if bound > MOST:
        return MOST
    return bound


def _token_parts(tokens: Mapping[str, int], price: Price, tier: str | None) -> dict[str, int]:
    factor = ONE if tier is None else price.factor(tier)
    parts: dict[str, int] = {}
    each = price.each
    if each is not None and factor is ONE:
        for kind, number in tokens.items():
            if amount := number * each[kind]:
                parts[kind] = amount
        return parts
    rates, times, per = price.rates, factor.numerator, MILLION * factor.denominator
    for kind, number in tokens.items():
        exact = number * rates[kind] * times
        amount, rest = divmod(exact, per)
        if rest:
            amount = half_even(exact, per)
        if amount:
            parts[kind] = amount
    return parts


def _add(parts: dict[str, int], name: str, amount: int) -> None:
    if amount:
        parts[name] = amount


def _seconds(given: Any) -> tuple[int, int, bool]:
    """Return seconds as a fraction, exactly as their digits are, and whether they were mended."""
    if type(given) is int and 0 <= given <= LARGEST:
        return given, 1, False
    if isinstance(given, float) and 0 <= given <= LARGEST:
        return *Decimal(float.__repr__(given)).as_integer_ratio(), False
    return count(given), 1, True


def _covers(price: Price, tokens: Mapping[str, int], usage: Usage, images: int) -> bool:
    """Whether anything that was used has a price, though it be 0."""
    return (
        (bool(tokens) and price.has_tokens)
        or (bool(usage.seconds) and price.second is not None)
        or (bool(images) and price.image is not None)
        or price.request is not None
    )


def _cut(parts: Mapping[str, int]) -> dict[str, int]:
    """Return the parts, the first of them first, as far as `MOST` goes."""
    left = MOST
    kept: dict[str, int] = {}
    for name, amount in parts.items():
        _add(kept, name, min(amount, left))
        left -= min(amount, left)
    return kept
