"""Budget fields: what each API says of the same standings."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from veneer.dialects import OPENAI
from veneer.dialects.budgets import auriko_budget_fields, aurous_budget_fields, balance
from veneer.facts import BudgetStanding
from veneer.prices.credits import Credits
from veneer.prices.money import DOLLAR

CREDITS = Credits()


def standing(period: str = "day", limit: str | None = "10", **members: Any) -> BudgetStanding:
    """Return a disclosed budget of a team, with its amounts in dollars."""
    dollars = {"spent": "0", "held": "0", "limit": limit}
    dollars |= {name: members.pop(name) for name in ("spent", "held") if name in members}
    amounts = {
        name: None if text is None else int(Decimal(text) * DOLLAR)
        for name, text in dollars.items()
    }
    known: dict[str, Any] = {"budget": period, "by": ("team",), "ends": None, "disclosed": True}
    return BudgetStanding(**{**known, "period": period, **amounts, **members})


EVERY = [
    standing("hour", "1"),
    standing("day", "10", spent="9.5", held="0.25"),
    standing("week", "50", spent="20"),
    standing("month", "200.5", spent="20.000000000001"),
    standing("total", "1000", spent="20", held="1.5"),
]


def test_openai_has_none() -> None:
    assert OPENAI.budget_fields is None


def test_auriko_has_its_periods_and_its_balance() -> None:
    assert auriko_budget_fields(EVERY, CREDITS) == [
        (b"x-budget-daily-limit", b"10"),
        (b"x-budget-daily-spend", b"9.5"),
        (b"x-budget-weekly-limit", b"50"),
        (b"x-budget-weekly-spend", b"20"),
        (b"x-budget-monthly-limit", b"200.5"),
        (b"x-budget-monthly-spend", b"20.000000000001"),
        (b"x-credits-balance-microdollars", b"978500000"),
    ]
    assert auriko_budget_fields([], CREDITS) == []


def test_aurous_has_the_credits_that_are_left() -> None:
    assert aurous_budget_fields(EVERY, CREDITS) == [(b"aurous-credits-available", b"97850")]
    assert aurous_budget_fields(EVERY[:-1], CREDITS) == []


@pytest.mark.parametrize("write", [aurous_budget_fields, auriko_budget_fields])
@pytest.mark.parametrize("members", [{"disclosed": False}, {"limit": None}])
def test_what_may_not_be_told_or_has_no_limit_has_no_fields(
    write: Any, members: dict[str, Any]
) -> None:
    hidden = [standing(period, **members) for period in ("day", "week", "month", "total")]
    assert write(hidden, CREDITS) == []


def test_of_two_budgets_the_one_with_less_left_is_told() -> None:
    wide = standing("day", "100", spent="50")
    tight = standing("day", "60", spent="10", held="20")
    for both in ([wide, tight], [tight, wide]):
        assert auriko_budget_fields(both, CREDITS) == [
            (b"x-budget-daily-limit", b"60"),
            (b"x-budget-daily-spend", b"10"),
        ]


@pytest.mark.parametrize(
    ("by", "scope"),
    [
        (("team",), b"workspace"),
        (("key",), b"api_key"),
        (("user",), b"user"),
        (("team", "model"), b"workspace+model"),
    ],
)
@pytest.mark.parametrize(
    ("period", "word"), [("day", b"daily"), ("week", b"weekly"), ("month", b"monthly")]
)
def test_auriko_tells_which_budget_refused(
    by: tuple[str, ...], scope: bytes, period: str, word: bytes
) -> None:
    refused = standing(period, by=by, exceeded=True, disclosed=False)
    assert auriko_budget_fields([refused], CREDITS) == [
        (b"x-budget-exceeded", b"true"),
        (b"x-budget-exceeded-period", word),
        (b"x-budget-exceeded-scope", scope),
    ]


@pytest.mark.parametrize("period", ["hour", "total"])
def test_auriko_has_no_word_for_other_periods(period: str) -> None:
    refused = standing(period, exceeded=True, disclosed=False)
    assert auriko_budget_fields([refused], CREDITS) == [
        (b"x-budget-exceeded", b"true"),
        (b"x-budget-exceeded-scope", b"workspace"),
    ]


def test_a_balance_may_be_below_nothing_and_is_rounded_down() -> None:
    over = [standing("total", "1", spent="1.0000005")]
    assert balance(over) == -500_000
    assert dict(auriko_budget_fields(over, CREDITS))[b"x-credits-balance-microdollars"] == b"-1"
    assert aurous_budget_fields(over, CREDITS) == [(b"aurous-credits-available", b"-0.00005")]


@given(
    st.lists(
        st.builds(
            BudgetStanding,
            budget=st.just("b"),
            by=st.lists(
                st.sampled_from(["key", "team", "own"]), min_size=1, max_size=3, unique=True
            ).map(tuple),
            period=st.sampled_from(["hour", "day", "week", "month", "total"]),
            ends=st.none(),
            limit=st.none() | st.integers(0, 10**24),
            spent=st.integers(0, 10**24),
            held=st.integers(0, 10**24),
            exceeded=st.booleans(),
            disclosed=st.booleans(),
        ),
        max_size=6,
    )
)
def test_any_standings_make_fields_that_stand_once(standings: list[BudgetStanding]) -> None:
    for write in (aurous_budget_fields, auriko_budget_fields):
        fields = write(standings, CREDITS)
        names = [name for name, _ in fields]
        assert len(set(names)) == len(names)
        for name, value in fields:
            assert name == name.lower()
            assert value.decode("ascii").isprintable()
        exceeded = b"x-budget-exceeded" in names
        if write is auriko_budget_fields:
            assert exceeded is any(one.exceeded for one in standings)


def test_the_brand_is_in_aurous_field() -> None:
    [(name, _)] = aurous_budget_fields(EVERY, CREDITS, b"acme")
    assert name == b"acme-credits-available"
