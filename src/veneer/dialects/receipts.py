"""Receipts: what a call cost, as members of its answer and as fields of its response.

Amounts are written as the decimal numbers that they are, never through a float. What is shown for
parts adds up to what is shown as charged.
"""

from collections.abc import Iterable
from decimal import Decimal
from functools import lru_cache

import msgspec

from veneer.facts import Cost, Usage
from veneer.prices import money
from veneer.prices.credits import Credits
from veneer.prices.price import INPUT, OUTPUT

Fields = list[tuple[bytes, bytes]]

EMBEDDINGS = "embeddings"
CHUNKED = frozenset({"chat.completions", "completions"})
REASONING = "reasoning"
# Amounts whose digits are remembered.
MAX_REMEMBERED = 256
# An embedding's input by what it is; nothing is priced as video, whose place is there all the same.
MODALITIES = ("text", "visual", "video")


class Estimated(msgspec.Struct, frozen=True, kw_only=True):
    """What an embedding would cost: the tokens of its input by what they are of, and the cost."""

    text: int
    image: int
    video: int
    cost: Cost


def openai_receipt(cost: Cost, _usage: Usage, _operation: str, _credits: Credits) -> bytes:
    """Return what other gateways have besides OpenAI's members: the cost in dollars.

    A second member says so where the usage behind it is estimated.
    """
    estimated = b',"cost_estimated":true' if cost.estimated else b""
    return b'"cost":%b%b' % (_dollars(cost.total), estimated)


def openai_cost_fields(cost: Cost, _credits: Credits) -> Fields:
    """Return the field of a response that tells its cost in dollars."""
    return [(b"x-cost-usd", _dollars(cost.total))]


def aurous_receipt(cost: Cost, usage: Usage, operation: str, credits_: Credits) -> bytes:
    """Return Aurous' members: the credits that were charged, and what for.

    Input is all that goes into the model, output all that comes out but reasoning; what is neither
    (a fee for the request, tools) stands beside them under its own name.
    """
    embeds = operation == EMBEDDINGS
    grouped = _of_embeddings(cost) if embeds else _of_chat(cost, usage)
    parts, total = credits_.receipt(grouped)
    breakdown = []
    if embeds:
        inputs = _object(_member(name, _number(parts.pop(name))) for name in MODALITIES)
        breakdown.append(_member("input", inputs))
    breakdown += [_member(f"{name}_credits", _number(part)) for name, part in parts.items()]
    breakdown.append(_member("model", msgspec.json.encode(cost.model)))
    if not embeds:
        breakdown.append(_member("pricing_version", msgspec.json.encode(cost.price_version)))
    if cost.estimated:
        breakdown.append(b'"estimated":true')
    members = [
        _member("credits_charged", _number(total)),
        _member("breakdown", _object(breakdown)),
    ]
    if usage.reasoning_tokens:
        members.append(_member("reasoning_tokens", b"%d" % usage.reasoning_tokens))
    return b",".join(members)


def aurous_estimate(estimated: Estimated, credits_: Credits) -> bytes:
    """Return Aurous' document on what an embedding would cost: its receipt, before it is made."""
    parts, total = credits_.receipt(_of_embeddings(estimated.cost))
    counts = {"text": estimated.text, "image": estimated.image, "video": estimated.video}
    inputs = _object(_member(name, _number(parts.pop(name))) for name in MODALITIES)
    breakdown = [
        _member("input", inputs),
        *(_member(f"{name}_credits", _number(part)) for name, part in parts.items()),
        _member("model", msgspec.json.encode(estimated.cost.model)),
    ]
    return _object(
        [
            b'"estimated":true',
            _member("tokens", msgspec.json.encode({**counts, "total": sum(counts.values())})),
            _member("credits_estimated", _number(total)),
            _member("breakdown", _object(breakdown)),
        ]
    )


def aurous_cost_fields(cost: Cost, credits_: Credits, prefix: bytes = b"aurous") -> Fields:
    """Return the field of a response that tells its cost in credits.

    Of a receipt whose parts had to be rounded, the sum may differ from it in the last place.
    """
    return [(prefix + b"-credits-charged", credits_.shown(cost.total).encode())]


def usage_member(usage: Usage, operation: str, members: bytes) -> bytes:
    """Return a usage object as a member, for an answer whose upstream gave none.

    It has the operation's own names for tokens, and `members` (a receipt) after them.
    """
    if operation in CHUNKED or operation == EMBEDDINGS:
        counts = [("prompt_tokens", usage.input_tokens)]
        if operation in CHUNKED:
            counts.append(("completion_tokens", usage.output_tokens))
    else:
        counts = [("input_tokens", usage.input_tokens), ("output_tokens", usage.output_tokens)]
    counts.append(("total_tokens", usage.total_tokens))
    written = [_member(name, b"%d" % number) for name, number in counts]
    if members:
        written.append(members)
    return _member("usage", _object(written))


@lru_cache(MAX_REMEMBERED)
def _dollars(amount: int) -> bytes:
    """Return an amount as it is shown, which is twice for each call."""
    return money.shown(amount).encode()


def _of_chat(cost: Cost, usage: Usage) -> dict[str, int]:
    grouped = {"input": 0, "output": 0}
    if usage.reasoning_tokens:
        grouped[REASONING] = 0
    for part, amount in cost.parts.items():
        name = "input" if part in INPUT else "output" if part in OUTPUT else part
        name = REASONING if part == REASONING else name
        grouped[name] = grouped.get(name, 0) + amount
    return grouped


def _of_embeddings(cost: Cost) -> dict[str, int]:
    grouped = dict.fromkeys(MODALITIES, 0)
    for part, amount in cost.parts.items():
        name = "visual" if part == "input_image" else "text" if part in INPUT else part
        grouped[name] = grouped.get(name, 0) + amount
    return grouped


def _number(exact: Decimal) -> bytes:
    text = f"{exact:f}"
    return (text.rstrip("0").rstrip(".") if "." in text else text).encode()


def _member(name: str, value: bytes) -> bytes:
    return b'"%b":%b' % (name.encode(), value)


def _object(members: Iterable[bytes]) -> bytes:
    return b"{%b}" % b",".join(members)
