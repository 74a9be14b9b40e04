"""Times and lengths of time on the command line."""

import contextlib
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from veneer.cli.times import UNITS, duration, moment, past
from veneer.wiring import ConfigurationError

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)


@given(st.text() | st.from_regex(r"[0-9]{1,12}[smhdw]", fullmatch=True))
def test_any_text_is_a_length_of_time_or_a_sentence(text: str) -> None:
    with contextlib.suppress(ConfigurationError):
        assert duration(text) >= timedelta(0)


@given(st.integers(0, 9999), st.sampled_from(sorted(UNITS)))
def test_a_length_of_time_is_a_number_and_its_unit(number: int, unit: str) -> None:
    assert duration(f"{number}{unit}") == timedelta(**{UNITS[unit]: number})


@given(st.text() | st.datetimes(timezones=st.timezones()).map(datetime.isoformat))
def test_any_text_is_a_time_in_utc_or_a_sentence(text: str) -> None:
    with contextlib.suppress(ConfigurationError):
        assert moment(text).tzinfo is UTC


@pytest.mark.parametrize("text", ["2026-01-01", "2026-01-01T00:00", "0001-01-01T00:00+14:00", ""])
def test_a_time_without_its_zone_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="is no time: give one with its zone"):
        moment(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("24h", "2026-03-09T12:00:00Z"),
        ("1w", "2026-03-03T12:00:00Z"),
        ("2026-03-01", "2026-03-01T00:00:00Z"),
        ("2026-03-01 09:30", "2026-03-01T09:30:00Z"),
        ("2026-03-01T09:30:00Z", "2026-03-01T09:30:00Z"),
        ("2026-03-01T09:30:00-05:00", "2026-03-01T14:30:00Z"),
    ],
)
def test_a_time_is_a_moment_or_a_span_that_is_past(text: str, expected: str) -> None:
    assert past(text, NOW) == datetime.fromisoformat(expected).timestamp()


@pytest.mark.parametrize(
    "text",
    ["", "now", "7", "7y", "h", "-7d", "999999999w", "2026-13-01", "0001-01-01T00:00+23:00x"],
)
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError):
        past(text, NOW)
