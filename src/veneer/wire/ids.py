"""Ids: ULIDs, which sort by time and cannot be guessed (https://github.com/ulid/spec)."""

import secrets
from time import time

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
LENGTH = 26

_PAIRS = tuple(high + low for high in ALPHABET for low in ALPHABET)
_VALUES = {char: value for value, char in enumerate(ALPHABET)}


def ulid(milliseconds: int, random: int) -> str:
    """Return the ULID of a Unix time in milliseconds and 80 random bits."""
    value = milliseconds << 80 | random
    return "".join([_PAIRS[value >> shift & 1023] for shift in range(120, -1, -10)])


def decode_ulid(text: str) -> tuple[int, int]:
    """Return the milliseconds and the random bits of a ULID, in either case.

    Raises ValueError for another length, a letter outside the alphabet, or more than 128 bits.
    """
    if len(text) != LENGTH:
        raise ValueError(f"a ULID has {LENGTH} characters, not {len(text)}")
    value = 0
    for char in text.upper():
        if char not in _VALUES:
            raise ValueError(f"{char!r} does not occur in a ULID")
        value = value << 5 | _VALUES[char]
    if value >> 128:
        raise ValueError("a ULID has 128 bits; this is more")
    return value >> 80, value & (1 << 80) - 1


def request_id() -> str:
    """Return a new request id: `req_` and a ULID, its random part fresh each time."""
    return "req_" + ulid(int(time() * 1000), secrets.randbits(80))
