"""Credits: what some services show in place of dollars."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from veneer.prices.credits import Credits
from veneer.prices.money import DOLLAR, parse, shown
from veneer.prices.price import Price

CENT = Credits(usd_per_credit=parse("0.01"), markup=Fraction(1, 2))

worths = st.sampled_from(["1", "0.01", "0.001", "0.0625", "0.03", "7"])
costs = st.dictionaries(
    st.sampled_from(["input", "cached_input", "output"]), st.integers(1, 10**18)
)


def test_the_worked_example_of_a_service_that_sells_credits() -> None:
    """$0.125 a million tokens, a cent a credit, half as much again: 18.75 credits a million."""
    charged = CENT.charged(Price(input=parse("0.125")))
    assert charged == Price(input=parse("0.1875"))
    assert CENT.shown(charged.rates["input"]) == "18.75"
    assert CENT.parse("18.75") == charged.input


def test_without_a_markup_prices_stay() -> None:
    price = Price(input=1)
    assert Credits().charged(price) is price


@given(st.integers(0, 10**20), worths)
def test_credits_are_exact_where_they_can_be(amount: int, worth: str) -> None:
    credits_ = Credits(usd_per_credit=parse(worth))
    exact = Fraction(amount, credits_.usd_per_credit)
    found = Fraction(credits_.shown(amount))
    if worth in {"0.03", "7"}:
        assert abs(found - exact) <= Fraction(1, 2 * 10**12)
    else:
        assert found == exact


@given(costs, worths)
def test_what_is_shown_of_parts_adds_up_to_what_is_shown_of_all(
    parts: dict[str, int], worth: str
) -> None:
    credits_ = Credits(usd_per_credit=parse(worth))
    found, total = credits_.receipt(parts)
    assert found.keys() == parts.keys()
    assert sum(map(Fraction, found.values())) == Fraction(total)
    if worth not in {"0.03", "7"}:
        assert Fraction(total) == Fraction(credits_.shown(sum(parts.values())))


def test_a_receipt_of_nothing_is_nothing() -> None:
    assert CENT.receipt({}) == ({}, Decimal(0))


def test_a_credit_of_a_picodollar_has_no_places() -> None:
    assert Credits(usd_per_credit=1).shown(100) == "100"


@given(st.integers(0, 10**18))
def test_a_credit_of_a_dollar_is_shown_as_dollars_are(amount: int) -> None:
    assert Credits(usd_per_credit=DOLLAR).shown(amount) == shown(amount)


def test_a_credit_that_is_worth_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="worth nothing"):
        Credits(usd_per_credit=0)
    with pytest.raises(ValueError, match="markup is -1/10"):
        Credits(markup=Fraction(-1, 10))
