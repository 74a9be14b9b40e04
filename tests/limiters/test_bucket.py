"""The bucket: what it admits, what comes back, and its bound."""

from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.limiters.history import STEPS, History, Steps
from veneer.limiters.bucket import Bucket
from veneer.quotas.quota import REQUESTS, TOKENS, Quota

HUNDRED = Quota(policy="tokens", unit=TOKENS, limit=100, window=50)
CALLS = Quota(policy="requests", unit=REQUESTS, limit=100, window=50)


def history() -> History:
    return History(Bucket(), HUNDRED)


@given(STEPS)
def test_no_window_holds_more_than_the_limit_and_what_flowed_out_in_it(steps: Steps) -> None:
    lived = history()
    lived.live(steps)

    for begin in lived.moments():
        for end in lived.moments():
            if begin <= end:
                bound = HUNDRED.limit + HUNDRED.rate * (end - begin) + 1e-3
                assert lived.admitted(begin, end) <= bound


@given(STEPS, st.randoms(use_true_random=False))
def test_what_settles_at_once_leaves_what_was_used_in_any_order(
    steps: Steps, order: object
) -> None:
    lived = history()
    lived.live([(0.0, what, units, which) for _, what, units, which in steps])
    rest = list(lived.running)
    order.shuffle(rest)  # type: ignore[attr-defined]  # hypothesis does not tell its class
    for call in rest:
        lived.settle(call, call.taken // 3)

    level = lived.meter.drain(HUNDRED, lived.now)
    assert level == pytest.approx(sum(call.used for call in lived.calls))


@given(STEPS)
def test_a_bucket_is_empty_when_it_says_that_it_will_be(steps: Steps) -> None:
    lived = history()
    lived.live(steps)

    reset = lived.meter.reset(lived.meter.drain(HUNDRED, lived.now), HUNDRED)
    assert not reset or lived.meter.until >= lived.now + reset - 1e-6
    until = max(lived.now, lived.meter.until)
    assert lived.meter.drain(HUNDRED, until) == pytest.approx(0)


@given(STEPS, st.integers(1, 100))
def test_what_was_told_to_wait_fits_then_and_not_before(steps: Steps, cost: int) -> None:
    lived = history()
    lived.live(steps)
    level = lived.meter.drain(HUNDRED, lived.now)
    wait = lived.meter.wait(level, HUNDRED, cost)

    if wait > 1e-3:
        level = lived.meter.drain(HUNDRED, lived.now + wait * 0.99)
        assert lived.meter.wait(level, HUNDRED, cost)
    level = lived.meter.drain(HUNDRED, lived.now + wait)
    assert lived.meter.wait(level, HUNDRED, cost) == 0


def test_a_full_limit_is_admitted_at_once_and_comes_back_evenly() -> None:
    lived = history()
    assert lived.take(100)
    assert not lived.take(1)
    assert lived.meter.wait(100, HUNDRED, 10) == 5
    assert lived.meter.reset(100, HUNDRED) == 50
    lived.now += 5
    assert not lived.take(11)
    assert lived.take(10)


def test_more_than_a_whole_limit_never_fits() -> None:
    assert Bucket().wait(0, HUNDRED, 101) == inf


def test_a_call_that_settled_first_does_not_keep_others_from_giving_back() -> None:
    lived = history()
    lived.take(50)
    lived.take(50)
    lived.settle(lived.running[1], 0)
    lived.settle(lived.running[0], 0)
    assert lived.take(100)


def test_what_has_flowed_out_is_not_given_back_again() -> None:
    lived = history()
    lived.take(100)
    lived.now += 25
    lived.take(50)
    lived.settle(lived.running[0], 0)
    # Of its 100, half has flowed out, and made the room for the other call.
    assert lived.meter.drain(HUNDRED, lived.now) == pytest.approx(50)


def test_what_was_used_flows_out_before_what_may_be_given_back() -> None:
    lived = history()
    lived.take(40)
    lived.take(40)
    lived.settle(lived.running[0], 40)
    lived.now += 20
    lived.settle(lived.running[0], 0)
    assert lived.meter.drain(HUNDRED, lived.now) == 0


def test_a_debt_stands_above_the_limit_and_flows_out_first() -> None:
    lived = history()
    lived.take(10)
    lived.settle(lived.running[0], 150)
    assert lived.meter.drain(HUNDRED, lived.now) == 150
    assert lived.meter.wait(150, HUNDRED, 1) == 25.5


def test_a_bucket_that_was_empty_knows_older_calls_no_more() -> None:
    lived = history()
    lived.take(100)
    lived.now += 60
    lived.take(80)
    lived.settle(lived.running[0], 0)
    assert lived.meter.drain(HUNDRED, lived.now) == 80


def test_requests_are_used_when_they_come() -> None:
    bucket = Bucket()
    bucket.drain(CALLS, 1000)
    bucket.put_in(CALLS, 3)
    assert (bucket.used, bucket.held) == (3, 0)
    assert bucket.until == 1001.5


def test_a_clock_that_goes_back_stands_still() -> None:
    bucket = Bucket()
    bucket.drain(CALLS, 1000)
    bucket.put_in(CALLS, 3)
    assert bucket.drain(CALLS, 900) == 3
    assert bucket.drain(CALLS, 1000) == 3


def test_what_stands_in_a_quota_that_has_become_nothing_flows_out_all_the_same() -> None:
    nothing = Quota(policy="tokens", unit=TOKENS, limit=0, window=50)
    lived = history()
    lived.take(2)
    level = lived.meter.drain(nothing, lived.now + 50)
    assert level == 1
    assert lived.meter.reset(level, nothing) == 50
    assert lived.meter.wait(level, nothing, 1) == inf
