"""Limits that operators set: what can be one."""

from veneer.budgets.policy import MAX_NAME
from veneer.ledger.columns import LONGEST
from veneer.ledger.entry import Limit

# Picodollars: what can be said in a configuration is below.
MOST = 10**24
MOST_PARTS = 16


def check(limit: Limit) -> None:
    """Raise ValueError where a limit is of no budget, for nobody or of no amount."""
    name, amount = limit.budget, limit.amount
    if not (0 < len(name) <= MAX_NAME and name.isascii() and name.isprintable()):
        raise ValueError(
            f"A budget's name is of 1 to {MAX_NAME} printable ASCII characters, not "
            f"{name[:MAX_NAME]!a}."
        )
    if amount is not None and not 0 <= amount <= MOST:
        raise ValueError(f"A limit is of 0 to {MOST} picodollars, not {amount}.")
    if len(limit.partition) > MOST_PARTS or any(
        len(part) > LONGEST or "\0" in part for part in limit.partition
    ):
        raise ValueError(
            f"A partition has at most {MOST_PARTS} parts of {LONGEST} characters, none of them NUL."
        )
