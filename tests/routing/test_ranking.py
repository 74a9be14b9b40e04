"""Who takes turns, and who is looked at though another is better."""

from collections import Counter

import pytest

from tests.routing.offering import STEADY, asked, offer, planned, reading, targets
from veneer.routing.plan import Offer, Reading
from veneer.routing.preferences import Preferences
from veneer.routing.ranking import LOOKING, PROBING, REVISIT

TTFT = Preferences(optimize="ttft")
COST = Preferences(optimize="cost")
# A draw that looks at whoever is due.
LOOK = LOOKING / 2
PROBE = PROBING - 0.001


def firsts(preferences: Preferences, offers: list[Offer], readings: list[Reading]) -> Counter[str]:
    """Return how often each is asked first, of a thousand draws that look at nobody else."""
    draws = [PROBING + (1 - PROBING) * index / 1000 for index in range(1000)]
    ask = asked(preferences)
    return Counter(targets(planned(ask, offers, readings, draw))[0] for draw in draws)


def test_those_that_are_alike_take_turns_by_their_weights() -> None:
    offers = [offer("a", 1.0, weight=3.0), offer("b", 1.009), offer("c", 1.2)]
    found = firsts(COST, offers, [reading()] * 3)
    assert found["a"] == pytest.approx(750, abs=30)
    assert found["b"] == pytest.approx(250, abs=30)
    assert found["c"] == 0


def test_of_those_that_are_alike_a_busy_one_is_asked_less() -> None:
    found = firsts(COST, [offer("a"), offer("b")], [reading(outstanding=3), reading()])
    assert found["a"] == pytest.approx(200, abs=30)


def test_without_any_weight_all_are_asked() -> None:
    offers = [offer("a", weight=0.0), offer("b", weight=0.0)]
    assert len(firsts(COST, offers, [reading()] * 2)) == 2


def test_one_without_weight_is_asked_after_the_others() -> None:
    offers = [offer("a", weight=0.0), offer("b")]
    for draw in (0.0, 0.3, STEADY, 0.999999):
        assert targets(planned(asked(COST), offers, draw=draw)) == ["b", "a"]


def test_all_orders_of_those_that_are_alike_are_drawn() -> None:
    offers = [offer(name) for name in "abc"]
    orders = {
        tuple(targets(planned(asked(COST), offers, draw=index / 997))) for index in range(997)
    }
    assert len(orders) == 6


def first(
    draw: float, *ages: float, preferences: Preferences = TTFT, worse: float = 1.2, busy: int = 0
) -> str:
    """Return who is asked first of `a`, which is best, and others of these ages."""
    offers = [offer(name) for name in "abc"][: 1 + len(ages)]
    readings = [reading(0.5), *[reading(0.5 * worse, age=age, outstanding=busy) for age in ages]]
    return targets(planned(asked(preferences), offers, readings, draw))[0]


def test_who_was_not_seen_for_long_is_looked_at_by_some_calls() -> None:
    assert first(LOOK, 2 * REVISIT) == "b"
    assert first(LOOK, REVISIT) == "a"
    assert first(LOOKING, 2 * REVISIT) == "a"
    assert first(LOOK, 2 * REVISIT, 3 * REVISIT) == "c"


def test_one_that_is_much_worse_is_looked_at_the_less_often() -> None:
    assert first(LOOK, 15.9 * REVISIT, worse=4.0) == "a"
    assert first(LOOK, 16.2 * REVISIT, worse=4.0) == "b"


def test_one_that_was_never_seen_is_looked_at() -> None:
    offers = [offer("a"), offer("b")]
    for seen in ([reading(0.5), Reading()], [Reading(), reading(0.5)]):
        order = targets(planned(asked(TTFT), offers, seen, LOOK))
        assert order[0] == offers[seen.index(Reading())].target


def test_nobody_is_looked_at_twice_at_a_time() -> None:
    assert first(LOOK, 9 * REVISIT, busy=1) == "a"


def test_nobody_is_looked_at_for_what_is_known_without() -> None:
    offers = [offer("a", 1.0), offer("b", 1.2)]
    seen = [reading(), reading(age=9000.0)]
    assert targets(planned(asked(COST), offers, seen, LOOK)) == ["a", "b"]


def test_a_call_that_has_one_try_is_not_spent_on_a_look() -> None:
    wanted = Preferences(optimize="ttft", allow_fallbacks=False)
    assert first(LOOK, 9 * REVISIT, preferences=wanted) == "a"


def test_who_is_preferred_is_not_passed_over_for_a_look() -> None:
    wanted = Preferences(optimize="ttft", prefer="a")
    assert first(LOOK, 9 * REVISIT, preferences=wanted) == "a"


def test_the_full_and_the_resting_are_not_looked_at() -> None:
    offers = [offer("a"), offer("b"), offer("c")]
    seen = [reading(0.5), reading(0.6, age=900.0, full=True), reading(0.6, age=900.0, resting=9.0)]
    assert targets(planned(asked(TTFT), offers, seen, LOOK)) == ["a"]


@pytest.mark.parametrize("wanted", [TTFT, COST])
def test_who_was_away_is_found_back_whatever_counts(wanted: Preferences) -> None:
    offers = [offer("a"), offer("b")]
    back = [reading(0.5), reading(0.5, age=2 * REVISIT, probing=True)]
    assert targets(planned(asked(wanted), offers, back, PROBE)) == ["b", "a"]
    assert targets(planned(asked(wanted), offers, back, PROBING)) == ["a", "b"]
    soon = [reading(0.5), reading(0.5, age=REVISIT / 2, probing=True)]
    assert targets(planned(asked(wanted), offers, soon, PROBE)) == ["a", "b"]
