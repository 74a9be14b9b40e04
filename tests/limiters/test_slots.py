"""Slots: how many calls are running."""

from math import inf

from hypothesis import given
from hypothesis import strategies as st

from veneer.limiters.decide import Mark
from veneer.limiters.slots import RETRY, Slots
from veneer.quotas.quota import CONCURRENT, Quota

THREE = Quota(policy="concurrency", unit=CONCURRENT, limit=3)


@given(st.lists(st.booleans(), max_size=50))
def test_no_more_than_the_limit_ever_run_and_all_slots_come_back(steps: list[bool]) -> None:
    slots = Slots()
    marks: list[Mark] = []
    for begins in steps:
        level = slots.drain(THREE, 0)
        assert level == len(marks)
        if begins and not slots.wait(level, THREE, 1):
            marks.append(slots.put_in(THREE, 1))
        elif not begins and marks:
            slots.settle(THREE, marks.pop(), 1, 500)
        assert slots.drain(THREE, 0) <= 3
    for mark in marks:
        slots.settle(THREE, mark, 1, 0)
    assert slots.drain(THREE, 0) == 0


def test_nobody_knows_how_long_to_wait_so_it_is_a_second() -> None:
    slots = Slots(running=3)
    assert slots.wait(2, THREE, 1) == 0
    assert slots.wait(3, THREE, 1) == RETRY == 1.0
    assert slots.wait(0, THREE, 4) == inf
    assert slots.reset(3, THREE) == 0


def test_slots_last_while_calls_run() -> None:
    slots = Slots()
    assert slots.until == 0
    slots.put_in(THREE, 1)
    assert slots.until == inf
