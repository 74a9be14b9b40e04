r"""Edits of JSON text that leave alone every byte that they do not mean.

Members are found by name, however the text writes it (`"mod\u0065l"` is `model`), along a path of
names through objects. A path through a member that stands twice is refused, because parsers differ
in which of the two they take.

Every function raises ValueError for text that is not one JSON object, is nested too deeply, or has
more than `MAX_MEMBERS` in an object on the path, and its subclass `DuplicateMemberError` for a
member on the path that stands twice.
"""

import json
import re
from collections.abc import Collection

import msgspec

from veneer.wire.surrogates import without_lone_surrogates

Path = tuple[str, ...]
Span = tuple[int, int]
# Name, start of the key, start and end of the value.
_Member = tuple[str, int, int, int]

# Members are walked one by one, while nobody else is served.
MAX_MEMBERS = 1_000

_decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])
# Only where a value ends is asked: a number of any length is left as text.
_scan = json.JSONDecoder(parse_int=str, parse_float=str).raw_decode
_KEY = re.compile(
    rb'[ \t\n\r]*[{,][ \t\n\r]*("[^"\\]*(?:\\.[^"\\]*)*")[ \t\n\r]*:[ \t\n\r]*', re.DOTALL
).match
_TOO_MANY = "the JSON object has too many members"
_CLOSE = re.compile(rb"[ \t\n\r]*\}[ \t\n\r]*").fullmatch


class DuplicateMemberError(ValueError):
    """A member of an object stands twice; `name` says which."""

    def __init__(self, name: str) -> None:
        super().__init__(f"the member {name!r} stands twice")
        self.name = name


def members(
    data: bytes, wanted: Collection[str] | None = None, *, most: int = MAX_MEMBERS
) -> dict[str, Span]:
    """Return where the value of each member of the object stands, as (start, end) in `data`.

    With `wanted`, only those members are returned, and only those must not stand twice. `most` is
    how many the object may have in place of `MAX_MEMBERS`.
    """
    spans: dict[str, Span] = {}
    for name, _, start, end in _walk(data, most):
        if wanted is None or name in wanted:
            if name in spans:
                raise DuplicateMemberError(name)
            spans[name] = (start, end)
    return spans


def value(data: bytes, path: Path) -> bytes | None:
    """Return the text of the value at the path, None if there is no such member."""
    span = _find(data, path)
    return None if span is None else data[slice(*span)]


def replace(data: bytes, path: Path, value: bytes) -> bytes:
    """Return the text with another value at the path; ValueError if nothing is there."""
    start, end = _found(data, path)
    return data[:start] + value + data[end:]


def insert(data: bytes, path_of_object: Path, members: bytes) -> bytes:
    """Return the text with `members` (`"a":1,"b":2`) put before the brace that closes the object.

    ValueError if no object is there. Members of these names must not stand there already: that is
    for the caller to know, or for `set_member`.
    """
    start, end = _found(data, path_of_object)
    _, values = _decode(data[start:end])
    if not members:
        return data
    brace = data.rindex(b"}", start, end)
    return data[:brace] + (b"," if values else b"") + members + data[brace:]


def set_member(data: bytes, path_of_object: Path, name: str, value: bytes) -> bytes:
    """Return the text with that member of the object replaced, or inserted if it has none."""
    span = _find(data, (*path_of_object, name))
    if span is None:
        return insert(data, path_of_object, msgspec.json.encode(name) + b":" + value)
    return data[: span[0]] + value + data[span[1] :]


def remove(data: bytes, path: Path) -> bytes:
    """Return the text without the member at the path and one comma beside it.

    It is the text itself if there is no such member.
    """
    *above, name = path
    outer = _find(data, tuple(above))
    if outer is None or (above and not data.startswith(b"{", outer[0])):
        return data
    start, end = outer
    return data[:start] + without(data[start:end], (name,)) + data[end:]


def without(data: bytes, names: Collection[str]) -> bytes:
    """Return the object's text without the members of these names, and one comma beside each.

    It is the text itself if there are none.
    """
    walked = _walk(data)
    removed: set[str] = set()
    kept: list[bytes] = []
    # Up to where the text has been judged, and whether a member before it is kept.
    at, follows = 0, False
    for place, (name, key, _, end) in enumerate(walked):
        if name not in names:
            follows = True
            continue
        if name in removed:
            raise DuplicateMemberError(name)
        removed.add(name)
        # The comma before it goes with it; with none kept before, the one behind it does.
        start = walked[place - 1][3] if follows else key
        kept.append(data[at:start])
        last = place + 1 == len(walked)
        at = end if follows or last else walked[place + 1][1]
    return b"".join((*kept, data[at:])) if removed else data


def _find(data: bytes, path: Path) -> Span | None:
    start, end = 0, len(data)
    for depth, name in enumerate(path):
        part = data[start:end]
        # Only the text as a whole has to be an object.
        if depth and not part.startswith(b"{"):
            return None
        span = members(part, (name,)).get(name)
        if span is None:
            return None
        start, end = start + span[0], start + span[1]
    return start, end


def _found(data: bytes, path: Path) -> Span:
    span = _find(data, path)
    if span is None:
        raise ValueError(f"the JSON text has no member {'.'.join(path)}")
    return span


def _walk(data: bytes, most: int = MAX_MEMBERS) -> list[_Member]:
    """Return the members in the order of the text.

    The decoder knows what each value looks like, so nothing but keys has to be scanned. That every
    value is where it was expected, and a brace after the last one, proves that no name came twice:
    a name that does has only its last value in the decoded object.
    """
    data, values = _decode(data)
    if len(values) > most:
        raise ValueError(_TOO_MANY)
    walked = []
    end = 0
    for name, raw in values.items():
        key = _KEY(data, end)
        if key is None:
            return _walk_each(data, most)
        start = key.end()
        if not data.startswith(bytes(raw), start):
            return _walk_each(data, most)
        end = start + len(raw)
        walked.append((name, key.start(1), start, end))
    if walked and _CLOSE(data, end) is None:
        return _walk_each(data, most)
    return walked


def _walk_each(data: bytes, most: int = MAX_MEMBERS) -> list[_Member]:
    """Return the members, also of an object that names some twice: slower, value by value."""
    # Latin-1 makes an index into the text an index into the bytes.
    text = data.decode("latin-1")
    walked: list[_Member] = []
    end = 0
    while key := _KEY(data, end):
        if len(walked) == most:
            raise ValueError(_TOO_MANY)
        start = key.end()
        try:
            end = _scan(text, start)[1]
        except RecursionError:
            raise ValueError("the JSON text is nested too deeply") from None
        walked.append((msgspec.json.decode(key[1], type=str), key.start(1), start, end))
    return walked


def _decode(data: bytes) -> tuple[bytes, dict[str, msgspec.Raw]]:
    """Return the values, and the text that they were read from: of one length with the first."""
    try:
        return data, _decoder.decode(data)
    except RecursionError:
        raise ValueError("the JSON text is nested too deeply") from None
    except ValueError as error:
        mended = without_lone_surrogates(data)
        if mended == data:
            raise ValueError(f"not the text of a JSON object: {error}") from error
        return _decode(mended)
