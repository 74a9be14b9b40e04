"""How targets stand."""

from tests.asgi import Responder
from tests.clock import Clock
from veneer.routing.target import Target
from veneer.upstream._standing import IN_A_ROW, LONGEST_REST, MANY, Standing


def standing(clock: Clock, **bounds: int) -> Standing:
    return Standing(Target(name="a", app=Responder(), **bounds), clock)  # type: ignore[arg-type]  # bounds are integers


def taken(target: Standing, name: str = "m") -> int:
    attempt = target.begin(name)
    assert attempt is not None
    return attempt


def fail(target: Standing) -> None:
    attempt = taken(target)
    target.failed(attempt, "status")
    target.end(attempt)


def test_places_are_given_back() -> None:
    target = standing(Clock(), max_concurrent=2)
    first, second = taken(target), taken(target)

    assert target.is_full
    assert target.begin("m") is None
    target.end(first)
    assert not target.is_full
    target.end(second)
    assert target.outstanding == 0


def test_a_minute_is_any_sixty_seconds() -> None:
    clock = Clock()
    target = standing(clock, requests_per_minute=2)
    target.end(taken(target))
    clock.now += 30
    target.end(taken(target))

    assert target.is_full
    clock.now += 30
    assert not target.is_full
    target.end(taken(target))
    assert target.is_full


def test_a_success_between_failures_keeps_it_there() -> None:
    target = standing(Clock())
    for _ in range(3):
        for _ in range(IN_A_ROW - 1):
            fail(target)
        attempt = taken(target)
        target.succeeded(attempt)
        target.end(attempt)

    assert target.resting("m") == 0


def test_after_a_row_of_failures_one_call_finds_out_and_its_failure_doubles_the_rest() -> None:
    clock = Clock()
    target = standing(clock)
    for _ in range(IN_A_ROW):
        fail(target)
    assert (target.resting("m"), target.is_probing("m")) == (0.5, False)

    clock.now += 0.5
    assert (target.resting("m"), target.is_probing("m")) == (0, True)
    attempt = taken(target)
    assert not target.is_probing("m")
    assert target.begin("m") is None
    target.failed(attempt, "status")
    target.end(attempt)
    assert target.resting("m") == 1.0


def test_a_trial_that_came_to_nothing_leaves_the_next_one_to_others() -> None:
    clock = Clock()
    target = standing(clock)
    for _ in range(IN_A_ROW):
        fail(target)
    clock.now += 0.5
    target.end(taken(target))

    assert target.is_probing("m")


def test_a_rest_is_one_models_and_bounded() -> None:
    clock = Clock()
    target = standing(clock)
    target.rest("m", 1e9, limited=True)
    target.rest("n", None, limited=False)

    assert target.resting("m") == LONGEST_REST
    assert (target.is_limited("m"), target.is_limited("n")) == (True, False)
    assert target.resting("n") == 1.0
    assert target.resting("o") == 0
    clock.now += LONGEST_REST
    assert not target.is_limited("m")


def test_models_that_have_rested_are_forgotten() -> None:
    clock = Clock()
    target = standing(clock)
    for number in range(10 * MANY):
        target.rest(str(number), 1.0, limited=True)
        clock.now += 0.1

    assert len(target._rests) <= MANY


def test_health_checks_end_only_what_they_began() -> None:
    clock = Clock()
    target = standing(clock)
    target.checked(healthy=False)
    assert target.resting("m") == 0.5
    clock.now += 0.5
    target.checked(healthy=True)
    assert (target.resting("m"), target.is_probing("m")) == (0, False)

    for _ in range(IN_A_ROW):
        fail(target)
    clock.now += 0.5
    target.checked(healthy=True)
    assert target.is_probing("m")
