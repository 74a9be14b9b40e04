"""Members of a JSON object found at a glance: near its begin or its end, without a walk through it.

What is long in a call or an answer is nested, and mostly stands on one side of all that is short.
"""

import re

Span = tuple[int, int]

# A quote that no backslash stands before begins a string if letters follow, and a string with a
# colon is a name.
_STRING = re.compile(rb'[ \t\n\r]*:[ \t\n\r]*("[^"\\]*")').match
_BACKSLASH = ord("\\")


def outermost(data: bytes, name: bytes) -> Span | None:
    """Return where the value of the object's member of this quoted name stands, if that is seen.

    It is seen where all before it, or all behind it, is flat, and it is a string without escapes;
    else None is returned. The data has to be the text of an object. Of members that stand twice any
    may be found.
    """
    return in_front(data, name) or behind(data, name)


def in_front(data: bytes, name: bytes) -> Span | None:
    """Return the same, if only flat members stand before it; it is the first of its name then."""
    # Where there is no bracket, the brace that ends the object is left out, which is no loss.
    at = data.find(name, 1, data.find(b"[", 1))
    if at < 0 or data.find(b"{", 1, at) >= 0 or data[at - 1] == _BACKSLASH:
        return None
    found = _STRING(data, at + len(name))
    return None if found is None else found.span(1)


def behind(data: bytes, name: bytes) -> Span | None:
    """Return the same, if only flat members stand behind it."""
    at = data.find(name, max(data.rfind(b"]"), 1))
    if at < 0 or data.find(b"}", at) != data.rfind(b"}") or data[at - 1] == _BACKSLASH:
        return None
    found = _STRING(data, at + len(name))
    return None if found is None else found.span(1)
