"""Who is over: as far as one has seen oneself, whatever the clocks say."""

from tests.clock import Clock
from veneer.ledger.lookout import Lookout, Owner


def test_one_who_shows_no_life_is_over_at_the_third_look() -> None:
    clock = Clock()
    lookout = Lookout(30.0, clock)
    for expected in ([], [], [1]):
        assert lookout.look([Owner(1, 7)]) == expected
        clock.now += 15.0


def test_one_who_goes_on_is_never_over() -> None:
    clock = Clock()
    lookout = Lookout(30.0, clock)
    for beats in range(20):
        assert lookout.look([Owner(1, beats)]) == []
        clock.now += 15.0


def test_looks_that_are_close_together_are_one() -> None:
    clock = Clock()
    lookout = Lookout(30.0, clock)
    for _ in range(20):
        assert lookout.look([Owner(1, 7)]) == []
        clock.now += 1.4
    clock.now += 15.0
    assert lookout.look([Owner(1, 7)]) == [1]


def test_after_a_time_in_which_nobody_could_write_one_has_another_half_lease() -> None:
    clock = Clock()
    lookout = Lookout(30.0, clock)
    lookout.look([Owner(1, 7)])
    clock.now += 3600.0
    assert lookout.look([Owner(1, 7)]) == []
    clock.now += 15.0
    assert lookout.look([Owner(1, 8)]) == []


def test_those_who_have_gone_are_forgotten() -> None:
    clock = Clock()
    lookout = Lookout(30.0, clock)
    for owners in ([Owner(1, 7)], [], [Owner(1, 7)], [Owner(1, 7)]):
        assert lookout.look(owners) == []
        clock.now += 15.0
    assert lookout.look([Owner(1, 7)]) == [1]
