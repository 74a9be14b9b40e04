"""`veneer usage`: what calls came to."""

import csv
import sys
from argparse import Namespace
from collections.abc import Awaitable, Sequence
from datetime import UTC, datetime

from veneer.admin.documents import AMOUNTS, usage_document
from veneer.books.books import Books, By, UsageLine
from veneer.books.grouping import added
from veneer.cli.amounts import dollars
from veneer.cli.books import asked
from veneer.cli.terminal import print_json, print_table, printable, shortened
from veneer.cli.times import past
from veneer.wiring import ConfigurationError

# Seconds: a million calls take two or so.
TIMEOUT = 600.0

# Columns of the table, by the fields that they show; the optional are left out where all is zero.
COLUMNS = {
    "calls": "CALLS",
    "failed": "FAILED",
    "abandoned": "ABANDONED",
    "estimated": "ESTIMATED",
    "open": "OPEN",
    "input_tokens": "INPUT",
    "cached_input_tokens": "CACHED",
    "output_tokens": "OUTPUT",
    "reasoning_tokens": "REASONING",
    "held": "HELD",
    "spent": "SPENT",
}
OPTIONAL = frozenset(
    ["abandoned", "estimated", "open", "cached_input_tokens", "reasoning_tokens", "held"]
)

# What spreadsheets take a formula for one by, also those of East Asia; see OWASP, CSV Injection.
_FORMULA = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")


def run(given: Namespace) -> int:
    """Print what calls came to; raises `ConfigurationError` where that cannot be found out."""
    now = datetime.now(UTC)
    since = None if given.since is None else past(given.since, now)
    until = None if given.until is None else past(given.until, now)
    if since is not None and until is not None and since >= until:
        raise ConfigurationError("--since is not before --until: nothing lies between.")

    def question(books: Books) -> Awaitable[list[UsageLine]]:
        return books.usage(given.by, since=since, until=until, limit=given.limit)

    lines = asked(given, question, timeout=TIMEOUT)
    if given.json:
        print_json([usage_document(line, given.by) for line in lines])
    elif given.csv:
        _print_csv(lines, given.by)
    elif lines:
        _print_lines(lines, given.by)
    else:
        print("There are no calls in this time.", file=sys.stderr)
    return 0


def _print_csv(lines: Sequence[UsageLine], by: By) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(usage_document(UsageLine(group=None), by))
    for line in lines:
        group, *numbers = usage_document(line, by).values()
        writer.writerow([_cell(group or ""), *numbers])


def _cell(text: str) -> str:
    """Return a text that a spreadsheet takes for nothing else, and a terminal does not obey."""
    shown = printable(text)
    return f"'{shown}" if shown.startswith(_FORMULA) else shown


def _print_lines(lines: Sequence[UsageLine], by: By) -> None:
    total = added(lines, len(lines))
    shown = [name for name in COLUMNS if name not in OPTIONAL or getattr(total, name)]
    rows = [[by.upper(), *(COLUMNS[name] for name in shown)]]
    rows += [[_label(line, by), *_numbers(line, shown)] for line in lines]
    rows.append(["total", *_numbers(total, shown)])
    print_table(rows, left=1)


def _label(line: UsageLine, by: By) -> str:
    if line.groups > 1:
        return f"({line.groups:,} {'earlier days' if by == 'day' else 'others'})"
    return "(none)" if line.group is None else shortened(line.group)


def _numbers(line: UsageLine, shown: Sequence[str]) -> list[str]:
    return [
        dollars(getattr(line, name)) if name in AMOUNTS else f"{getattr(line, name):,}"
        for name in shown
    ]
