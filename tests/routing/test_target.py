"""Targets, and what they offer."""

from datetime import date
from typing import Any

import pytest

from tests.asgi import Responder
from veneer.prices.book import PriceBook
from veneer.prices.price import Price
from veneer.routing.target import Target

APP = Responder()
CHEAP = Price(input=1, output=2)
DEAR = Price(input=3, output=4)


def named(models: dict[str, str], *names: str) -> dict[str, str]:
    """Return the own names of what is offered of these models."""
    target = Target(name="a", app=APP, models=models)
    return {offer.model: offer.name for offer in target.offers(names, at=0)}


def test_a_target_has_all_models_unless_it_says_which() -> None:
    (offer,) = Target(name="a", app=APP).offers(["gpt-5"], at=0)

    assert (offer.target, offer.model, offer.name) == ("a", "gpt-5", "gpt-5")


def test_an_exact_name_goes_before_a_pattern_and_the_first_pattern_before_others() -> None:
    models = {"gpt-*": "any-gpt", "gpt-5": "five", "*": "*"}

    assert named(models, "gpt-5", "gpt-4", "llama") == {
        "gpt-5": "five",
        "gpt-4": "any-gpt",
        "llama": "llama",
    }


def test_what_a_target_has_not_is_not_offered_and_nothing_twice() -> None:
    assert named({"m": "*"}, "m", "n", "m") == {"m": "m"}


def test_names_are_told_apart_by_case() -> None:
    assert named({"GPT-*": "*"}, "gpt-5", "GPT-5") == {"GPT-5": "GPT-5"}


def test_prices_go_by_the_targets_own_name_or_the_catalogs_and_by_the_time() -> None:
    later = Price(input=5, output=6, since=date(2001, 1, 1))
    book = PriceBook([("theirs", CHEAP), ("m", DEAR), ("n", DEAR), ("n", later)])
    target = Target(name="a", app=APP, models={"m": "theirs", "n": "other"}, prices=book)

    assert [offer.price for offer in target.offers(["m", "n"], at=0)] == [CHEAP, DEAR]
    assert [offer.price for offer in target.offers(["n"], at=2e9)] == [later]


def test_an_offer_has_the_terms_of_its_target() -> None:
    target = Target(
        name="a",
        app=APP,
        weight=2.0,
        data_policy="zdr",
        tier="priority",
        unknown_parameters=frozenset(["seed"]),
        capabilities=frozenset(["tools"]),
        context_window=9,
        output_cap=8,
        platform=False,
        own_keys=True,
    )
    (offer,) = target.offers(["m"], at=0)

    for name in (
        "weight",
        "data_policy",
        "tier",
        "unknown_parameters",
        "capabilities",
        "context_window",
        "output_cap",
        "platform",
        "own_keys",
    ):
        assert getattr(offer, name) == getattr(target, name)


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"name": ""}, "cannot name a target"),
        ({"name": "a\nb"}, "cannot name a target"),
        ({"name": "ä"}, "cannot name a target"),
        ({"models": {}}, "has no models"),
        ({"models": {"m": ""}}, "without a name"),
        ({"weight": float("nan")}, "weight of 'a' is nan"),
        ({"weight": -1.0}, "give 0 or more"),
        ({"platform": False}, "Nobody has a key for 'a'"),
        ({"max_concurrent": 0}, "max_concurrent of 'a' is 0"),
        ({"requests_per_minute": -1}, "requests_per_minute of 'a' is -1"),
    ],
)
def test_what_cannot_be_is_refused(wrong: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        Target(**{"name": "a", "app": APP, **wrong})


def test_an_app_has_to_be_one() -> None:
    with pytest.raises(TypeError, match="has no app"):
        Target(name="a", app="http://localhost")
