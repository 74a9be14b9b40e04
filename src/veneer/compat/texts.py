"""Lists in JSON text, whose items are replaced without a change to what stands between them."""

from collections.abc import Mapping
from typing import TypeGuard

import msgspec

from veneer.wire.surrogates import without_lone_surrogates

Span = tuple[int, int]

UNSAID = (b"", b"null")

_items = msgspec.json.Decoder(list[msgspec.Raw]).decode


def items(text: bytes) -> list[Span]:
    """Return where the items of a list stand; ValueError for text that is no list."""
    try:
        mended, values = text, _items(text)
    except RecursionError:
        raise ValueError("the JSON text is nested too deeply") from None
    except msgspec.DecodeError:
        # Every byte keeps its place.
        mended = without_lone_surrogates(text)
        values = _items(mended)
    spans = []
    end = 1
    for value in map(bytes, values):
        # Between items there are only commas and blanks, which no item begins with.
        start = mended.index(value, end)
        end = start + len(value)
        spans.append((start, end))
    return spans


def with_items(text: bytes, spans: list[Span], changed: Mapping[int, bytes]) -> bytes:
    """Return the text of a list with other items at some places."""
    pieces = []
    end = 0
    for place in sorted(changed):
        start, after = spans[place]
        pieces += [text[end:start], changed[place]]
        end = after
    return b"".join([*pieces, text[end:]])


def may_say(text: bytes, begin: bytes) -> bool:
    """Whether a name in the text may begin so; escapes may hide any."""
    return begin in text or b"\\u" in text


def is_said(value: bytes | None) -> TypeGuard[bytes]:
    """Whether a member is there, and not null."""
    return value is not None and value not in UNSAID
