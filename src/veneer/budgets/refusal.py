"""Refusals: what a caller is told whose call the money does not suffice for."""

from datetime import UTC, datetime
from math import ceil
from types import MappingProxyType

from veneer.dialects import Kind
from veneer.errors import Error
from veneer.facts import BudgetStanding
from veneer.prices import money

# Nobody is advised to wait longer than this, in seconds, for a period to end.
LONGEST_WAIT = 120

ADJECTIVES = MappingProxyType(
    {"hour": "hourly", "day": "daily", "week": "weekly", "month": "monthly"}
)
# How a caller is told what a budget is counted by, where it is not by all calls or in the host's
# own way.
NOUNS = MappingProxyType(
    {
        "key": "this key",
        "team": "this team",
        "user": "this user",
        "tag": "this tag",
        "model": "this model",
        "operation": "this operation",
        "peer": "this address",
    }
)

UNAVAILABLE = Error(
    Kind.LEDGER_UNAVAILABLE,
    "What this call costs cannot be recorded right now. Try again later.",
    headers=((b"retry-after", b"1"),),
)
NOT_PRICED = Error(
    Kind.MODEL_NOT_PRICED,
    "There is no price for this model, so it cannot be called here. Use another one.",
    param="model",
)


def refusal(standing: BudgetStanding, requested: int, at: float) -> Error:
    """Return the error of a call that a budget has too little left for.

    `requested` is what was to be held, in picodollars; `at` the time, in seconds since the epoch.
    Clients are told not to try again by themselves. `retry-after` (whole seconds, at least 1) is
    there only where the period ends within two minutes, and the next has room for such a call.
    Amounts are told where the policy discloses them.
    """
    nouns = [NOUNS[name] for name in standing.by if name in NOUNS]
    whose = f" of {' and '.join(nouns)}" if nouns else ""
    amounts = _amounts(standing, requested) if standing.disclosed else ""
    if standing.ends is None:
        sentence = f"The balance{whose} is too low for this call{amounts}."
        return Error(Kind.BALANCE_TOO_LOW, sentence)
    adjective = ADJECTIVES[standing.period]
    again = datetime.fromtimestamp(standing.ends, UTC).isoformat().replace("+00:00", "Z")
    sentence = (
        f"The {adjective} budget{whose} has too little left for this call{amounts}. It begins anew "
        f"at {again}."
    )
    wait = max(1, ceil(standing.ends - at))
    fits_then = requested <= (standing.limit or 0)
    headers = ((b"retry-after", b"%d" % wait),) if fits_then and wait < LONGEST_WAIT else ()
    return Error(Kind.BUDGET_EXHAUSTED, sentence, headers=headers)


def _amounts(standing: BudgetStanding, requested: int) -> str:
    limit, spent, held = (
        money.shown(amount) for amount in (standing.limit or 0, standing.spent, standing.held)
    )
    return (
        f": limit ${limit}, spent ${spent}, held for calls that run ${held}, needed up to "
        f"${money.shown(requested)}"
    )
