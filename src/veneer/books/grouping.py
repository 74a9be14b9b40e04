"""The lines of usage: their order, and the days that they are of."""

from collections.abc import Sequence
from datetime import date

from veneer.books.books import By, UsageLine

# Seconds of a day, and of all days up to the year 9999.
DAY = 86400
LAST = 253_402_300_800

_EPOCH = date(1970, 1, 1).toordinal()


def in_order(lines: Sequence[UsageLine], by: By) -> list[UsageLine]:
    """Return lines of one group each, days in their order, or those first that cost most."""
    if by == "day":
        return sorted(lines, key=lambda line: (line.group is None, line.group or ""))
    return sorted(lines, key=lambda line: (-line.spent, line.group is None, line.group or ""))


def day_of(number: int) -> str:
    """Return a day, as in 2026-01-31, by its number since the epoch."""
    return date.fromordinal(_EPOCH + number).isoformat()


def added(lines: Sequence[UsageLine], groups: int) -> UsageLine:
    """Return a line of many groups: all lines, added up."""
    fields = [name for name in UsageLine.__struct_fields__ if name not in ("group", "groups")]
    sums = {name: sum(getattr(line, name) for line in lines) for name in fields}
    return UsageLine(group=None, groups=groups, **sums)
