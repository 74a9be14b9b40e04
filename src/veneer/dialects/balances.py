"""Balances: how a caller stands under its budgets, as the body of an answer of each API.

Amounts are written as the decimal numbers that they are, never through a float, and only those of
budgets that are disclosed.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from veneer.dialects.budgets import (
    MICRODOLLAR,
    PERIODS,
    SCOPES,
    TOTAL,
    balance,
    billing_mode,
    tightest,
)
from veneer.facts import BudgetStanding
from veneer.prices import money
from veneer.prices.credits import Credits


def openai_balance(standings: Sequence[BudgetStanding], _credits: Credits) -> bytes:
    """Return a document of our own, for OpenAI has none: every budget, with amounts in dollars.

    `available` is the least that remains of any, None where none tells. A budget that is not
    disclosed has no amounts at all; the `limit` of one that refuses nothing is null.
    """
    remaining = [
        left
        for standing in standings
        if standing.disclosed and (left := _remaining(standing)) is not None
    ]
    document = {
        "object": "balance",
        "currency": "usd",
        "available": _dollars(min(remaining, default=None)),
        "budgets": [_budget(standing) for standing in standings],
    }
    return msgspec.json.encode(document)


def aurous_balance(standings: Sequence[BudgetStanding], credits_: Credits) -> bytes:
    """Return Aurous' document: the credits of what is for all time, and those of them held.

    Who has no such budget is `exempt`; who has one that is not disclosed is `metered`, and without
    numbers, as who is exempt.
    """
    found = tightest(standings, TOTAL)
    amounts: tuple[int | None, int | None, int | None] = (None, None, None)
    if found is not None:
        limit, standing = found
        credit = limit - standing.spent
        amounts = (credit, standing.held, credit - standing.held)
    names = ("credits", "held_credits", "available_credits")
    document: dict[str, Any] = {
        name: None if amount is None else msgspec.Raw(credits_.shown(amount).encode())
        for name, amount in zip(names, amounts, strict=True)
    }
    document["currency"] = "credit"
    document["billing_mode"] = billing_mode(standings)
    return msgspec.json.encode(document)


def auriko_balance(standings: Sequence[BudgetStanding], _credits: Credits) -> bytes:
    """Return what Auriko's fields tell, as a document, with budgets in the words of its own.

    The balance is in whole microdollars, rounded down, null where there is none that may be told.
    Only budgets by day, week and month are listed, for those are all that Auriko has.
    """
    left = balance(standings)
    document = {
        "credits_balance_microdollars": None if left is None else left // MICRODOLLAR,
        "budgets": [
            {
                "scope_type": "+".join(SCOPES.get(name, name) for name in standing.by),
                "period": PERIODS[standing.period].decode(),
                "limit_usd": _dollars(standing.limit),
                "spend_usd": _dollars(standing.spent),
                "enforce": True,
            }
            for standing in standings
            if standing.disclosed and standing.limit is not None and standing.period in PERIODS
        ],
    }
    return msgspec.json.encode(document)


def _budget(standing: BudgetStanding) -> dict[str, Any]:
    members: dict[str, Any] = {
        "budget": standing.budget,
        "by": standing.by,
        "period": standing.period,
        "ends": standing.ends,
    }
    if standing.disclosed:
        members |= {
            "limit": _dollars(standing.limit),
            "spent": _dollars(standing.spent),
            "held": _dollars(standing.held),
            "remaining": _dollars(_remaining(standing)),
        }
    return members


def _remaining(standing: BudgetStanding) -> int | None:
    if standing.limit is None:
        return None
    return standing.limit - standing.spent - standing.held


def _dollars(amount: int | None) -> msgspec.Raw | None:
    return None if amount is None else msgspec.Raw(money.shown(amount).encode())
