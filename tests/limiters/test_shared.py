"""The limiter for the workers of one machine."""

from typing import Any, cast

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.limiters.sharing import EACH, QUOTAS, STRICT_R, C, R, T, left, sharing
from tests.limiters.test__journal import Killed
from tests.limiters.workers import at_once
from veneer.limiters.memory import MemoryLimiter
from veneer.limiters.shared import SharedLimiter
from veneer.quotas.limiter import Decision, LimiterUnavailableError
from veneer.quotas.quota import Charge, Quota

costs = {"requests": st.integers(0, 2), "tokens": st.integers(0, 60)}
charges = st.lists(st.sampled_from(QUOTAS), unique=True, max_size=5).flatmap(
    lambda quotas: st.tuples(
        *(
            st.builds(
                Charge,
                st.just(quota),
                st.sampled_from([("a",), ("b", "/\n"), ("b/", "\n")]),
                costs.get(quota.unit, st.integers(0, 1)),
            )
            for quota in quotas
        )
    )
)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("take"), charges),
        st.tuples(st.just("settle"), st.tuples(st.integers(0, 9), st.integers(0, 90))),
        st.tuples(st.just("sleep"), st.floats(0.0, 8.0)),
    ),
    max_size=40,
)


@settings(max_examples=100, deadline=None)
@given(steps, st.randoms(use_true_random=False))
def test_it_decides_as_the_limiter_in_memory_does(
    steps: list[tuple[str, Any]], any_of: Any
) -> None:
    with sharing(2) as (clock, limiters):
        model = MemoryLimiter(clock=clock)
        open_calls: list[tuple[Decision, Decision]] = []
        for step, value in steps:
            if step == "sleep":
                clock.now += value
            elif step == "take":
                ours = at_once(any_of.choice(limiters).take(value))
                theirs = at_once(model.take(value))
                assert_same(ours, theirs)
                if ours.taken is not None:
                    open_calls.append((ours, theirs))
            elif open_calls:
                which, tokens = value
                ours, theirs = open_calls.pop(which % len(open_calls))
                any_of.choice(limiters).settle(ours.taken, tokens)
                model.settle(theirs.taken, tokens)


def assert_same(ours: Decision, theirs: Decision) -> None:
    assert ours.refused == theirs.refused
    assert ours.wait == pytest.approx(theirs.wait, abs=1e-6)
    assert (ours.taken is None) == (theirs.taken is None)
    for mine, its in zip(ours.standings, theirs.standings, strict=True):
        assert mine.reset == pytest.approx(its.reset, abs=1e-6)
        assert msgspec.structs.replace(mine, reset=0) == msgspec.structs.replace(its, reset=0)


def test_a_file_that_is_opened_again_still_counts() -> None:
    with sharing(2) as (_, (first, second)):
        at_once(first.take(EACH))
        first._abandon()
        assert left(second, EACH) == [4, 70, 2]
        assert left(first, EACH) == [4, 70, 2]


def test_a_call_is_settled_once_in_its_table_only() -> None:
    with sharing(2) as (_, (first, second)):
        call = at_once(first.take(EACH))
        first._abandon()
        at_once(second.take(EACH))
        # Its slot was given back when its process ended; the other's is not touched.
        first.settle(call.taken, 30)
        assert left(second, EACH) == [3, 40, 1]


@pytest.mark.parametrize("act", ["take", "settle", "look"])
def test_who_dies_at_any_write_has_done_all_or_nothing(act: str) -> None:
    before = {"take": [5, 100, 2], "settle": [4, 70, 1], "look": [4, 70, 1]}[act]
    after = {"take": [4, 70, 1], "settle": [4, 90, 2], "look": [4, 70, 2]}[act]
    seen = []
    for survived in range(20):
        with sharing(3) as (clock, (victim, other, ended)):
            call = at_once((ended if act == "look" else victim).take([] if act == "take" else EACH))
            if act == "look":
                left(victim, EACH)
                ended._abandon()
                clock.now += 2e-9
                assert victim._table is not None
                victim._table.next_look = clock.now
            died = dies_after(survived, victim, act, call)
            # Nobody closes what a process that is killed had open, but the kernel.
            looker = other._enter(1)
            assert looker is not None
            looker.next_look = clock.now + 1
            looker.leave()
            seen.append((died, left(other, EACH)))
    assert {state[1] == before or state[1] == after for state in seen} == {True}
    turned = [state[1] == after for state in seen]
    assert turned == sorted(turned)
    assert not turned[0]
    assert seen[0][0]
    assert seen[-1] == (False, after)


def dies_after(survived: int, victim: SharedLimiter, act: str, call: Decision) -> bool:
    """Have a process write so many times, and then no more; return whether it came to that."""
    table = victim._table
    assert table is not None
    dying = DyingView(table._journal._map, survived)
    table._journal._map = cast("Any", dying)
    try:
        if act == "settle":
            victim.settle(call.taken, 10)
        else:
            at_once(victim.take(EACH if act == "take" else []))
    except Killed:
        return True
    return False


class DyingView:
    """A mapping through which so many writes are done, and no more."""

    def __init__(self, mapped: Any, writes_left: int) -> None:
        self._map = mapped
        self._writes_left = writes_left

    def __getitem__(self, key: Any) -> Any:
        return self._map[key]

    def __setitem__(self, key: Any, value: Any) -> None:
        if not self._writes_left:
            raise Killed
        self._writes_left -= 1
        self._map[key] = value


def fill(limiter: SharedLimiter, quota: Quota) -> list[Charge]:
    """Take for one partition after the other, until there is no room; return what was taken."""
    admitted: list[Charge] = []
    for name in range(1000):
        charge = Charge(quota, (str(name),), quota.limit)
        try:
            at_once(limiter.take([charge]))
        except LimiterUnavailableError as error:
            size = "max_strict" if quota.strict else "max_partitions"
            assert size in str(error)  # noqa: PT017 - the loop's end is the point, not the error
            return admitted
        admitted.append(charge)
    raise AssertionError("there is no end of room")


def test_no_live_counter_is_forgotten_for_a_new_one() -> None:
    with sharing(max_partitions=4) as (clock, (limiter,)):
        admitted = fill(limiter, R)
        assert len(admitted) >= 4
        assert left(limiter, admitted) == [0] * len(admitted)
        clock.now += R.window
        assert not at_once(limiter.take([Charge(R, ("late",), 5)])).refused


def test_a_counter_that_has_ended_is_not_overwritten_by_the_request_that_uses_it() -> None:
    with sharing(max_partitions=1) as (clock, (limiter,)):
        at_once(limiter.take([Charge(R, ("a",), 5)]))
        clock.now += R.window
        charges = [Charge(T, ("new",), 60), Charge(R, ("a",), 5)]
        at_once(limiter.take(charges))
        assert left(limiter, charges) == [40, 0]


def test_no_strict_counter_is_forgotten_for_a_new_one() -> None:
    with sharing(max_strict=1) as (_, (limiter,)):
        admitted = fill(limiter, STRICT_R)
        assert left(limiter, admitted) == [0] * len(admitted)
        assert not at_once(limiter.take([Charge(R, ("a",), 1)])).refused


def test_what_finds_no_room_takes_nothing_else() -> None:
    with sharing(max_running=1) as (_, (limiter,)):
        at_once(limiter.take([Charge(C, ("b",), 1)]))
        with pytest.raises(LimiterUnavailableError, match="max_running"):
            at_once(limiter.take(EACH))
        assert left(limiter, EACH) == [5, 100, 2]


def test_a_debt_without_room_is_said_and_its_slot_freed(caplog: pytest.LogCaptureFixture) -> None:
    with sharing(max_partitions=1) as (clock, (limiter,)):
        call = at_once(limiter.take(EACH))
        clock.now += 100
        fill(limiter, R)
        limiter.settle(call.taken, 90)
        assert "tokens of t are not counted" in caplog.text
        assert left(limiter, [EACH[2]]) == [2]


def test_two_charges_on_one_counter_are_both_taken() -> None:
    with sharing() as (_, (limiter,)):
        call = at_once(limiter.take([Charge(C, ("a",), 1), Charge(C, ("a",), 1)]))
        assert left(limiter, [EACH[2]]) == [0]
        limiter.settle(call.taken, 0)
        assert left(limiter, [EACH[2]]) == [2]


def test_more_charges_than_the_journal_holds_are_refused_and_take_nothing() -> None:
    with sharing(max_strict=200) as (_, (limiter,)):
        many = [Charge(STRICT_R, (str(name),), 1) for name in range(130)]
        with pytest.raises(LimiterUnavailableError, match="at once"):
            at_once(limiter.take(many))
        assert left(limiter, many[:1]) == [4]


def test_numbers_that_cannot_be_are_refused() -> None:
    with pytest.raises(ValueError, match="max_running"):
        SharedLimiter("t", max_running=0)
