"""Balances: what each API answers whoever asks how they stand."""

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.dialects.test_budgets import CREDITS, EVERY, standing
from veneer.dialects import OPENAI
from veneer.dialects.auriko import auriko
from veneer.dialects.aurous import aurous
from veneer.dialects.balances import auriko_balance, aurous_balance, openai_balance
from veneer.facts import BudgetStanding
from veneer.prices.credits import Credits
from veneer.prices.money import DOLLAR

HIDDEN = standing("month", "10", disclosed=False, ends=2_000_000_000, by=("team", "tag"))


def read(body: bytes) -> Any:
    """Return a document with its numbers as they are written."""
    return json.loads(body, parse_float=Decimal)


def test_ours_has_every_budget_in_dollars() -> None:
    assert OPENAI.balance is openai_balance
    spent = standing("day", "10", spent="9.500000000001", held="0.25", ends=1_700_000_000)
    document = read(openai_balance([spent, standing("total", "1000", held="1.5")], CREDITS))
    assert document == {
        "object": "balance",
        "currency": "usd",
        "available": Decimal("0.249999999999"),
        "budgets": [
            {
                "budget": "day",
                "by": ["team"],
                "period": "day",
                "ends": 1_700_000_000,
                "limit": 10,
                "spent": Decimal("9.500000000001"),
                "held": Decimal("0.25"),
                "remaining": Decimal("0.249999999999"),
            },
            {
                "budget": "total",
                "by": ["team"],
                "period": "total",
                "ends": None,
                "limit": 1000,
                "spent": 0,
                "held": Decimal("1.5"),
                "remaining": Decimal("998.5"),
            },
        ],
    }


def test_ours_tells_no_amount_of_what_is_hidden_and_no_limit_where_there_is_none() -> None:
    document = read(openai_balance([HIDDEN, standing("hour", None, spent="3")], CREDITS))
    assert document["available"] is None
    hidden, unlimited = document["budgets"]
    assert hidden == {
        "budget": "month",
        "by": ["team", "tag"],
        "period": "month",
        "ends": 2_000_000_000,
    }
    assert (unlimited["limit"], unlimited["remaining"], unlimited["spent"]) == (None, None, 3)


def test_each_dialect_has_its_own() -> None:
    assert (aurous().balance, auriko().balance) == (aurous_balance, auriko_balance)


def test_nobody_with_a_budget_is_told_so() -> None:
    assert read(openai_balance([], CREDITS)) == {
        "object": "balance",
        "currency": "usd",
        "available": None,
        "budgets": [],
    }


def test_aurous_has_credits_those_held_and_those_left() -> None:
    assert read(aurous_balance(EVERY, CREDITS)) == {
        "credits": 98000,
        "held_credits": 150,
        "available_credits": 97850,
        "currency": "credit",
        "billing_mode": "metered",
    }
    dollars = Credits(usd_per_credit=DOLLAR)
    assert read(aurous_balance(EVERY, dollars))["held_credits"] == Decimal("1.5")


@pytest.mark.parametrize(
    ("standings", "mode"),
    [
        ([], "exempt"),
        (EVERY[:-1], "exempt"),
        ([standing("total", None)], "exempt"),
        ([standing("total", "5", disclosed=False)], "metered"),
    ],
)
def test_aurous_has_no_numbers_where_none_may_be_told(
    standings: list[BudgetStanding], mode: str
) -> None:
    document = read(aurous_balance(standings, CREDITS))
    assert document["billing_mode"] == mode
    names = ("credits", "held_credits", "available_credits")
    assert [document[name] for name in names] == [None, None, None]


def test_auriko_has_its_balance_and_its_budgets() -> None:
    document = read(auriko_balance([*EVERY, HIDDEN], CREDITS))
    assert document["credits_balance_microdollars"] == 978_500_000
    assert [budget["period"] for budget in document["budgets"]] == ["daily", "weekly", "monthly"]
    assert document["budgets"][0] == {
        "scope_type": "workspace",
        "period": "daily",
        "limit_usd": 10,
        "spend_usd": Decimal("9.5"),
        "enforce": True,
    }
    assert read(auriko_balance([], CREDITS)) == {
        "credits_balance_microdollars": None,
        "budgets": [],
    }


@given(
    amounts=st.tuples(*[st.integers(0, 10**24)] * 3),
    disclosed=st.booleans(),
    period=st.sampled_from(["hour", "day", "week", "month", "total"]),
)
def test_any_amounts_are_exact_and_told_only_where_disclosed(
    *, amounts: tuple[int, int, int], disclosed: bool, period: str
) -> None:
    limit, spent, held = amounts
    one = BudgetStanding(
        budget="b",
        by=("key",),
        period=period,
        ends=None,
        limit=limit,
        spent=spent,
        held=held,
        disclosed=disclosed,
    )
    [ours] = read(openai_balance([one], CREDITS))["budgets"]
    assert ("spent" in ours) is disclosed
    if disclosed:
        told = [int(Decimal(ours[name]) * DOLLAR) for name in ("limit", "spent", "held")]
        assert told == list(amounts)
        assert Decimal(ours["remaining"]) * DOLLAR == limit - spent - held
    aurous = read(aurous_balance([one], CREDITS))
    assert (aurous["credits"] is not None) is (disclosed and period == "total")
    auriko = read(auriko_balance([one], CREDITS))
    assert bool(auriko["budgets"]) is (disclosed and period in ("day", "week", "month"))
