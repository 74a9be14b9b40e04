"""Answers of one embedding each, joined to the answer of a batch."""

from collections.abc import Sequence
from typing import Any

import msgspec

from veneer.wire import splice

Members = dict[str, Any]


class Embedded(msgspec.Struct, frozen=True):
    """What one answer brings: the object of its vector, and its usage, None where it has none."""

    item: bytes
    usage: Members | None


class _Answer(msgspec.Struct):
    data: list[msgspec.Raw]
    usage: Any = None


_answer = msgspec.json.Decoder(_Answer).decode


def embedded(answer: bytes, index: int) -> Embedded:
    """Return what an answer brings to a place in the batch; ValueError if not one vector."""
    try:
        read = _answer(answer)
    except RecursionError as error:
        raise ValueError("the answer is nested too deeply") from error
    if len(read.data) != 1:
        raise ValueError(f"the answer has {len(read.data)} vectors for one input")
    item = splice.set_member(bytes(read.data[0]), (), "index", b"%d" % index)
    return Embedded(item, read.usage if isinstance(read.usage, dict) else None)


def joined(first: bytes, parts: Sequence[Embedded]) -> bytes:
    """Return the first answer with the vectors of all, and with the sum of their usages.

    Without the usage of every part there is none at all: a part of it would be taken for the whole.
    """
    usages = [part.usage for part in parts if part.usage is not None]
    if len(usages) == len(parts):
        first = splice.set_member(first, (), "usage", msgspec.json.encode(summed(usages)))
    else:
        first = splice.remove(first, ("usage",))
    return splice.set_member(first, (), "data", b"[%b]" % b",".join(part.item for part in parts))


def summed(usages: Sequence[Members]) -> Members:
    """Return the sum of usage objects, number by number; what is no number is as in the last."""
    total: Members = {}
    for usage in usages:
        for name, value in usage.items():
            before = total.get(name)
            if isinstance(value, dict):
                total[name] = summed([before, value] if isinstance(before, dict) else [value])
            elif _is_number(value) and _is_number(before):
                total[name] = before + value
            elif value is not None or before is None:
                total[name] = value
    return total


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
