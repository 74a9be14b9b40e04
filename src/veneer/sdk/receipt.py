"""Receipts, as a client reads them: what a call cost, in whichever way the service says it."""

import math
from collections.abc import Iterator, Mapping
from decimal import Decimal, InvalidOperation
from typing import Literal

import msgspec

from veneer.sdk.members import member, tellers, text
from veneer.sdk.routing import parse_routing_metadata

Unit = Literal["usd", "credit"]

# Response fields that tell a cost: one in dollars, and any in credits, whose names bear a brand.
_DOLLARS = "x-cost-usd"
_CREDITS = "-credits-charged"
_PART = "_credits"


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """What a call cost: `total` in `unit`, and what for, where the service says so.

    `parts` add up to the total. Those of a chat are `input`, `output` and perhaps `reasoning` and
    fees, those of embeddings `text`, `visual` and `video`. `estimated` is whether the service had
    to estimate the usage; `price_version` is the version of its prices, `model` what it charged.
    """

    total: Decimal
    unit: Unit
    parts: Mapping[str, Decimal] = {}
    estimated: bool = False
    price_version: str | None = None
    model: str | None = None


def parse_receipt(
    response_or_chunk: object, headers: Mapping[str, str] | None = None
) -> Receipt | None:
    """Return the receipt of an answer, of a chunk or event of a stream, or of plain JSON.

    Credits come from `usage.credits_charged` and `usage.breakdown`, dollars from `usage.cost` or
    from the cost in routing metadata. What the body does not tell is taken from `headers`, those of
    the response. None where nobody tells, or where what is told is no number.
    """
    for teller in tellers(response_or_chunk):
        usage = member(teller, "usage")
        if usage is not None:
            found = _of_credits(usage) or _of_dollars(usage)
            if found is not None:
                return found
    routing = parse_routing_metadata(response_or_chunk)
    if routing is not None and routing.cost is not None:
        return Receipt(total=routing.cost.usd, unit="usd")
    return None if headers is None else _of_headers(headers)


def _of_credits(usage: object) -> Receipt | None:
    total = _amount(member(usage, "credits_charged"))
    if total is None:
        return None
    breakdown = member(usage, "breakdown")
    return Receipt(
        total=total,
        unit="credit",
        parts=dict(_parts(breakdown)),
        estimated=member(breakdown, "estimated") is True,
        price_version=text(breakdown, "pricing_version"),
        model=text(breakdown, "model"),
    )


def _of_dollars(usage: object) -> Receipt | None:
    total = _amount(member(usage, "cost"))
    if total is None:
        return None
    estimated = member(usage, "cost_estimated") is True
    return Receipt(total=total, unit="usd", estimated=estimated)


def _of_headers(headers: Mapping[str, str]) -> Receipt | None:
    for name, value in headers.items():
        lower = name.lower()
        unit: Unit = "usd" if lower == _DOLLARS else "credit"
        if unit == "credit" and not lower.endswith(_CREDITS):
            continue
        total = _amount(value)
        if total is not None:
            return Receipt(total=total, unit=unit)
    return None


def _parts(breakdown: object) -> Iterator[tuple[str, Decimal]]:
    if not isinstance(breakdown, Mapping):
        return
    # Of embeddings, the input stands by what it is in an object of its own.
    inputs = breakdown.get("input")
    named = dict(inputs) if isinstance(inputs, Mapping) else {}
    named |= {
        name.removesuffix(_PART): told
        for name, told in breakdown.items()
        if isinstance(name, str) and name.endswith(_PART)
    }
    for name, told in named.items():
        amount = _amount(told)
        if amount is not None:
            yield name, amount


def _amount(told: object) -> Decimal | None:
    """Return an amount of money, None for what is none.

    JSON's numbers come as floats here, whose shortest digits are those that the service wrote.
    """
    if isinstance(told, bool) or not isinstance(told, int | float | str | Decimal):
        return None
    if isinstance(told, float) and not math.isfinite(told):
        return None
    try:
        amount = Decimal(str(told))
    except InvalidOperation:
        return None
    return amount if amount.is_finite() else None
