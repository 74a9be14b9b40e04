"""What an answer says beside its usage: who answered, in which tier, with which hosted tools.

And how many images it brings.
"""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import msgspec

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


class _Item(msgspec.Struct):
    type: Any = None


class _Images(msgspec.Struct):
    data: list[msgspec.Raw]


_images = msgspec.json.Decoder(_Images)
_carrier = msgspec.json.Decoder(_Carrier)
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
        tools = _tools(bytes(carrier.output))
    except (ValueError, RecursionError):
        return None
    return record(model=_name(carrier.model), service_tier=_name(carrier.service_tier), tools=tools)


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
    if b'_call"' in output and output.startswith(b"["):
        for item in _items.decode(output):
            if isinstance(item.type, str) and item.type.endswith(CALL):
                tool = item.type.removesuffix(CALL)
                found[tool] = found.get(tool, 0) + 1
    return found
