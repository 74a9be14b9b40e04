"""Ids: ULIDs (https://github.com/ulid/spec), which sort by the millisecond.

Every id is random anew. The specification's monotonic mode, which counts upward within one
millisecond, is left out: its ids can be guessed from one another.
"""

import os
import re
from collections.abc import Callable
from time import time

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
LENGTH = 26
RANDOM_LENGTH = 16

_TIME_BITS = 48
_RANDOM_BITS = 80
_PAIRS = tuple(high + low for high in ALPHABET for low in ALPHABET)
# A byte stands for its low five bits: 256 is a multiple of 32, so all characters are as likely.
_RANDOM_CHARACTERS = ALPHABET.encode() * 8
_DIGITS = str.maketrans(ALPHABET + ALPHABET.lower(), "0123456789abcdefghijklmnopqrstuv" * 2)
_ULID = re.compile("[0-7][0-9A-HJKMNP-TV-Z]{25}", re.IGNORECASE | re.ASCII)


def ulid(now_ms: int, random: bytes) -> str:
    """Return the ULID of a Unix time in milliseconds and of 16 random bytes.

    Of each byte the low five bits count, which makes the 80 random bits. Raises ValueError for a
    time outside 48 bits or another number of bytes.
    """
    if now_ms >> _TIME_BITS:
        raise ValueError(f"a ULID's time is 0 to 2**{_TIME_BITS} - 1 milliseconds, not {now_ms}")
    if len(random) != RANDOM_LENGTH:
        raise ValueError(f"a ULID takes {RANDOM_LENGTH} random bytes, not {len(random)}")
    pairs = _PAIRS
    return (
        pairs[now_ms >> 40]
        + pairs[now_ms >> 30 & 1023]
        + pairs[now_ms >> 20 & 1023]
        + pairs[now_ms >> 10 & 1023]
        + pairs[now_ms & 1023]
        + random.translate(_RANDOM_CHARACTERS).decode("ascii")
    )


def decode_ulid(text: str) -> tuple[int, int]:
    """Return the milliseconds and the 80 random bits of a ULID, in upper or lower case.

    Raises ValueError for another length, a letter outside the alphabet (I, L, O, U), or a value of
    more than 128 bits.
    """
    if not _ULID.fullmatch(text):
        raise ValueError(
            f"a ULID is {LENGTH} characters of {ALPHABET}, the first of them at most 7"
        )
    value = int(text.translate(_DIGITS), 32)
    return value >> _RANDOM_BITS, value & (1 << _RANDOM_BITS) - 1


def request_id(
    clock: Callable[[], float] = time, entropy: Callable[[int], bytes] = os.urandom
) -> str:
    """Return a new request id: `req_` and the ULID of now.

    `clock` gives Unix seconds, `entropy` that many random bytes.
    """
    return "req_" + ulid(int(clock() * 1000), entropy(RANDOM_LENGTH))
