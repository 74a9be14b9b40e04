"""The ring: never more than the limit in any window whatever."""

from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.limiters.history import STEPS, History, Steps
from veneer.limiters.ring import SLOTS, Ring
from veneer.quotas.quota import TOKENS, Quota

# Windows of 59 seconds have slots of one; those of 60 have slots that no binary number is.
WINDOWS = st.sampled_from([59.0, 60.0])


def history(window: float = 59.0) -> History:
    quota = Quota(policy="tokens", unit=TOKENS, limit=100, window=window, strict=True)
    return History(Ring(), quota)


@given(WINDOWS, STEPS)
def test_no_window_whatever_holds_more_than_the_limit(window: float, steps: Steps) -> None:
    lived = history(window)
    lived.live(steps)

    for begin in lived.moments():
        assert lived.admitted(begin, begin + window - 1e-9) <= 100


@given(STEPS)
def test_what_settles_within_a_window_leaves_what_was_used(steps: Steps) -> None:
    lived = history()
    lived.live([(0.0, what, units, which) for _, what, units, which in steps])

    assert lived.meter.drain(lived.quota, lived.now) == sum(call.used for call in lived.calls)


@given(WINDOWS, STEPS, st.integers(1, 100))
def test_what_was_told_to_wait_fits_then_and_not_before(
    window: float, steps: Steps, cost: int
) -> None:
    lived = history(window)
    lived.live(steps)
    level = lived.meter.drain(lived.quota, lived.now)
    wait = lived.meter.wait(level, lived.quota, cost)

    if wait > 1e-3:
        level = lived.meter.drain(lived.quota, lived.now + wait - 1e-3)
        assert lived.meter.wait(level, lived.quota, cost)
    level = lived.meter.drain(lived.quota, lived.now + wait + 1e-6)
    assert lived.meter.wait(level, lived.quota, cost) == 0


@given(WINDOWS, STEPS)
def test_nothing_counts_any_more_after_the_reset_and_something_just_before(
    window: float, steps: Steps
) -> None:
    lived = history(window)
    lived.live(steps)
    level = lived.meter.drain(lived.quota, lived.now)
    reset = lived.meter.reset(level, lived.quota)

    if reset > 1e-3:
        assert lived.meter.until >= lived.now + reset - 1e-6
        assert lived.meter.drain(lived.quota, lived.now + reset - 1e-3) > 0
    assert lived.meter.drain(lived.quota, lived.now + reset + 1e-6) == 0


def test_units_leave_at_once_when_their_slot_does() -> None:
    lived = history()
    assert lived.take(60)
    lived.now += 10
    assert lived.take(40)
    level = lived.meter.drain(lived.quota, lived.now)
    assert lived.meter.wait(level, lived.quota, 60) == 50
    assert lived.meter.wait(level, lived.quota, 61) == 60
    assert lived.meter.reset(level, lived.quota) == 60
    lived.now += 49.9
    assert not lived.take(1)
    lived.now += 0.1
    assert lived.take(60)


def test_more_than_a_whole_limit_never_fits() -> None:
    lived = history()
    assert lived.meter.wait(0, lived.quota, 101) == inf


def test_what_is_given_back_is_missing_where_it_was_counted() -> None:
    lived = history()
    lived.take(50)
    lived.now += 10
    lived.take(50)
    lived.settle(lived.running[1], 20)
    lived.settle(lived.running[0], 0)
    level = lived.meter.drain(lived.quota, lived.now)
    assert level == 20
    assert lived.meter.wait(level, lived.quota, 100) == 60


def test_a_debt_counts_from_when_it_is_known() -> None:
    lived = history()
    lived.take(50)
    lived.now += 10
    lived.settle(lived.running[0], 150)
    level = lived.meter.drain(lived.quota, lived.now)
    assert level == 150
    assert lived.meter.wait(level, lived.quota, 1) == 60


def test_what_has_left_is_not_given_back() -> None:
    lived = history()
    lived.take(50)
    lived.now += 60
    lived.take(70)
    lived.settle(lived.running[0], 0)
    assert lived.meter.drain(lived.quota, lived.now) == 70


def test_a_ring_that_was_forgotten_in_between_gives_nothing_back() -> None:
    lived = history()
    lived.take(50)
    lived.now += 60
    lived.meter = Ring()
    lived.take(70)
    lived.settle(lived.running[0], 0)
    assert lived.meter.drain(lived.quota, lived.now) == 70


def test_all_that_was_given_back_leaves_nothing_to_wait_for() -> None:
    lived = history()
    lived.take(50)
    lived.now += 5
    lived.take(50)
    lived.settle(lived.running[1], 0)
    assert lived.meter.reset(50, lived.quota) == 55
    lived.settle(lived.running[0], 0)
    assert lived.meter.reset(0, lived.quota) == 0


def test_a_clock_that_goes_back_stands_still() -> None:
    lived = history()
    lived.take(50)
    assert lived.meter.drain(lived.quota, lived.now - 500) == 50
    assert lived.meter.reset(50, lived.quota) == 60


@pytest.mark.parametrize("calls", [1, 5, 200])
def test_a_ring_holds_no_more_than_its_slots(calls: int) -> None:
    lived = history()
    for _ in range(calls):
        lived.now += 1
        lived.take(1)
    assert isinstance(lived.meter, Ring)
    assert len(lived.meter.units) == min(calls, SLOTS)
