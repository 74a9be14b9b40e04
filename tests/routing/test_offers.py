"""What offers have in common is what each of them has."""

from veneer.routing.offers import Offers
from veneer.routing.plan import Offer

PLAIN = Offer(target="a", model="m", name="m")
TOLD = Offer(target="b", model="m", name="m", capabilities=frozenset())
PICKY = Offer(target="c", model="m", name="m", unknown_parameters=frozenset(["seed", "user"]))
OTHER = Offer(target="d", model="m", name="m", unknown_parameters=frozenset(["seed", "stop"]))


def test_one_that_tells_its_capabilities_is_enough_to_look_for_needs() -> None:
    assert Offers([PLAIN, TOLD]).tell_capabilities
    assert not Offers([PLAIN, PICKY]).tell_capabilities
    assert not Offers().tell_capabilities


def test_what_one_of_them_does_not_know_is_not_known_to_all() -> None:
    assert Offers([PLAIN, PICKY, OTHER]).unknown_parameters == {"seed", "user", "stop"}
    assert Offers([PLAIN, TOLD]).unknown_parameters == frozenset()
    assert Offers().unknown_parameters == frozenset()


def test_an_offer_is_tried_with_the_operators_key_by_one_step() -> None:
    (step,) = PLAIN.steps
    assert step.offer is PLAIN
    assert not step.own_key
    assert not step.dropped
    assert PLAIN.steps is PLAIN.steps
