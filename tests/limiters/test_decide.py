"""The decision: two stages, and what is told of it."""

from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from veneer.limiters.bucket import Bucket
from veneer.limiters.decide import Meter, decide, meter_for
from veneer.limiters.ring import Ring
from veneer.limiters.slots import Slots
from veneer.quotas.quota import CONCURRENT, REQUESTS, TOKENS, Charge, Quota

CALLS = Quota(policy="calls", unit=REQUESTS, limit=2, window=60)
DAILY = Quota(policy="daily", unit=REQUESTS, limit=5, window=86400, strict=True)
WORDS = Quota(policy="words", unit=TOKENS, limit=100, window=60)
SLOTS = Quota(policy="slots", unit=CONCURRENT, limit=2)
ALL = (CALLS, DAILY, WORDS, SLOTS)


def charges(*costs: int) -> list[Charge]:
    return [Charge(quota, ("me",), cost) for quota, cost in zip(ALL, costs, strict=True)]


def meters() -> list[Meter]:
    return [meter_for(quota) for quota in ALL]


def levels(counted: list[Meter], now: float = 1000.0) -> list[float]:
    return [meter.drain(quota, now) for quota, meter in zip(ALL, counted, strict=True)]


def test_each_quota_has_the_counter_that_it_asks_for() -> None:
    kinds: list[type] = [type(meter) for meter in meters()]
    assert kinds == [Bucket, Ring, Bucket, Slots]


def test_what_fits_is_taken_and_the_standings_are_those_after_it() -> None:
    counted = meters()
    judged = decide(charges(1, 1, 40, 1), counted, 1000.0)

    assert judged.refused == ()
    assert judged.wait == 0
    assert None not in judged.marks
    assert levels(counted) == [1, 1, 40, 1]
    assert [standing.policy for standing in judged.standings] == [
        "calls",
        "daily",
        "words",
        "slots",
    ]
    assert [standing.unit for standing in judged.standings] == [quota.unit for quota in ALL]
    assert [standing.limit for standing in judged.standings] == [2, 5, 100, 2]
    assert [standing.window for standing in judged.standings] == [60, 86400, 60, 0]
    assert [standing.remaining for standing in judged.standings] == [1, 4, 60, 1]
    assert judged.standings[0].reset == 30
    assert judged.standings[2].reset == 24
    assert judged.standings[3].reset == 0


def test_a_request_that_is_one_too_many_takes_nothing_at_all() -> None:
    counted = meters()
    for _ in range(2):
        decide(charges(1, 1, 10, 0), counted, 1000.0)
    judged = decide(charges(1, 1, 200, 1), counted, 1000.0)

    # Whether the tokens fit has not come up.
    assert judged.refused == (0,)
    assert judged.wait == 30
    assert judged.marks == [None] * 4
    assert levels(counted) == [2, 2, 20, 0]
    assert [standing.remaining for standing in judged.standings] == [0, 3, 80, 2]


@pytest.mark.parametrize(
    ("tokens", "slots", "refused", "wait"),
    [(31, 1, (2,), 0.6), (30, 2, (3,), 1.0), (71, 2, (2, 3), 24.6), (101, 2, (2, 3), inf)],
)
def test_refused_tokens_or_slots_leave_the_request_taken_and_nothing_else(
    tokens: int, slots: int, refused: tuple[int, ...], wait: float
) -> None:
    counted = meters()
    decide(charges(1, 1, 70, 1), counted, 1000.0)
    judged = decide(charges(1, 1, tokens, slots), counted, 1000.0)

    assert judged.refused == refused
    assert judged.wait == pytest.approx(wait)
    assert [mark is None for mark in judged.marks] == [False, False, True, True]
    assert levels(counted) == [2, 2, 70, 1]
    assert [standing.remaining for standing in judged.standings] == [0, 3, 30, 1]


def test_a_cost_of_nothing_only_looks_even_where_nothing_is_left() -> None:
    counted = meters()
    decide(charges(2, 1, 100, 2), counted, 1000.0)
    counted[2].put_in(WORDS, 50)
    judged = decide(charges(0, 0, 0, 0), counted, 1000.0)

    assert judged.refused == ()
    assert judged.marks == [None] * 4
    assert levels(counted) == [2, 1, 150, 2]
    # A debt is shown as nothing left, and a full reset takes as long as it takes.
    assert [standing.remaining for standing in judged.standings] == [0, 4, 0, 0]
    assert judged.standings[2].reset == 90


def test_no_charges_are_no_reason_to_refuse() -> None:
    judged = decide([], [], 1000.0)
    assert (judged.standings, judged.refused, judged.wait, judged.marks) == ((), (), 0, [])


@given(st.lists(st.tuples(*[st.integers(0, n) for n in (3, 6, 130, 3)]), max_size=30))
def test_every_charge_is_put_in_wholly_or_not_at_all_and_none_is_over(
    calls: list[tuple[int, int, int, int]],
) -> None:
    counted = meters()
    for costs in calls:
        before = levels(counted)
        judged = decide(charges(*costs), counted, 1000.0)
        after = levels(counted)

        for index, quota in enumerate(ALL):
            took = judged.marks[index] is not None
            assert after[index] == before[index] + (costs[index] if took else 0)
            assert judged.standings[index].remaining == quota.limit - after[index] >= 0
            if costs[index]:
                first = quota.unit == REQUESTS
                blocked = any((ALL[at].unit == REQUESTS) >= first for at in judged.refused)
                assert took is not blocked
        assert all(before[at] + costs[at] > ALL[at].limit for at in judged.refused)
        assert bool(judged.refused) is (judged.wait > 0)
