"""Budget fields: how budgets stand, as each API says it on a response.

Amounts are told of budgets that are disclosed, and have a limit. Where several would be told in the
same field, the one with the least left is. OpenAI has no such fields.
"""

from collections.abc import Sequence
from types import MappingProxyType

from veneer.facts import BudgetStanding
from veneer.prices import money
from veneer.prices.credits import Credits

Fields = list[tuple[bytes, bytes]]

# A microdollar in picodollars.
MICRODOLLAR = money.DOLLAR // 10**6

TOTAL = "total"
# Auriko has fields for these, and words for what a budget is counted by.
PERIODS = MappingProxyType({"day": b"daily", "week": b"weekly", "month": b"monthly"})
SCOPES = MappingProxyType({"team": "workspace", "key": "api_key"})


def aurous_budget_fields(
    standings: Sequence[BudgetStanding], credits_: Credits, prefix: bytes = b"aurous"
) -> Fields:
    """Return the credits that are left of what is for all time, without what is held."""
    left = balance(standings)
    if left is None:
        return []
    return [(prefix + b"-credits-available", credits_.shown(left).encode())]


def auriko_budget_fields(standings: Sequence[BudgetStanding], _credits: Credits) -> Fields:
    """Return Auriko's fields: limits and spend in dollars, the balance in whole microdollars.

    A balance is rounded down. Of the budget that refused the call are told its period, if it has
    one, and what it is counted by.
    """
    fields: Fields = []
    for period, word in PERIODS.items():
        found = tightest(standings, period)
        if found is not None:
            limit, standing = found
            fields += (
                (b"x-budget-%b-limit" % word, money.shown(limit).encode()),
                (b"x-budget-%b-spend" % word, money.shown(standing.spent).encode()),
            )
    left = balance(standings)
    if left is not None:
        fields.append((b"x-credits-balance-microdollars", b"%d" % (left // MICRODOLLAR)))
    for standing in standings:
        if standing.exceeded:
            fields.append((b"x-budget-exceeded", b"true"))
            if standing.period in PERIODS:
                fields.append((b"x-budget-exceeded-period", PERIODS[standing.period]))
            scope = "+".join(SCOPES.get(name, name) for name in standing.by)
            fields.append((b"x-budget-exceeded-scope", scope.encode()))
            break
    return fields


def balance(standings: Sequence[BudgetStanding]) -> int | None:
    """Return the picodollars that are neither spent nor held of what is for all time.

    It is below 0 where calls cost more than was held for them. None where there is no such budget
    that may be told.
    """
    found = tightest(standings, TOTAL)
    if found is None:
        return None
    limit, standing = found
    return limit - standing.spent - standing.held


def tightest(standings: Sequence[BudgetStanding], period: str) -> tuple[int, BudgetStanding] | None:
    """Return the budget of a period that has the least left, and its limit.

    None where none of that period is disclosed and has a limit.
    """
    found = [
        (standing.limit, standing)
        for standing in standings
        if standing.period == period and standing.disclosed and standing.limit is not None
    ]
    return min(found, key=lambda each: each[0] - each[1].spent - each[1].held, default=None)


def billing_mode(standings: Sequence[BudgetStanding]) -> str:
    """Return what Aurous calls a caller that a budget for all time holds, or that none does."""
    held = any(each.period == TOTAL and each.limit is not None for each in standings)
    return "metered" if held else "exempt"
