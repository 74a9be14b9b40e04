"""Vectors in base64, as `encoding_format` asks for them: little-endian 32-bit floats."""

import re
import sys
from array import array
from base64 import b64encode
from collections.abc import Iterator

import msgspec

# A name in a text would have backslashes before its quotes.
_VECTOR = re.compile(rb'"embedding"[ \t\r\n]*:[ \t\r\n]*(?=["\[])')
_floats = msgspec.json.Decoder(list[float]).decode


def first_vector(text: bytes) -> bytes | None:
    """Return what the first vector begins with: a bracket for floats, a quote; None for none."""
    found = _VECTOR.search(text)
    return None if found is None else text[found.end() : found.end() + 1]


def in_base64(text: bytes) -> Iterator[bytes]:
    """Yield the pieces of an answer with its vectors in base64, one vector a piece.

    Vectors that are no lists of numbers stay, as does all else.
    """
    end = 0
    for found in _VECTOR.finditer(text):
        start = found.end()
        if text[start] != ord("["):
            continue
        close = text.find(b"]", start) + 1
        packed = _packed(text[start:close])
        if packed is not None:
            yield b'%b"%b"' % (text[end:start], packed)
            end = close
    yield text[end:]


def _packed(text: bytes) -> bytes | None:
    try:
        vector = array("f", _floats(text))
    except (msgspec.DecodeError, OverflowError):
        return None
    if sys.byteorder == "big":
        vector.byteswap()
    return b64encode(vector)
