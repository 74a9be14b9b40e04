"""What an answer says beside its usage: who answered, in which tier, with which hosted tools.

And how many images it brings.
"""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import msgspec

from veneer.wire.usage import usage_in_body

_T = TypeVar("_T")

# What is longer is no name.
MAX_NAME = 512

# An item of a Responses answer is a tool's call if its type ends so: `web_search_call`.
CALL = "_call"


class _Carrier(msgspec.Struct):
    model: Any = None
    service_tier: Any = None
    output: msgspec.Raw = msgspec.Raw()
    response: msgspec.Raw = msgspec.Raw()


class _Answer(_Carrier):
    usage: msgspec.Raw = msgspec.Raw()


class _Item(msgspec.Struct):
    type: Any = None


class _Images(msgspec.Struct):
    data: list[msgspec.Raw]


_images = msgspec.json.Decoder(_Images)
_carrier = msgspec.json.Decoder(_Carrier)
_answer = msgspec.json.Decoder(_Answer)
_items = msgspec.json.Decoder(list[_Item])


def read_answered(data: bytes, record: Callable[..., _T]) -> _T | None:
    """Return a `record` of what the JSON text of an answer, or of an event, says of itself.

    It is made with keywords: `model` and `service_tier`, None where they are no names, and `tools`,
    the calls of each tool that stand in the output of a Responses answer (`{"web_search": 2}`). An
    event's `response` stands for the event. None for text that cannot be read.
    """
    try:
        carrier = _carrier.decode(data)
        if bytes(memoryview(carrier.response)[:1]) == b"{":
            carrier = _carrier.decode(carrier.response)
        return _record(carrier, record)
    except (ValueError, RecursionError):
        return None


def read_answer(
    data: bytes, record: Callable[..., _T]
) -> tuple[bytes, _T | None] | tuple[None, None]:
    """Return the text of an answer's usage object, and a record as `read_answered` makes it.

    None for both where it has no usage object. Most answers are decoded once for both.
    """
    try:
        answer = _answer.decode(data)
        usage = bytes(answer.usage)
        if usage[:1] == b"{" and not len(answer.response):
            return usage, _record(answer, record)
    except (ValueError, RecursionError):
        # Both may still be found, in a text that is mended or only in parts of it.
        pass
    found = usage_in_body(data)
    return (None, None) if found is None else (found, read_answered(data, record))


def _record(carrier: _Carrier, record: Callable[..., _T]) -> _T:
    tier = carrier.service_tier
    return record(
        model=_name(carrier.model),
        service_tier=None if tier is None else _name(tier),
        tools=_tools(bytes(carrier.output)) if len(carrier.output) else {},
    )


def images_in(data: bytes) -> int | None:
    """Return how many images an answer holds: the items of its `data`; None without such a list."""
    try:
        return len(_images.decode(data).data)
    except (ValueError, RecursionError):
        return None


def _name(value: Any) -> str | None:
    if isinstance(value, str) and 0 < len(value) <= MAX_NAME and value.isprintable():
        return value
    return None


def _tools(output: bytes) -> Mapping[str, int]:
    found: dict[str, int] = {}
    if output[:1] == b"[" and output.find(b'_call"') > 0:
        for item in _items.decode(output):
            if isinstance(item.type, str) and item.type.endswith(CALL):
                tool = item.type.removesuffix(CALL)
                found[tool] = found.get(tool, 0) + 1
    return found
