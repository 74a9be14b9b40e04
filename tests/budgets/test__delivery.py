"""Deliveries: what is sent, and what an answer says of it."""

import json
from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.budgets.crossings import crossing
from veneer.budgets._delivery import LONGEST_PAUSE, Failure, delivery_of, judged

NOW = 1_700_000_000.5
DATE = "%a, %d %b %Y %H:%M:%S GMT"


def test_a_delivery_says_all_of_a_crossing() -> None:
    delivery = delivery_of(crossing(), NOW)
    assert json.loads(delivery.body) == {
        "type": "budget.threshold_reached",
        "id": delivery.id,
        "created_at": "2023-11-14T22:13:20Z",
        "data": {
            "budget": "month",
            "partition": {"team": "acme"},
            "period": "month",
            "starts": "2023-11-01T00:00:00Z",
            "ends": "2023-12-01T00:00:00Z",
            "threshold": 0.8,
            "limit_usd": "20",
            "spent_usd": "16.02",
        },
    }
    assert delivery.id.startswith("msg_")
    assert "." not in delivery.id, "a full stop separates what is signed"
    assert delivery.id != delivery_of(crossing(), NOW).id


def test_the_total_has_no_end_and_partitions_may_have_several_names() -> None:
    total = msgspec.structs.replace(
        crossing(),
        period="total",
        starts=0,
        ends=None,
        partition=("key", "k", "model", "a\ud800\n\u20ac"),
        by=("key", "model"),
    )
    data = json.loads(delivery_of(total, NOW).body)["data"]
    assert (data["starts"], data["ends"]) == ("1970-01-01T00:00:00Z", None)
    assert data["partition"] == {"key": "k", "model": "a\ud800\n\u20ac"}


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_any_success_is_one(status: int) -> None:
    assert judged(status, "5", NOW) is None


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504, 599])
def test_what_may_be_otherwise_the_next_time_is_passing(status: int) -> None:
    reason = f"the receiver has answered with status {status}"
    assert judged(status, None, NOW) == Failure(reason, passing=True)


@pytest.mark.parametrize("status", [101, 300, 301, 307, 400, 401, 404, 410, 422])
def test_everything_else_is_final(status: int) -> None:
    found = judged(status, None, NOW)
    assert found is not None
    assert not found.passing
    assert ("redirects are not followed" in found.reason) == (300 <= status < 400)


@pytest.mark.parametrize(
    ("asked", "pause"),
    [
        ("0", 0.0),
        ("7", 7.0),
        ("301", LONGEST_PAUSE),
        ("9" * 5000, LONGEST_PAUSE),
        (datetime.fromtimestamp(NOW + 60, UTC).strftime(DATE), 59.5),
        (datetime.fromtimestamp(NOW - 60, UTC).strftime(DATE), 0.0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", LONGEST_PAUSE),
        ("-1", 0.0),
        ("1.5", 0.0),
        ("\u0665", 0.0),
        ("soon", 0.0),
        ("", 0.0),
    ],
)
def test_a_receiver_may_ask_for_a_pause_within_bounds(asked: str, pause: float) -> None:
    found = judged(503, asked, NOW)
    assert found is not None
    assert found.pause == pause


@given(st.text(max_size=60))
def test_whatever_it_asks_for_is_a_pause(asked: str) -> None:
    found = judged(429, asked, NOW)
    assert found is not None
    assert 0 <= found.pause <= LONGEST_PAUSE
