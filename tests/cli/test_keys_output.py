"""What is printed of keys."""

from datetime import UTC, datetime, timedelta

import pytest

from veneer.cli.keys_output import as_json, print_records, state_of
from veneer.cli.terminal import MAX_WIDTH
from veneer.keys.record import KeyRecord

NOW = datetime(2026, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


def record(**fields: datetime | str) -> KeyRecord:
    """Return a record with the fields that matter to a test."""
    known: dict[str, object] = {
        "id": "key_1",
        "digest": "d" * 64,
        "pepper_id": "1",
        "shown": "vnr_…abcd",
        "name": "n",
        "created_at": NOW,
    }
    return KeyRecord(**known | fields)  # type: ignore[arg-type]  # a test names the right ones


@pytest.mark.parametrize(
    ("fields", "state"),
    [
        ({}, "live"),
        ({"expires_at": NOW + HOUR, "not_before": NOW}, "live"),
        ({"expires_at": NOW}, "expired"),
        ({"not_before": NOW + HOUR}, "pending"),
        ({"revoked_at": NOW + HOUR, "expires_at": NOW - HOUR}, "revoked"),
    ],
)
def test_a_state_is_what_a_caller_would_meet(fields: dict[str, datetime], state: str) -> None:
    assert state_of(record(**fields), NOW) == state
    assert as_json(record(**fields), NOW)["state"] == state


def test_no_digest_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert "digest" not in as_json(record(), NOW)
    print_records([record()], NOW)
    assert "ddd" not in capsys.readouterr().out


def test_a_long_name_is_cut_and_lines_stay_aligned(capsys: pytest.CaptureFixture[str]) -> None:
    print_records([record(name="n" * 200, team="t"), record(team="tt" * 200)], NOW)
    _, first, second = capsys.readouterr().out.splitlines()
    assert "n" * (MAX_WIDTH - 1) + "…" in first
    assert first.index(" write ") == second.index(" write ")
