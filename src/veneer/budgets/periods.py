"""Periods: the spans of time in which budgets are counted, by the calendar of a time zone."""

from calendar import monthrange
from collections.abc import Callable
from datetime import UTC, date, datetime, tzinfo
from math import floor
from types import MappingProxyType
from typing import Literal, get_args
from zoneinfo import ZoneInfo

PeriodName = Literal["hour", "day", "week", "month", "total"]

HOUR = 3600
# Times that can be asked for, in seconds since the epoch: the years 1970 to 9998. Calendars end
# with the year 9999, and the month that is asked for last has to end before.
LAST = 253_370_764_800

# The reset days that there are; hours, days and the total begin on no other.
_RESET_DAYS = MappingProxyType({"week": 7, "month": 31})

Span = tuple[int, int | None]
# The day on which a week or a month begins, by its number, and the number of the one that a day is
# in or is near.
_First = Callable[[int], date]
_Number = Callable[[date], int]


class Period:
    """An hour, day, week or month after the other, or the `total` of all time.

    Days begin at midnight in the time zone (a name as in "Europe/Berlin"): where the clocks skip
    it, when they do; where it comes twice, the first time. Hours are counted from there, so that
    the last one of a day is shorter where the clocks are moved by less than one. `reset_day` is the
    day on which a week begins (1 is Monday, 7 is Sunday) or a month (1 to 31; where it has fewer
    days, the last).

    Raises ValueError for a name, a time zone or a day that there is not.
    """

    def __init__(
        self, name: PeriodName = "month", *, timezone: str = "UTC", reset_day: int = 1
    ) -> None:
        if name not in get_args(PeriodName):
            raise ValueError(f"period is {name!r}: give one of {', '.join(get_args(PeriodName))}.")
        last_day = _RESET_DAYS.get(name, 1)
        if type(reset_day) is not int or not 1 <= reset_day <= last_day:
            can_be = "a week (1 is Monday, 7 is Sunday) or a month (1 to 31)"
            raise ValueError(
                f"reset_day is {reset_day!r} for the period {name!r}: it is a day of {can_be}, and "
                "1 for other periods."
            )
        self.name = name
        self._zone = _zone(timezone)
        self._reset_day = reset_day
        # Calls come in the same period as the one before, nearly all of them.
        self._known: Span = (0, 0)

    def period_at(self, at: float) -> Span:
        """Return when the period begins that a time lies in, and when it ends, which is outside.

        All are seconds since the epoch. The total begins at 0 and has no end. Periods follow each
        other without gap or overlap. Raises ValueError for a time outside the years 1970 to 9998.
        """
        starts, ends = self._known
        if ends is not None and starts <= at < ends:
            return self._known
        if not 0 <= at < LAST:
            raise ValueError(f"{at!r} is no time in the years 1970 to 9998.")
        self._known = self._find(floor(at))
        return self._known

    def _find(self, at: int) -> Span:
        if self.name == "total":
            return 0, None
        if self.name == "week":
            return self._span(at, self._first_of_week, self._week)
        if self.name == "month":
            return self._span(at, self._first_of_month, _month)
        starts, ends = self._span(at, date.fromordinal, date.toordinal)
        if self.name == "hour":
            starts += (at - starts) // HOUR * HOUR
            ends = min(starts + HOUR, ends)
        return starts, ends

    def _span(self, at: int, first: _First, number: _Number) -> tuple[int, int]:
        """Return the span between two first days around a time.

        What is nearly right is the one that the local date is in: clocks that are moved back over
        midnight show a day again that is over, and a reset day lies somewhere in its month.
        """
        near = number(datetime.fromtimestamp(at, self._zone).date())
        while self._midnight(first(near)) > at:
            near -= 1
        while (ends := self._midnight(first(near + 1))) <= at:
            near += 1
        return self._midnight(first(near)), ends

    def _midnight(self, day: date) -> int:
        """Return the moment when a day begins; no zone has it before that of the day before."""
        return int(datetime(day.year, day.month, day.day, tzinfo=self._zone).timestamp())

    def _week(self, day: date) -> int:
        return (day.toordinal() - self._reset_day) // 7

    def _first_of_week(self, week: int) -> date:
        # The first day of all, of the year 1, is a Monday.
        return date.fromordinal(week * 7 + self._reset_day)

    def _first_of_month(self, month: int) -> date:
        year, index = divmod(month, 12)
        day = min(self._reset_day, monthrange(year, index + 1)[1])
        return date(year, index + 1, day)


def _month(day: date) -> int:
    return day.year * 12 + day.month - 1


def _zone(name: str) -> tzinfo:
    # It is there also where nobody has installed a database of time zones.
    if name == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError, TypeError):
        raise ValueError(
            f"timezone is {name!r}, which is not in this machine's database of time zones: give a "
            "name such as 'Europe/Berlin', or 'UTC'. Where there is no database, install tzdata."
        ) from None
