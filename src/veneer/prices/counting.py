"""Counting: from what an upstream says it used to tokens of which each is of one kind only."""

from collections.abc import Iterable
from typing import Any

from veneer.facts import Usage
from veneer.prices.price import INPUT, OUTPUT, Price

# Beyond this a number is no count: JSON readers stop being exact (RFC 8259 §6).
LARGEST = 2**53


def counted(usage: Usage, price: Price) -> tuple[dict[str, int], bool]:
    """Return the tokens of each kind, without those that have none, and whether usage was mended.

    Kinds are parts of the input and of the output and may overlap in the usage (what was cached may
    be audio), so each takes what it says of what those before it left: of the input `cached_input`,
    `cache_write`, `input_audio`, `input_image`; of the output `reasoning`, `output_audio`,
    `output_image`; `input` and `output` are the rest. So no token counts twice, and all count.

    Where the total is more than input and output, the difference is tokens too: some servers leave
    reasoning, or what was cached, out of the side that it belongs to. They go to the side whose
    parts say more than it has, else to the dearer one. What is no count is 0, what is above 2**53
    is that.
    """
    inputs, outputs = usage.input_tokens, usage.output_tokens
    cached, reasoning = usage.cached_input_tokens, usage.reasoning_tokens
    rare = (
        usage.malformed
        or usage.cache_write_tokens
        or usage.input_audio_tokens
        or usage.input_image_tokens
        or usage.output_audio_tokens
        or usage.output_image_tokens
    )
    # Most are of this form, and every call comes by here.
    if (
        not rare
        and type(inputs) is type(outputs) is type(cached) is type(reasoning) is int
        and 0 <= cached <= inputs <= LARGEST
        and 0 <= reasoning <= outputs <= LARGEST
        and (usage.total_tokens == inputs + outputs or usage.total_tokens == 0)
    ):
        tokens = {}
        if cached:
            tokens["cached_input"] = cached
        if inputs > cached:
            tokens["input"] = inputs - cached
        if reasoning:
            tokens["reasoning"] = reasoning
        if outputs > reasoning:
            tokens["output"] = outputs - reasoning
        return tokens, False
    return _counted_with_care(usage, price)


def _counted_with_care(usage: Usage, price: Price) -> tuple[dict[str, int], bool]:
    given: tuple[int, ...] = (
        usage.input_tokens,
        usage.output_tokens,
        usage.total_tokens,
        usage.cached_input_tokens,
        usage.cache_write_tokens,
        usage.input_audio_tokens,
        usage.input_image_tokens,
        usage.reasoning_tokens,
        usage.output_audio_tokens,
        usage.output_image_tokens,
    )
    mended = usage.malformed
    for number in given:
        if type(number) is not int or not 0 <= number <= LARGEST:
            given = tuple(map(count, given))
            mended = True
            break
    inputs, outputs, total, cached, written, heard, seen, reasoning, spoken, drawn = given

    beyond_inputs = cached + written > inputs or heard + seen > inputs
    beyond_outputs = reasoning > outputs or spoken + drawn > outputs
    spare = total - inputs - outputs if total else 0
    if spare or beyond_inputs or beyond_outputs:
        mended = True
    if spare > 0:
        dearer_input = price.rates["input"] >= price.rates["output"]
        if beyond_inputs or (dearer_input and not beyond_outputs):
            inputs += spare
        else:
            outputs += spare

    tokens = _shared_out(inputs, zip(INPUT, (cached, written, heard, seen, inputs), strict=True))
    tokens |= _shared_out(outputs, zip(OUTPUT, (reasoning, spoken, drawn, outputs), strict=True))
    return tokens, mended


def _shared_out(left: int, parts: Iterable[tuple[str, int]]) -> dict[str, int]:
    """Return what each part gets of the tokens that are left, which the last takes all of."""
    tokens: dict[str, int] = {}
    for kind, said in parts:
        taken = min(said, left)
        if taken:
            tokens[kind] = taken
            left -= taken
    return tokens


def count(value: Any) -> int:
    """Return the count that a value is: 0 where it is none, 2**53 where it is more."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not value >= 0:
        return 0
    if value > LARGEST:
        return LARGEST
    return int(value) if value == int(value) else 0
