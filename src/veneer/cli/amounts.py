"""Text for people's terminals: amounts, counts, names of others, tables of them."""

from collections.abc import Sequence

from veneer.prices import money

MAX_WIDTH = 40
# Places after the point, which are enough for what thousands of calls come to.
PLACES = 4
_LEAST: int = money.DOLLAR // 10**PLACES


def dollars(amount: int) -> str:
    """Return picodollars as $1,234.5678; what would be shown as nothing, and is not, is told."""
    if 0 < amount < _LEAST:
        return f"<${money.shown(_LEAST)}"
    whole, _, rest = money.shown(amount, places=PLACES).partition(".")
    return f"${int(whole):,}.{rest}"


def printable(text: str) -> str:
    """Return a text that a terminal shows as it is; what it would obey is escaped."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)


def shortened(text: str) -> str:
    """Return a text that is printable, and cut where it would leave no room for numbers."""
    text = printable(text)
    return text if len(text) <= MAX_WIDTH else f"{text[: MAX_WIDTH - 1]}…"


def print_table(rows: Sequence[Sequence[str]], *, left: int = 1) -> None:
    """Print rows of cells under each other, the first `left` columns to the left, others right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [
            cell.ljust(width) if number < left else cell.rjust(width)
            for number, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        print("  ".join(cells).rstrip())
