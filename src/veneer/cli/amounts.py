"""Amounts of money, as people read them."""

from veneer.prices import money

# Places after the point, which are enough for what thousands of calls come to.
PLACES = 4
_LEAST: int = money.DOLLAR // 10**PLACES


def dollars(amount: int) -> str:
    """Return picodollars as $1,234.5678; what would be shown as nothing, and is not, is told."""
    if 0 < amount < _LEAST:
        return f"<${money.shown(_LEAST)}"
    whole, _, rest = money.shown(amount, places=PLACES).partition(".")
    return f"${int(whole):,}.{rest}"
