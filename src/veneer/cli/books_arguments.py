"""What the commands take that read a ledger."""

from argparse import ArgumentParser, ArgumentTypeError, RawDescriptionHelpFormatter

USAGE = """\
Add up what calls came to, by team, key, user, model or day (UTC).

Times are dates, or dates with times, in UTC unless they say otherwise, or spans that are past, such
as 24h or 7d. A call belongs to the time at which it began. Its model is the one whose price was
charged, or else the one that answered, or else the one that was asked for.

In CSV, names that a spreadsheet would take for a formula have a ' before them, for they may be
anybody's own. JSON has them as they are. Amounts are exact dollars in both.
"""

VERIFY = """\
Check that a ledger adds up: the parts of each call's cost are its total, nothing is negative, what
is spent and held on each account is the sum of its calls, and no call is open of a process that is
no more. It may be in use meanwhile; where calls are open, their processes are watched for a while.

The exit code is 0 if nothing is wrong, 1 if anything is, 2 if that cannot be found out.
"""


def add_ledger_place(command: ArgumentParser) -> None:
    """Add the options that say where the ledger is."""
    command.add_argument(
        "--ledger",
        metavar="URL",
        help="the ledger: sqlite:///veneer-ledger.db, or env:|file: where its URL is",
    )
    command.add_argument(
        "--config", metavar="FILE", help="a veneer.toml whose [cost] names the ledger"
    )


def add_usage(usage: ArgumentParser) -> None:
    """Add the options of `veneer usage`."""
    usage.description = USAGE
    usage.formatter_class = RawDescriptionHelpFormatter
    usage.add_argument(
        "--by",
        choices=("team", "key", "user", "model", "day"),
        default="team",
        help="what calls are grouped by (%(default)s)",
    )
    usage.add_argument("--since", metavar="TIME", help="calls from then on (the first)")
    usage.add_argument("--until", metavar="TIME", help="calls before that (the last)")
    usage.add_argument(
        "--limit",
        metavar="N",
        type=_count,
        default=1000,
        help="lines at the most; one more adds up the others (%(default)s)",
    )
    form = usage.add_mutually_exclusive_group()
    form.add_argument("--csv", action="store_true", help="print CSV, for spreadsheets")
    form.add_argument("--json", action="store_true", help="print JSON, for programs")
    add_ledger_place(usage)


def add_ledger(ledger: ArgumentParser) -> None:
    """Add the actions of `veneer ledger`."""
    ledger.description = "Look after a ledger."
    actions = ledger.add_subparsers(dest="action", required=True, metavar="action")
    verify = actions.add_parser(
        "verify",
        help="check that all adds up",
        description=VERIFY,
        formatter_class=RawDescriptionHelpFormatter,
    )
    verify.add_argument(
        "--lease",
        metavar="TIME",
        default="30s",
        help="how long a process that lives may show no sign of it (%(default)s)",
    )
    verify.add_argument("--json", action="store_true", help="print JSON, for programs")
    add_ledger_place(verify)


def _count(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and 0 < len(text) <= 6 and int(text)):  # noqa: PLR2004 - a million lines are no report
        raise ArgumentTypeError(f"{text!r} is no number of lines: give 1 to 999999")
    return int(text)
