"""Which answers have another target asked."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from veneer.upstream._outcome import RULES, Failure, error_in


@pytest.mark.parametrize("status", [401, 402, 403, 404, 408, 425, 429, 500, 502, 503, 504, 529])
def test_these_have_another_asked(status: int) -> None:
    assert RULES.fail(status)


@pytest.mark.parametrize("status", [200, 204, 304, 400, 405, 409, 410, 413, 415, 422, 499])
def test_these_are_the_clients(status: int) -> None:
    assert not RULES.fail(status)


@pytest.mark.parametrize(
    ("data", "fails"),
    [
        (b'{"error":{"message":"x"}}', True),
        (b'{"error":{"code":429}}', True),
        (b'{"error":{"code":"rate_limited","status":503}}', True),
        (b'{"error":{"code":400}}', False),
        (b'{"error":{"type":"invalid_request_error"}}', False),
        (b'{"type":"error","code":"server_error","message":"x"}', True),
        (b'{"type":"error","error":null}', True),
        (b'{"error":null,"choices":[]}', None),
        (b'{"choices":[{"delta":{"content":"\\"error\\""}}]}', None),
        (b'{"error":', None),
        (b'{"error":' + b"[" * 100_000, None),
    ],
)
def test_errors_in_place_of_an_event_are_told_apart(data: bytes, fails: bool | None) -> None:  # noqa: FBT001 - parametrized
    error = error_in(data)

    assert (None if error is None else RULES.error_fails(error)) is fails


def after(*headers: tuple[bytes, bytes]) -> float | None:
    return Failure(why="status", headers=list(headers)).retry_after()


def test_targets_say_in_several_ways_when_to_come_again() -> None:
    assert after() is None
    assert after((b"retry-after", b"7")) == 7
    assert after((b"retry-after", b"7"), (b"retry-after-ms", b"250")) == 0.25
    at = format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True).encode()
    assert after((b"retry-after", at)) == pytest.approx(60, abs=5)
    assert after((b"retry-after", b"Sun, 06 Nov 1994 08:49:37 GMT")) == 0


def test_a_date_of_any_size_is_no_reason_to_fail() -> None:
    number = b"9" * 30
    assert after((b"retry-after", b"Mon, 01 Jan %b 00:00:00 GMT" % number)) is None
    assert after((b"retry-after", b"Mon, 01 Jan 2030 00:00:00 +%b" % number)) is None


@given(st.binary())
def test_whatever_is_said_is_a_wait_or_nothing(value: bytes) -> None:
    wait = after((b"retry-after", value))
    assert wait is None or wait >= 0
