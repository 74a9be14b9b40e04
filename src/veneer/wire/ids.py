"""Ids: ULIDs (https://github.com/ulid/spec), which sort by the millisecond.

Every id is random anew. The specification's monotonic mode, which counts upward within one
millisecond, is left out: its ids can be guessed from one another.
"""

import os
from collections.abc import Callable
from functools import lru_cache
from time import time

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
RANDOM_LENGTH = 16

_TIME_BITS = 48
_PAIRS = tuple(high + low for high in ALPHABET for low in ALPHABET)
# A byte stands for its low five bits: 256 is a multiple of 32, so all characters are as likely.
_RANDOM_CHARACTERS = ALPHABET.encode() * 8


def ulid(now_ms: int, random: bytes) -> str:
    """Return the ULID of a Unix time in milliseconds and of 16 random bytes.

    Of each byte the low five bits count, which makes the 80 random bits. Raises ValueError for a
    time outside 48 bits or another number of bytes.
    """
    if now_ms >> _TIME_BITS:
        raise ValueError(f"a ULID's time is 0 to 2**{_TIME_BITS} - 1 milliseconds, not {now_ms}")
    if len(random) != RANDOM_LENGTH:
        raise ValueError(f"a ULID takes {RANDOM_LENGTH} random bytes, not {len(random)}")
    last = _PAIRS[now_ms & 1023]
    return _begin(now_ms >> 10) + last + random.translate(_RANDOM_CHARACTERS).decode("ascii")


@lru_cache(2)
def _begin(time: int) -> str:
    """Return the characters that are the same for ids of about one second."""
    pairs = _PAIRS
    return (
        pairs[time >> 30] + pairs[time >> 20 & 1023] + pairs[time >> 10 & 1023] + pairs[time & 1023]
    )


def request_id(
    clock: Callable[[], float] = time, entropy: Callable[[int], bytes] = os.urandom
) -> str:
    """Return a new request id: `req_` and the ULID of now.

    `clock` gives Unix seconds, `entropy` that many random bytes.
    """
    return "req_" + ulid(int(clock() * 1000), entropy(RANDOM_LENGTH))


def completion_id(
    clock: Callable[[], float] = time, entropy: Callable[[int], bytes] = os.urandom
) -> str:
    """Return a new id of a completion: `cmp_` and the ULID of now, as for `request_id`."""
    return "cmp_" + ulid(int(clock() * 1000), entropy(RANDOM_LENGTH))
