"""What is read from the command line of `veneer keys create`."""

import contextlib
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from veneer.cli.arguments import parser
from veneer.cli.keys_fields import UNITS, duration, fields_of, moment
from veneer.wiring import ConfigurationError

NOW = datetime(2026, 1, 1, tzinfo=UTC)


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


def test_what_is_not_given_is_left_to_the_default() -> None:
    fields = fields_of(parser().parse_args(["keys", "create", "--name", "x"]), NOW)
    assert fields.scopes == {"write"}
    assert (fields.operations, fields.models, fields.expires_at) == (None, None, None)


def test_a_length_of_time_ends_a_key_from_now() -> None:
    arguments = ["keys", "create", "--name", "x", "--expires-in", "90d"]
    assert fields_of(parser().parse_args(arguments), NOW).expires_at == NOW + timedelta(days=90)
