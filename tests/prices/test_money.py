"""Money: whole picodollars."""

from decimal import Decimal, localcontext
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from veneer.prices.money import DOLLAR, MOST, half_even, parse, point, shown

amounts = st.integers(min_value=0, max_value=10**24 - 1)


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("0", 0),
        ("1", DOLLAR),
        ("0.15", 150_000_000_000),
        ("007.50", 7 * DOLLAR + DOLLAR // 2),
        ("0.000000000001", 1),
        ("999999999999.999999999999", 10**24 - 1),
    ],
)
def test_an_amount_of_dollars_is_read_exactly(text: str, amount: int) -> None:
    assert parse(text) == amount


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".5",
        "5.",
        "-1",
        "+1",
        "1e3",
        "0,15",
        "$1",
        " 1",
        "1\n",
        "1_000",
        "nan",
        "inf",
        "٣",
        "0.0000000000001",
        "1" * 13,
        "9" * 100_000,
    ],
)
def test_what_is_no_amount_is_refused_in_a_short_sentence(text: str) -> None:
    with pytest.raises(ValueError, match="is no amount: give dollars") as caught:
        parse(text)
    assert len(str(caught.value)) < 120


@given(amounts)
def test_what_is_shown_is_read_back(amount: int) -> None:
    assert parse(shown(amount)) == amount


@given(amounts, st.integers(min_value=1, max_value=12))
def test_the_decimal_context_of_the_host_changes_nothing(amount: int, digits: int) -> None:
    exact = shown(amount)
    with localcontext() as context:
        context.prec = digits
        assert shown(amount) == exact
        assert parse(exact) == amount


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        (0, "0"),
        (DOLLAR, "1"),
        (10 * DOLLAR, "10"),
        (-DOLLAR // 4, "-0.25"),
        (-1, "-0.000000000001"),
        (MOST, "1000000"),
        (10**40, "1" + 28 * "0"),
    ],
)
def test_amounts_are_shown_without_needless_places(amount: int, text: str) -> None:
    assert shown(amount) == text


@pytest.mark.parametrize(
    ("amount", "places", "text"),
    [
        (DOLLAR, 2, "1.00"),
        (DOLLAR // 8, 2, "0.12"),
        (3 * DOLLAR // 8, 2, "0.38"),
        (DOLLAR // 2, 0, "0"),
        (3 * DOLLAR // 2, 0, "2"),
        (-DOLLAR // 8, 2, "-0.12"),
        (1, 12, "0.000000000001"),
        (1, 14, "0.00000000000100"),
    ],
)
def test_places_are_rounded_half_even(amount: int, places: int, text: str) -> None:
    assert shown(amount, places=places) == text


@given(st.integers(), st.integers(min_value=0, max_value=30))
def test_units_are_pointed_where_they_should_be(units: int, places: int) -> None:
    assert Fraction(point(units, places)) == Fraction(units, 10**places)


@given(st.integers(), st.integers(min_value=1))
def test_half_even_is_the_rounding_of_fractions(number: int, divisor: int) -> None:
    assert half_even(number, divisor) == round(Fraction(number, divisor))


@pytest.mark.parametrize(("number", "nearest"), [(1, 0), (3, 2), (5, 2), (7, 4), (-1, 0), (-3, -2)])
def test_of_two_that_are_as_near_the_even_one_is_taken(number: int, nearest: int) -> None:
    assert half_even(number, 2) == nearest


def test_what_is_read_and_made_is_a_whole_number() -> None:
    assert type(parse("0.15")) is int
    assert type(half_even(7, 2)) is int
    assert Decimal(shown(parse("0.15"))) == Decimal("0.15")
