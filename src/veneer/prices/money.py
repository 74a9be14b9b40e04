"""Money: whole picodollars, of which a dollar has 10**12; nothing is ever a float.

All of it is arithmetic of whole numbers, so that it does not depend on the host's decimal context.
"""

import re

PLACES = 12
DOLLAR: int = 10**PLACES

# A call that costs more than this is a mistake; it also fits where 64 bits are all there is.
MOST = 1_000_000 * DOLLAR

AMOUNT = r"[0-9]{1,12}(\.[0-9]{1,12})?"
_AMOUNT = re.compile(AMOUNT)


def parse(text: str) -> int:
    """Return the picodollars of an amount of dollars, such as `"0.15"`.

    Raises ValueError for anything but digits with at most 12 after the point.
    """
    if _AMOUNT.fullmatch(text) is None:
        raise ValueError(f"{text[:40]!r} is no amount: give dollars, such as '0.15'.")
    whole, _, rest = text.partition(".")
    return int(whole) * DOLLAR + int(rest.ljust(PLACES, "0"))


def shown(amount: int, *, places: int | None = None) -> str:
    """Return an amount in dollars as digits: exactly, or rounded half-even to some places."""
    if places is None:
        sign, amount = ("-", -amount) if amount < 0 else ("", amount)
        whole, rest = divmod(amount, DOLLAR)
        return f"{sign}{whole}.{rest:012d}".rstrip("0") if rest else f"{sign}{whole}"
    if places <= PLACES:
        return point(half_even(amount, 10 ** (PLACES - places)), places)
    return point(amount * 10 ** (places - PLACES), places)


def point(units: int, places: int) -> str:
    """Return a number of units of which 10**places are one, with all of its places."""
    sign = "-" if units < 0 else ""
    digits = str(abs(units)).rjust(places + 1, "0")
    return f"{sign}{digits[:-places]}.{digits[-places:]}" if places else f"{sign}{digits}"


def half_even(number: int, divisor: int) -> int:
    """Return the whole number nearest to a quotient; of two that are, the even one."""
    quotient, rest = divmod(number, divisor)
    twice = 2 * rest
    if twice > divisor or (twice == divisor and quotient & 1):
        return quotient + 1
    return quotient
