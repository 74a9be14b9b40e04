"""What commands print: what others have named, times and tables for people, JSON for programs."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec

MAX_WIDTH = 40


def printable(text: str) -> str:
    """Return a text that a terminal shows as it is; what it would obey is escaped."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)


def shortened(text: str) -> str:
    """Return a text that is printable, and cut where it would leave no room for the others."""
    text = printable(text)
    return text if len(text) <= MAX_WIDTH else f"{text[: MAX_WIDTH - 1]}…"


def minute(at: datetime) -> str:
    """Return a time in UTC, without its seconds."""
    return f"{at:%Y-%m-%d %H:%M}Z"


def print_table(rows: Sequence[Sequence[str]], *, left: int) -> None:
    """Print rows of cells under each other, the first `left` columns to the left, others right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [
            cell.ljust(width) if number < left else cell.rjust(width)
            for number, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        print("  ".join(cells).rstrip())


def print_json(document: Any) -> None:
    """Print a document on a line."""
    print(msgspec.json.encode(document).decode())
