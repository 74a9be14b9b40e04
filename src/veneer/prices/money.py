"""Money: whole picodollars, of which a dollar has 10**12; nothing is ever a float."""

import re
from decimal import Decimal
from fractions import Fraction

DOLLAR = 10**12

# A call that costs more than this is a mistake; it also fits where 64 bits are all there is.
MOST = 1_000_000 * DOLLAR

_AMOUNT = re.compile(r"[0-9]{1,12}(\.[0-9]{1,12})?")


def parse(text: str) -> int:
    """Return the picodollars of an amount of dollars, such as `"0.15"`.

    Raises ValueError for anything but digits with at most 12 after the point.
    """
    if _AMOUNT.fullmatch(text) is None:
        raise ValueError(f"{text[:40]!r} is no amount: give dollars, such as '0.15'.")
    return int(Decimal(text) * DOLLAR)


def shown(amount: int, *, places: int | None = None) -> str:
    """Return an amount in dollars as digits: exactly, or rounded half-even to some places."""
    exact = Decimal(amount).scaleb(-12)
    if places is not None:
        exact = round(exact, places)
    text = f"{exact:f}"
    return text.rstrip("0").rstrip(".") if "." in text and places is None else text


def rounded(exact: Fraction) -> int:
    """Return the whole number that is nearest; of two that are, the even one."""
    return round(exact)
