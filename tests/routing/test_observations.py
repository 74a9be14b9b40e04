"""How targets have done of late."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.clock import Clock
from tests.routing.offering import offer
from veneer.routing.observations import (
    ASSUMED,
    FEW_TOKENS,
    FIRST_GUESS,
    HALF_LIFE,
    PARDON,
    SAMPLES,
    WINDOW,
    Observations,
)
from veneer.routing.plan import Reading, Spread
from veneer.routing.ranking import NEAR

HERE = offer("a")


class Room:
    """Observations and their clock."""

    def __init__(self, most: int = 4096) -> None:
        self.clock = Clock()
        self.seen = Observations(self.clock, most=most)

    def first(self, *times: float, every: float = 0.0) -> Spread:
        """See first events; return what is known of them."""
        for seconds in times:
            self.clock.now += every
            self.seen.saw_first(HERE, seconds)
        spread = self.seen.reading(HERE).ttft
        assert spread is not None
        return spread


def test_nothing_is_known_of_one_that_was_never_seen() -> None:
    seen = Room().seen
    assert seen.reading(HERE) == Reading()
    assert seen.reading(HERE).seen == -math.inf
    now = seen.reading(HERE, outstanding=2, full=True, resting=1.5, probing=True, warm=7)
    assert now == Reading(outstanding=2, full=True, resting=1.5, probing=True, warm=7)


def test_what_the_caller_knows_stands_beside_what_was_seen() -> None:
    room = Room()
    room.first(0.5)
    at = room.seen.now()
    room.clock.now += 3
    now = room.seen.reading(HERE, outstanding=2, full=True, resting=1.5, probing=True, warm=7)
    assert now == Reading(
        ttft=Spread(math.log(0.5), 0.5, 0.5, 1),
        seen=at,
        outstanding=2,
        full=True,
        resting=1.5,
        probing=True,
        warm=7,
    )


def test_the_same_model_elsewhere_and_another_model_there_are_others() -> None:
    room = Room()
    room.first(0.5)
    assert room.seen.reading(offer("b", name=HERE.name)).ttft is None
    assert room.seen.reading(offer("a", name="another")).ttft is None


def test_the_first_samples_count_alike() -> None:
    assert Room().first(0.1, 10.0).level == pytest.approx(math.log(1.0))


def test_the_level_follows_a_change_and_not_an_outlier() -> None:
    room = Room()
    room.first(*[0.5] * 40, every=1.0)
    assert math.exp(room.first(50.0, every=1.0).level) < 1.0
    assert math.exp(room.first(*[2.0] * 40, every=1.0).level) == pytest.approx(2.0, rel=0.1)


def test_after_a_pause_a_sample_counts_as_much_as_the_pause_was_long() -> None:
    room = Room()
    room.first(*[0.5] * 40, every=1.0)
    halfway = room.first(2.0, every=HALF_LIFE).level
    assert math.exp(halfway) == pytest.approx(1.0)


@given(st.lists(st.floats(0.01, 100.0), min_size=1, max_size=3 * SAMPLES))
def test_percentiles_are_nearest_ranks_of_the_last_samples(times: list[float]) -> None:
    spread = Room().first(*times)
    last = sorted(times[-SAMPLES:])
    assert spread.p50 == last[math.ceil(0.5 * len(last)) - 1]
    assert spread.p95 == last[math.ceil(0.95 * len(last) - 1e-9) - 1]
    assert spread.count == len(times)


def test_percentiles_forget_what_is_older_than_the_window() -> None:
    room = Room()
    room.first(9.0, 9.0, 9.0)
    assert room.first(1.0, every=WINDOW).p50 == 9.0
    assert room.first(1.0, every=1.0).p95 == 1.0


def test_the_95th_percentile_of_throughput_is_a_low_one() -> None:
    room = Room()
    for rate in range(1, 21):
        room.seen.saw_end(HERE, 10 * rate, 10.0)
    spread = room.seen.reading(HERE).throughput
    assert spread is not None
    assert (spread.p50, spread.p95) == (11.0, 2.0)


@pytest.mark.parametrize(("tokens", "seconds"), [(FEW_TOKENS - 1, 1.0), (500, 0.0)])
def test_too_little_tells_nothing_of_throughput(tokens: int, seconds: float) -> None:
    room = Room()
    room.seen.saw_end(HERE, tokens, seconds)
    assert room.seen.reading(HERE).throughput is None
    assert room.seen.expected_output("m", None) == tokens


def test_a_time_of_nothing_is_a_short_one() -> None:
    assert math.isfinite(Room().first(0.0).level)


def test_failures_are_a_share_that_is_forgiven_with_time() -> None:
    room = Room()
    room.seen.failed(HERE)
    assert room.seen.reading(HERE).failing == 1 / (1 + ASSUMED)
    for _ in range(3):
        room.seen.succeeded(HERE)
    assert room.seen.reading(HERE).failing == 1 / (4 + ASSUMED)
    room.clock.now += PARDON
    assert room.seen.reading(HERE).failing == pytest.approx(0.5 / (4 + ASSUMED))
    assert room.seen.now() - room.seen.reading(HERE).seen == PARDON
    room.clock.now += 1e9
    assert room.seen.reading(HERE).failing == 0
    room.seen.succeeded(HERE)
    assert room.seen.reading(HERE) == Reading(seen=room.clock.now)


@pytest.mark.parametrize("others", [0, 3, 64])
@pytest.mark.parametrize(
    ("failures", "least", "most"), [(1, 1.0, 12.0), (3, 2.0, 60.0), (20, 60.0, 240.0)]
)
def test_one_failure_costs_a_target_seconds_and_many_cost_it_minutes(
    others: int, failures: int, least: float, most: float
) -> None:
    room = Room()
    for _ in range(others):
        room.seen.succeeded(HERE)
    for _ in range(failures):
        room.seen.failed(HERE)
    since = room.clock.now
    # Above that, those who cost the same and have not failed are asked.
    while -math.log(1 - room.seen.reading(HERE).failing) > NEAR:
        room.clock.now += 0.25
    assert least <= room.clock.now - since <= most


def test_a_reading_is_anew_after_all_that_is_seen() -> None:
    room = Room()
    room.first(0.5)
    before = room.seen.reading(HERE)
    assert room.seen.reading(HERE) is before
    room.first(0.5)
    assert room.seen.reading(HERE) != before
    assert room.seen.reading(HERE, outstanding=1).outstanding == 1
    assert room.seen.reading(HERE).outstanding == 0


def test_one_that_fails_for_long_is_known_by_its_share() -> None:
    room = Room()
    for index in range(300):
        room.clock.now += 0.5
        (room.seen.failed if index % 10 < 3 else room.seen.succeeded)(HERE)
    assert room.seen.reading(HERE).failing == pytest.approx(0.3, abs=0.05)


def test_what_a_model_writes_is_learned_and_no_more_than_its_cap() -> None:
    seen = Room().seen
    assert seen.expected_output("m", None) == FIRST_GUESS
    assert seen.expected_output("m", 100) == 100
    for _ in range(100):
        seen.saw_end(offer("a"), 40, 1.0)
        seen.saw_end(offer("b", name="other"), 60, 1.0)
    assert 45 <= seen.expected_output("m", None) <= 56
    assert seen.expected_output("n", None) == FIRST_GUESS


def test_of_very_many_those_seen_longest_ago_are_forgotten() -> None:
    room = Room(most=2)
    many = [offer(name, model=name) for name in "abc"]
    for each in [many[0], many[1], many[0], many[2]]:
        room.seen.saw_first(each, 0.5)
        room.seen.saw_end(each, 9, 1.0)
    assert [room.seen.reading(each).ttft is not None for each in many] == [True, False, True]
    assert [room.seen.expected_output(name, None) for name in "abc"] == [9, FIRST_GUESS, 9]
    with pytest.raises(ValueError, match="give 1 or more"):
        Observations(room.clock, most=0)
