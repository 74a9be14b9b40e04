"""The notation of limits: "60/minute; 10000/day", "20" for concurrent requests, "unlimited"."""

import re
from importlib import import_module
from types import ModuleType

from veneer.quotas.quota import CONCURRENT, REQUESTS, Unit

UNLIMITED = "unlimited"

MAX_LENGTH = 200
MAX_LIMIT = 10**15
# Seconds, some 31 years: nobody waits longer for a limit to come back.
MAX_WINDOW = 10**9

_WHOLE_NUMBER = re.compile(r"[0-9]+").fullmatch
# `limits` reads "5 per 0 minutes" as five in one.
_NO_TIME = re.compile(r"(?:/|per) ?0+ ?[a-z]", re.IGNORECASE).search

_RATES = "give rates such as '60/minute; 10000/day' or '100 per 2 hours'"
_NUMBER = "give a whole number such as '20'"


def parse(text: str | int, unit: Unit) -> tuple[tuple[int, float], ...]:
    """Return the limits that a text stands for, each with its window in seconds.

    Requests and tokens are written as rates, in the notation of the package `limits`: a month has
    30 days there, a year 360. Concurrent requests are one whole number, and their window is 0.
    "unlimited" is no limit at all, of any unit.

    Raises ValueError for anything else, with a sentence that says what can be.
    """
    if unit == CONCURRENT:
        return _parse_number(text)
    # Also for "unlimited", so that a policy that is made has loaded it for its requests.
    package = load()
    given = _shown(text)
    # Single spaces: the pattern that the package matches with is slow on many.
    written = " ".join(text.split()) if isinstance(text, str) and len(text) <= MAX_LENGTH else ""
    if written.lower() == UNLIMITED:
        return ()
    if _NO_TIME(written):
        raise ValueError(f"{given} has a time of zero: {_RATES}.")
    try:
        items = package.parse_many(written)
    except ValueError:
        raise ValueError(
            f"{given} is no limit of {unit}: {_RATES}, by second, minute, hour, day, month or "
            f"year, or {UNLIMITED!r}."
        ) from None
    found: dict[float, int] = {}
    for item in items:
        window = float(item.get_expiry())
        if not 0 < window <= MAX_WINDOW:
            raise ValueError(f"{given} has a time over {MAX_WINDOW} seconds: {_RATES}.")
        if window in found:
            raise ValueError(f"{given} has two limits for {window:.15g} seconds: leave one.")
        found[window] = _checked(item.amount, given)
    return tuple((limit, window) for window, limit in found.items())


def load() -> ModuleType:
    """Import what rates are read with, lest a request waits for it: some 0.2 s the first time."""
    return import_module("limits")


def check(text: str) -> None:
    """Raise ValueError for what is no limit of any unit."""
    for unit in (CONCURRENT, REQUESTS):
        try:
            parse(text, unit)
        except ValueError:
            continue
        return
    raise ValueError(
        f"{_shown(text)} is no limit: {_RATES}, a number of concurrent requests such as '20', or "
        f"{UNLIMITED!r}; each from 1 to {MAX_LIMIT}, and no time twice."
    )


def _parse_number(text: str | int) -> tuple[tuple[int, float], ...]:
    given = _shown(text)
    if type(text) is int:
        return ((_checked(text, given), 0.0),)
    written = text.strip() if isinstance(text, str) and len(text) <= MAX_LENGTH else ""
    if written.lower() == UNLIMITED:
        return ()
    if not _WHOLE_NUMBER(written):
        raise ValueError(
            f"{given} is no limit of {CONCURRENT}: {_NUMBER}, which has no time, or {UNLIMITED!r}."
        )
    return ((_checked(int(written), given), 0.0),)


def _checked(limit: int, given: str) -> int:
    if not 0 < limit <= MAX_LIMIT:
        raise ValueError(f"{given} has a limit that is not from 1 to {MAX_LIMIT}: give one.")
    return limit


def _shown(text: object) -> str:
    """Return what was given, short and printable."""
    if isinstance(text, int) and abs(text) > MAX_LIMIT:
        return "A number this large"
    shown = ascii(text) if isinstance(text, str | int) else f"A {type(text).__name__}"
    return shown if len(shown) <= MAX_LENGTH else f"{shown[:MAX_LENGTH]}..."
