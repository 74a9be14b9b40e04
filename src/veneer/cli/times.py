"""Times and lengths of time, as they are given on the command line."""

import re
from datetime import UTC, datetime, timedelta

from veneer.books.times import seconds_of
from veneer.wiring import ConfigurationError

UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}

_DURATION = re.compile(f"([0-9]{{1,9}})([{''.join(UNITS)}])").fullmatch


def moment(text: str) -> datetime:
    """Return a time (RFC 3339, with its zone) in UTC; raises `ConfigurationError`."""
    try:
        found = datetime.fromisoformat(text)
        if found.tzinfo is not None:
            return found.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise ConfigurationError(
        f"{text!r} is no time: give one with its zone, such as 2026-12-31T23:59:59Z."
    )


def duration(text: str) -> timedelta:
    """Return a length of time, as `90d`; raises `ConfigurationError`."""
    match = _DURATION(text)
    try:
        if match is not None:
            return timedelta(**{UNITS[match[2]]: int(match[1])})
    except OverflowError:
        pass
    raise ConfigurationError(
        f"{text!r} is no length of time: give a whole number and its unit, such as 90d, 12h or 30m."
    )


def past(text: str, now: datetime) -> float:
    """Return a time, or one that a span has passed since, in seconds since the epoch.

    Raises `ConfigurationError` for a text that is neither.
    """
    try:
        if text[:1].isdigit() and text[-1:].isalpha() and text[-1:] not in ("Z", "z"):
            return (now - duration(text)).timestamp()
        return seconds_of(text)
    except (ValueError, OverflowError):
        raise ConfigurationError(
            f"{text!r} is no time: give a date, as 2026-01-31, with a time, as "
            "2026-01-31T09:00:00+01:00, or a span that is past, as 24h or 7d."
        ) from None
