"""The notation of budgets: what it stands for, and what it does not take."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from veneer.budgets.notation import parse
from veneer.prices import money


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("20", 20 * 10**12),
        ("0.50", 5 * 10**11),
        ("20 USD", 20 * 10**12),
        (" 1  usd ", 10**12),
        ("0", 0),
        ("0.000000000001", 1),
        ("999999999999", 999999999999 * 10**12),
        ("unlimited", None),
        (" Unlimited ", None),
    ],
)
def test_a_budget_is_dollars_or_unlimited(text: str, amount: int | None) -> None:
    assert parse(text) == amount


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("", "''"),
        ("-1", "'-1'"),
        ("1e3", "'1e3'"),
        ("1,5", "'1,5'"),
        ("$5", "'$5'"),
        ("5 EUR", "'5 EUR'"),
        ("USD", "'USD'"),
        ("unlimited usd", "'unlimited usd'"),
        ("10/day", "'10/day'"),
        ("0.0000000000001", "'0.0000000000001'"),
        ("1000000000000", "'1000000000000'"),
        ("٣", r"'\u0663'"),
        ("1\n2", r"'1\n2'"),
        ("\0", r"'\x00'"),
        ("nan", "'nan'"),
        (5, "A int"),
        (0.5, "A float"),
        (None, "A NoneType"),
        (["5"], "A list"),
    ],
)
def test_what_is_none_is_shown_with_what_can_be(text: Any, shown: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(shown)} is no budget: give dollars as text"):
        parse(text)


def test_what_is_long_is_shown_in_part() -> None:
    with pytest.raises(ValueError, match=r"'9{199}\.\.\. is no budget"):
        parse("9" * 10**6)


@given(st.integers(0, 10**24 - 1))
def test_every_amount_comes_back(amount: int) -> None:
    assert parse(money.shown(amount)) == amount


@given(st.text())
def test_any_text_is_an_amount_or_a_sentence(text: str) -> None:
    try:
        amount = parse(text)
    except ValueError as error:
        said = str(error)
    else:
        assert amount is None or amount >= 0
        return
    assert said.isprintable()
    assert len(said) < 500
