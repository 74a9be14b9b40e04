"""When somebody who failed is asked again."""

import logging
from itertools import pairwise

import pytest

from tests.clock import Clock
from veneer.breaker import Breaker


class Room:
    """A breaker and its clock."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.breaker = Breaker(
            "the scribe",
            meanwhile="nothing is written",
            logger=logging.getLogger("veneer.scribes"),
            clock=self.clock,
        )

    def begin(self) -> int:
        """Begin an attempt, which has to be allowed."""
        attempt = self.breaker.begin()
        assert attempt is not None
        return attempt

    def fail(self) -> None:
        """Make an attempt that fails."""
        attempt = self.begin()
        self.breaker.failed(attempt, "ink is out")
        self.breaker.end(attempt)


def test_pauses_double_up_to_a_bound_and_begin_anew_after_success() -> None:
    room = Room()
    asked_at = []
    for _ in range(400):
        attempt = room.breaker.begin()
        if attempt is not None:
            asked_at.append(room.clock.now)
            room.breaker.failed(attempt, "ink is out")
            room.breaker.end(attempt)
        room.clock.now += 0.125
    assert [b - a for a, b in pairwise(asked_at)] == [0.5, 1, 2, 4, 8, 10, 10, 10]
    room.clock.now += 10.0
    room.breaker.succeeded(room.begin())
    room.fail()
    room.clock.now += 0.5
    room.begin()


def test_who_failed_is_away_until_an_attempt_succeeds() -> None:
    room = Room()
    assert not room.breaker.away
    room.fail()
    room.clock.now += 60
    assert room.breaker.away
    attempt = room.begin()
    assert room.breaker.away
    room.breaker.succeeded(attempt)
    assert not room.breaker.away


def test_one_tries_at_a_time_until_its_attempt_ends() -> None:
    room = Room()
    room.fail()
    assert room.breaker.begin() is None
    room.clock.now += 0.5
    trial = room.begin()
    assert room.breaker.begin() is None
    room.breaker.end(trial)
    room.begin()


def test_a_failure_of_what_began_before_an_answer_says_nothing() -> None:
    room = Room()
    late = room.begin()
    room.breaker.succeeded(room.begin())
    room.breaker.failed(late, "ink is out")
    room.begin()


def test_being_busy_is_a_failure_once_it_lasts() -> None:
    room = Room()
    for _ in range(9):
        room.breaker.stalled(room.begin(), "ink is slow")
    room.clock.now += 0.25
    room.breaker.stalled(room.begin(), "ink is slow")
    assert room.breaker.begin() is None


def test_each_change_is_said_once_in_the_words_that_were_given(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "veneer.scribes")
    room = Room()
    room.fail()
    room.clock.now += 0.5
    room.fail()
    room.clock.now += 1.0
    room.breaker.succeeded(room.begin())
    room.breaker.succeeded(room.begin())
    assert [(record.name, record.getMessage()) for record in caplog.records] == [
        (
            "veneer.scribes",
            "the scribe is away (ink is out): until it is back, nothing is written",
        ),
        ("veneer.scribes", "the scribe is back after 1.5 s"),
    ]


def test_how_long_nobody_may_ask_is_known_without_asking() -> None:
    room = Room()
    assert room.breaker.rest == 0

    room.fail()
    assert room.breaker.rest == 0.5
    room.clock.now += 0.2
    assert room.breaker.rest == pytest.approx(0.3)

    room.clock.now += 0.3
    assert room.breaker.rest == 0
    attempt = room.begin()
    assert room.breaker.rest == 0.5
    room.breaker.end(attempt)
    assert room.breaker.rest == 0
