"""What becomes of the rate-limit fields that an upstream sends: passed on, hidden, or merged.

An upstream's fields tell how the host stands with it; ours, how the caller stands with us.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

import msgspec

from veneer.dialects.rate_limits import duration

Fields = Sequence[tuple[bytes, bytes]]
Combine = Callable[[Fields, Fields], list[tuple[bytes, bytes]]]

FAMILIES = (b"x-ratelimit-", b"ratelimit-")
# None of them sorts before it.
FIRST = b"ratelimit"
# OpenAI's fields of each unit.
NAMES = tuple(
    (b"x-ratelimit-limit-" + unit, b"x-ratelimit-remaining-" + unit, b"x-ratelimit-reset-" + unit)
    for unit in (b"requests", b"tokens")
)
MERGED = frozenset(name for names in NAMES for name in names)
NUMBER = re.compile(rb"[0-9]{1,15}")
# Azure sends 0 or -1 where it has none.
LIMIT = re.compile(rb"[1-9][0-9]{0,14}")
# Go's durations; what it writes as a micro sign is two bytes long.
DURATION = re.compile(rb"(?:[0-9]{1,15}(?:\.[0-9]{1,9})?(?:h|m|s|ms|us|\xc2\xb5s|ns)){1,6}")


def combiner(option: str) -> Combine:
    """Return what combines the fields of a response with ours; ValueError for an unknown option.

    Options are `pass`, `hide` and `merge`.
    """
    combine = COMBINERS.get(option)
    if combine is None:
        known = ", ".join(COMBINERS)
        raise ValueError(f"Unknown treatment of rate-limit fields: {option!r}. Known are {known}.")
    return combine


def hide(headers: Fields, ours: Fields) -> list[tuple[bytes, bytes]]:
    """Return the response's fields with ours alone: those of the upstream are dropped."""
    # Most fields sort before all of them, which costs no call to see.
    kept = [pair for pair in headers if pair[0] < FIRST or not is_rate_limit(pair[0])]
    return [*kept, *ours]


def pass_on(headers: Fields, ours: Fields) -> list[tuple[bytes, bytes]]:
    """Return the response's fields with those of ours added that the upstream did not send."""
    sent = {name for name, _ in headers}
    return [*headers, *(pair for pair in ours if pair[0] not in sent)]


def merge(headers: Fields, ours: Fields) -> list[tuple[bytes, bytes]]:
    """Return the response's fields with the stricter of both for each unit of OpenAI's fields.

    Limit, remaining and reset of a unit come together from whoever has less remaining, ours where
    both have the same or where theirs cannot be read. Of other names, ours replace the upstream's.
    """
    shown = dict(ours)
    sent = [pair for pair in headers if pair[0] in MERGED]
    theirs = dict(sent)
    # A field that stands twice says nothing.
    if theirs and len(theirs) == len(sent):
        for names in NAMES:
            found, own = _stand(theirs, names), _stand(shown, names)
            if found and own and found.remaining < own.remaining:
                shown.update(zip(names, found.values, strict=True))
    return [*(pair for pair in headers if pair[0] not in shown), *shown.items()]


def is_rate_limit(name: bytes) -> bool:
    """Tell whether a field is one of those that tell of rate limits."""
    return name.startswith(FAMILIES) or name == b"ratelimit"


class _Stand(msgspec.Struct, frozen=True):
    """Limit, remaining and reset of a unit as their fields have them, and what remains."""

    values: tuple[bytes, bytes, bytes]
    remaining: int


def _stand(fields: Mapping[bytes, bytes], names: tuple[bytes, bytes, bytes]) -> _Stand | None:
    """Read the fields of a unit, the reset as a duration; None unless all three can be read."""
    limit, remaining, reset = (fields.get(name, b"").strip(b" \t") for name in names)
    if not LIMIT.fullmatch(limit) or not NUMBER.fullmatch(remaining):
        return None
    if NUMBER.fullmatch(reset):
        # Azure gives seconds.
        reset = duration(int(reset))
    elif not DURATION.fullmatch(reset):
        return None
    return _Stand((limit, remaining, reset), int(remaining))


COMBINERS: Mapping[str, Combine] = MappingProxyType({"pass": pass_on, "hide": hide, "merge": merge})
