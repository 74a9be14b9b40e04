"""Crossings to tell, and the accounts that they are of."""

from veneer.budgets.thresholds import Crossing
from veneer.ledger.entry import Account, Moved
from veneer.prices.money import DOLLAR

# November 2023.
STARTS, ENDS = 1_698_796_800, 1_701_388_800


def account(limit: int | None = 100, *, budget: str = "month", team: str = "acme") -> Account:
    """Return the account of a team in November, with a limit in picodollars."""
    return Account(budget, ("team", team), STARTS, ENDS, limit)


def moved(before: int, after: int, limit: int | None = 100, *, budget: str = "month") -> Moved:
    """Return a movement on that account."""
    return Moved(account(limit, budget=budget), before, after)


def crossing(threshold: float = 0.8, *, team: str = "acme") -> Crossing:
    """Return the crossing of a threshold of 20 dollars, with 16.02 spent."""
    return Crossing(
        budget="month",
        partition=("team", team),
        by=("team",),
        period="month",
        starts=STARTS,
        ends=ENDS,
        threshold=threshold,
        limit=20 * DOLLAR,
        spent=1602 * DOLLAR // 100,
    )
