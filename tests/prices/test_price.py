"""The price: what a model costs, by what is used of it."""

from datetime import date
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.prices.amounts import prices
from veneer.prices.money import parse
from veneer.prices.price import INPUT, ONE, OUTPUT, UNITS, Price, dearest


def test_a_kind_without_a_rate_costs_what_its_side_does() -> None:
    rates = Price(input=5, output=7).rates
    assert {rates[kind] for kind in INPUT} == {5}
    assert {rates[kind] for kind in OUTPUT} == {7}


def test_a_rate_of_its_own_counts_though_it_be_nothing() -> None:
    rates = Price(input=5, output=7, cached_input=0, reasoning=9).rates
    assert rates["cached_input"] == 0
    assert rates["reasoning"] == 9
    assert rates["cache_write"] == 5


def test_a_side_that_was_forgotten_is_never_free() -> None:
    assert Price(input=5).rates["output"] == 5
    assert Price(output=7, cached_input=1).rates["input"] == 7
    assert Price(input=5, output=0).rates["output"] == 0


def test_where_no_tokens_are_priced_they_cost_nothing() -> None:
    price = Price(second=3)
    assert set(price.rates.values()) == {0}
    assert not price.has_tokens
    assert Price(input=0).has_tokens


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({}, "prices nothing"),
        ({"tiers": {"flex": Fraction(1, 2)}}, "prices nothing"),
        ({"input": -1}, "input is -1: give a whole number"),
        ({"input": 1.0}, "input is 1.0"),
        ({"input": True}, "input is True"),
        ({"input": float("nan")}, "input is nan"),
        ({"input": "1"}, "input is '1'"),
        ({"image": -1}, "image is -1"),
        ({"input": 1, "above": -1}, "above is -1"),
        ({"input": 1, "tools": {"web_search": 0.5}}, "web_search is 0.5"),
        ({"input": 1, "tiers": {"flex": 0.5}}, "tier 'flex' is 0.5: give a Fraction"),
        ({"input": 1, "tiers": {"flex": Fraction(-1)}}, "tier 'flex' is Fraction"),
        ({"cached_input": 1}, "rate for cached_input, and none for input or output"),
        ({"second": 1, "output_image": 3}, "rate for output_image, and none"),
    ],
)
def test_a_price_that_cannot_be_is_refused(fields: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        Price(**fields)


def test_tiers_have_their_factors_and_unknown_ones_the_dearest() -> None:
    price = Price(input=1, tiers={"flex": Fraction(1, 2), "priority": Fraction(7, 4)})
    assert price.factor("flex") == Fraction(1, 2)
    assert price.factor("priority") == Fraction(7, 4)
    assert price.factor("ultrafast") == Fraction(7, 4)
    for standard in (None, "", "auto", "default", "standard"):
        assert price.factor(standard) == 1


def test_no_unknown_tier_is_cheaper_than_the_standard_one() -> None:
    assert Price(input=1, tiers={"flex": Fraction(1, 2)}).factor("priority") == 1
    assert Price(input=1).factor("priority") == 1


def test_the_standard_tier_may_be_given_a_factor() -> None:
    assert Price(input=1, tiers={"default": Fraction(2)}).factor("default") == 2


def test_a_markup_is_on_every_amount_and_on_nothing_else() -> None:
    price = Price(
        input=10,
        second=3,
        tools={"web_search": 4},
        tiers={"flex": Fraction(1, 2)},
        since=date(2026, 1, 1),
        above=200,
    )
    assert price.times(Fraction(3, 2)) == Price(
        input=15,
        second=4,
        tools={"web_search": 6},
        tiers={"flex": Fraction(1, 2)},
        since=date(2026, 1, 1),
        above=200,
    )


@given(st.lists(prices(), min_size=1, max_size=3))
def test_the_dearest_is_no_less_than_any_in_any_tier(several: list[Price]) -> None:
    most = dearest(several)
    assert most.dearest_tier == ONE
    for price in several:
        for kind in (*INPUT, *OUTPUT):
            assert most.rates[kind] >= price.rates[kind] * price.dearest_tier
        for unit in UNITS:
            assert (getattr(most, unit) or 0) >= (getattr(price, unit) or 0)
        for tool, amount in price.tools.items():
            assert most.tools[tool] >= amount


@given(st.lists(prices(), min_size=1, max_size=3))
def test_the_dearest_prices_what_any_does_and_nothing_else(several: list[Price]) -> None:
    most = dearest(several)
    assert most.has_tokens is any(price.has_tokens for price in several)
    for unit in UNITS:
        given_none = all(getattr(price, unit) is None for price in several)
        assert (getattr(most, unit) is None) is given_none


def test_the_dearest_of_one_is_as_dear() -> None:
    price = Price(input=parse("0.15"), output=parse("0.6"), tiers={"flex": Fraction(1, 2)})
    assert dearest([price]).rates == price.rates
