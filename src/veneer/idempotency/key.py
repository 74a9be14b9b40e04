"""The idempotency key of a request, as its client wrote it."""

import re
from collections.abc import Sequence

from veneer.dialects import Kind
from veneer.errors import Error

# In characters, without the quotes.
MAX_KEY = 256

# A String of structured fields (RFC 9651 §3.3.3). Each character is matched in one way only, so
# that no text takes long.
_QUOTED = re.compile(rb'"(?P<key>(?:[ !#-\[\]-~]|\\["\\])*)"')
_ESCAPE = re.compile(rb"\\(.)")
# Visible ASCII. Not the comma, as with it a proxy joins repeated fields (RFC 9110 §5.3), and not
# the quote, with which the other form begins.
_BARE = re.compile(rb"[!#-+\--~]*")


def read_key(values: Sequence[bytes]) -> str | Error:
    """Return the key that a request gives, or the error that it gets.

    `values` are those of all fields that may hold one. There has to be one: bare, of visible ASCII
    without comma and quote, or quoted as a String of RFC 9651, which may have blanks. Both forms of
    a key are the same key. It has 1 to 256 characters.
    """
    if len(values) != 1:
        return _invalid(f"must be given once, not {len(values)} times.")
    text = _unquoted(values[0].strip(b" \t"))
    if text is None:
        return _invalid(
            "is malformed: it is visible ASCII without blanks, commas and quotes, or stands in "
            'quotes, with \\" for one inside.'
        )
    if not text:
        return _invalid("is empty.", Kind.OUT_OF_RANGE)
    if len(text) > MAX_KEY:
        most = f"has {len(text)} characters; the most is {MAX_KEY}."
        return _invalid(most, Kind.OUT_OF_RANGE)
    return text.decode("ascii")


def _unquoted(value: bytes) -> bytes | None:
    """Return the key that is written so, or None where it is in neither form."""
    quoted = _QUOTED.fullmatch(value)
    if quoted is not None:
        return _ESCAPE.sub(rb"\1", quoted["key"])
    return value if _BARE.fullmatch(value) else None


def _invalid(what: str, kind: Kind = Kind.INVALID_VALUE) -> Error:
    return Error(kind, f"The Idempotency-Key {what}")
