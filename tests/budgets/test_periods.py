"""Periods: the calendar's, without gap or overlap, whatever clocks do."""

import re
from datetime import UTC, datetime, timedelta
from math import inf, nan
from typing import Any, get_args
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from veneer.budgets.periods import LAST, Period, PeriodName

# Clocks moved at midnight (Cairo, Havana, Sao Paulo), back over it (St. John's), by half an hour
# (Lord Howe), by a whole day (Apia, Kwajalein); odd offsets (Kathmandu), the ends of the world.
ZONES = [
    *("UTC", "Europe/Berlin", "America/New_York", "Africa/Cairo", "America/Havana"),
    *("America/Sao_Paulo", "America/St_Johns", "Australia/Lord_Howe", "Pacific/Apia"),
    *("Pacific/Kwajalein", "Asia/Kathmandu", "Pacific/Kiritimati", "Asia/Tehran", "Etc/GMT+12"),
]
NAMES: tuple[PeriodName, ...] = get_args(PeriodName)
RESET_DAYS = {"week": 7, "month": 31}


def seconds(text: str) -> int:
    """Return the seconds since the epoch of a time with its offset."""
    return int(datetime.fromisoformat(text).timestamp())


def span(period: Period, text: str) -> tuple[str, str]:
    """Return the period around a time, in UTC."""
    starts, ends = period.period_at(seconds(text))
    assert ends is not None
    return shown(starts), shown(ends)


def shown(at: int) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat()[:16]


@st.composite
def periods(draw: st.DrawFn) -> Period:
    name = draw(st.sampled_from(NAMES))
    reset_day = draw(st.integers(1, RESET_DAYS.get(name, 1)))
    return Period(name, timezone=draw(st.sampled_from(ZONES)), reset_day=reset_day)


# Where time zones change much, and everywhere.
TIMES = st.one_of(st.integers(0, 2_200_000_000), st.integers(0, LAST - 1))


@given(periods(), TIMES, st.floats(0, 0.999))
def test_a_time_lies_inside_its_period(period: Period, at: int, fraction: float) -> None:
    starts, ends = period.period_at(at + fraction)
    assert starts <= at
    assert ends is None or at + fraction < ends


@given(periods(), TIMES)
def test_periods_follow_each_other_without_gap_or_overlap(period: Period, at: int) -> None:
    starts, ends = period.period_at(at)
    if ends is None:
        assert (starts, ends) == (0, None)
        return
    assert period.period_at(ends - 1) == (starts, ends)
    if ends < LAST:
        after, _ = period.period_at(ends)
        assert after == ends
    if starts > 0:
        before = period.period_at(starts - 1)
        assert before[1] == starts
        assert before[0] < starts


@given(st.data(), st.lists(TIMES, min_size=1, max_size=5))
def test_what_was_asked_before_changes_nothing(data: st.DataObject, times: list[int]) -> None:
    name = data.draw(st.sampled_from(NAMES))
    zone = data.draw(st.sampled_from(ZONES))
    period = Period(name, timezone=zone)
    for at in times:
        assert period.period_at(at) == Period(name, timezone=zone).period_at(at)


@given(st.sampled_from(["day", "week", "month"]), st.sampled_from(ZONES), TIMES, st.data())
def test_periods_begin_when_the_local_date_does(
    name: PeriodName, zone: str, at: int, data: st.DataObject
) -> None:
    reset_day = data.draw(st.integers(1, RESET_DAYS.get(name, 1)))
    starts, _ = Period(name, timezone=zone, reset_day=reset_day).period_at(at)
    first = datetime.fromtimestamp(starts, ZoneInfo(zone))
    before = datetime.fromtimestamp(starts - 1, ZoneInfo(zone))
    assert before.date() < first.date()
    # A date that the zone left out begins with the next one.
    days = [before.date() + timedelta(days=1)]
    while days[-1] < first.date():
        days.append(days[-1] + timedelta(days=1))
    if name == "week":
        assert reset_day in [day.isoweekday() for day in days]
    if name == "month":
        assert reset_day in [
            reset_day if (day + timedelta(days=1)).day == 1 and day.day < reset_day else day.day
            for day in days
        ]


@given(st.sampled_from(ZONES), TIMES)
def test_an_hour_is_one_except_where_clocks_move_by_less(zone: str, at: int) -> None:
    starts, ends = Period("hour", timezone=zone).period_at(at)
    day, over = Period("day", timezone=zone).period_at(at)
    assert ends is not None
    assert (starts - day) % 3600 == 0
    assert ends - starts == 3600 or (ends == over and ends - starts < 3600)


@pytest.mark.parametrize(
    ("zone", "at", "starts", "ends"),
    [
        ("UTC", "2026-03-01T00:00Z", "2026-03-01T00:00", "2026-03-02T00:00"),
        ("UTC", "2026-03-01T23:59:59Z", "2026-03-01T00:00", "2026-03-02T00:00"),
        ("UTC", "2028-02-29T12:00Z", "2028-02-29T00:00", "2028-03-01T00:00"),
        # 23 hours, 25 hours.
        ("Europe/Berlin", "2026-03-29T12:00Z", "2026-03-28T23:00", "2026-03-29T22:00"),
        ("Europe/Berlin", "2026-10-25T00:30Z", "2026-10-24T22:00", "2026-10-25T23:00"),
        ("Europe/Berlin", "2026-10-25T01:30Z", "2026-10-24T22:00", "2026-10-25T23:00"),
        # Midnight is skipped.
        ("Africa/Cairo", "2026-04-24T05:00Z", "2026-04-23T22:00", "2026-04-24T21:00"),
        # Midnight comes twice.
        ("America/Havana", "2025-11-02T04:30Z", "2025-11-02T04:00", "2025-11-03T05:00"),
        ("America/Havana", "2025-11-02T05:30Z", "2025-11-02T04:00", "2025-11-03T05:00"),
        # A minute after midnight clocks were moved to 23:01.
        ("America/St_Johns", "2010-11-07T02:30Z", "2010-11-07T02:30", "2010-11-08T03:30"),
        ("America/St_Johns", "2010-11-07T03:00Z", "2010-11-07T02:30", "2010-11-08T03:30"),
        # There was no 30 December.
        ("Pacific/Apia", "2011-12-30T09:59Z", "2011-12-29T10:00", "2011-12-30T10:00"),
        ("Pacific/Apia", "2011-12-30T10:00Z", "2011-12-30T10:00", "2011-12-31T10:00"),
    ],
)
def test_days(zone: str, at: str, starts: str, ends: str) -> None:
    assert span(Period("day", timezone=zone), at) == (starts, ends)


@pytest.mark.parametrize(
    ("reset_day", "at", "starts", "ends"),
    [
        (1, "2026-03-01T12:00Z", "2026-02-23T00:00", "2026-03-02T00:00"),
        (1, "2026-03-02T00:00Z", "2026-03-02T00:00", "2026-03-09T00:00"),
        (7, "2026-03-01T00:00Z", "2026-03-01T00:00", "2026-03-08T00:00"),
        (4, "1970-01-01T00:00Z", "1970-01-01T00:00", "1970-01-08T00:00"),
    ],
)
def test_weeks(reset_day: int, at: str, starts: str, ends: str) -> None:
    assert span(Period("week", reset_day=reset_day), at) == (starts, ends)


@pytest.mark.parametrize(
    ("reset_day", "at", "starts", "ends"),
    [
        (1, "2026-12-31T23:59Z", "2026-12-01T00:00", "2027-01-01T00:00"),
        (1, "2028-02-29T12:00Z", "2028-02-01T00:00", "2028-03-01T00:00"),
        (15, "2026-03-14T23:59Z", "2026-02-15T00:00", "2026-03-15T00:00"),
        (15, "2026-03-15T00:00Z", "2026-03-15T00:00", "2026-04-15T00:00"),
        (31, "2026-02-27T12:00Z", "2026-01-31T00:00", "2026-02-28T00:00"),
        (31, "2026-02-28T12:00Z", "2026-02-28T00:00", "2026-03-31T00:00"),
        (31, "2026-03-30T12:00Z", "2026-02-28T00:00", "2026-03-31T00:00"),
        (31, "2026-04-30T00:00Z", "2026-04-30T00:00", "2026-05-31T00:00"),
        (29, "2028-02-29T00:00Z", "2028-02-29T00:00", "2028-03-29T00:00"),
        (30, "2100-02-28T00:00Z", "2100-02-28T00:00", "2100-03-30T00:00"),
        (31, "1970-01-01T00:00Z", "1969-12-31T00:00", "1970-01-31T00:00"),
        (31, "9998-12-31T23:59Z", "9998-12-31T00:00", "9999-01-31T00:00"),
    ],
)
def test_months(reset_day: int, at: str, starts: str, ends: str) -> None:
    assert span(Period(reset_day=reset_day), at) == (starts, ends)


def test_months_go_by_the_time_zone() -> None:
    period = Period("month", timezone="America/New_York")
    assert span(period, "2026-04-01T03:59Z") == ("2026-03-01T05:00", "2026-04-01T04:00")
    assert span(period, "2026-04-01T04:00Z") == ("2026-04-01T04:00", "2026-05-01T04:00")


@pytest.mark.parametrize(
    ("zone", "at", "starts", "ends"),
    [
        ("UTC", "2026-03-01T12:59:59Z", "2026-03-01T12:00", "2026-03-01T13:00"),
        ("Asia/Kathmandu", "2026-03-01T12:20Z", "2026-03-01T12:15", "2026-03-01T13:15"),
        # Two o'clock comes twice, and each is an hour of its own.
        ("Europe/Berlin", "2026-10-25T00:30Z", "2026-10-25T00:00", "2026-10-25T01:00"),
        ("Europe/Berlin", "2026-10-25T01:30Z", "2026-10-25T01:00", "2026-10-25T02:00"),
        # A day of 24.5 hours.
        ("Australia/Lord_Howe", "2026-04-05T13:10Z", "2026-04-05T13:00", "2026-04-05T13:30"),
    ],
)
def test_hours(zone: str, at: str, starts: str, ends: str) -> None:
    assert span(Period("hour", timezone=zone), at) == (starts, ends)


def test_the_total_is_all_time() -> None:
    total = Period("total", timezone="Europe/Berlin")
    assert total.period_at(0) == total.period_at(LAST - 1) == (0, None)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("at", [-1, -0.5, LAST, 1e30, inf, -inf, nan])
def test_a_time_beyond_calendars_is_refused(name: PeriodName, at: float) -> None:
    period = Period(name)
    with pytest.raises(ValueError, match="is no time in the years 1970 to 9998"):
        period.period_at(at)
    assert period.period_at(0)[0] == 0 or name == "week"


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"name": "year"}, "period is 'year': give one of hour, day, week, month, total."),
        ({"name": None}, "period is None"),
        ({"timezone": "Europe/Atlantis"}, "timezone is 'Europe/Atlantis', which is not in"),
        ({"timezone": "Europe"}, "timezone is 'Europe'"),
        ({"timezone": ""}, "timezone is ''"),
        ({"timezone": "../etc/passwd"}, "timezone is '../etc/passwd'"),
        ({"timezone": "\0"}, "timezone is '\\x00'"),
        ({"timezone": None}, "timezone is None"),
        ({"reset_day": 0}, "reset_day is 0"),
        ({"reset_day": 32}, "reset_day is 32"),
        ({"reset_day": -1}, "reset_day is -1"),
        ({"reset_day": 1.0}, "reset_day is 1.0"),
        ({"reset_day": True}, "reset_day is True"),
        ({"reset_day": "sunday", "name": "week"}, "reset_day is 'sunday' for the period 'week'"),
        ({"reset_day": 8, "name": "week"}, "reset_day is 8 for the period 'week'"),
        ({"reset_day": 2, "name": "day"}, "reset_day is 2 for the period 'day'"),
        ({"reset_day": 2, "name": "hour"}, "reset_day is 2"),
        ({"reset_day": 2, "name": "total"}, "reset_day is 2"),
    ],
)
def test_what_there_is_not_is_named(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=re.escape(sentence)):
        Period(**options)


def test_utc_needs_no_database(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("veneer.budgets.periods.ZoneInfo", None)
    assert Period("day").period_at(86_400) == (86_400, 172_800)
