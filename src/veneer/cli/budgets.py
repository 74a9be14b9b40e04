"""`veneer budgets`: how budgets stand, and limits that are set by hand."""

import sys
import time
from argparse import Namespace
from collections.abc import Awaitable, Mapping, Sequence
from datetime import UTC, datetime
from difflib import get_close_matches
from pathlib import Path

from veneer.admin.documents import budget_document
from veneer.books.books import MOST_BALANCES, Books
from veneer.books.overview import Line, Overview, overview
from veneer.budgets import notation
from veneer.budgets.policy import BudgetPolicy
from veneer.budgets.whose import ALL, partition_of, whose
from veneer.cli.amounts import dollars
from veneer.cli.books import asked
from veneer.cli.terminal import minute, print_json, print_table, printable, shortened
from veneer.config import load
from veneer.config.cost import build_policies
from veneer.ledger.entry import Limit
from veneer.prices import money
from veneer.wiring import ConfigurationError

# Seconds.
TIMEOUT = 15.0

NAMES = ("BUDGET", "WHOSE", "ENDS")
AMOUNTS = ("LIMIT", "SPENT", "HELD", "REMAINING")
UNKNOWN = "-"

Policies = Mapping[str, BudgetPolicy]


def run(given: Namespace) -> int:
    """Do what is asked of budgets; raises `ConfigurationError` where that cannot be done."""
    policies = None
    if given.config:
        policies = {policy.name: policy for policy in build_policies(load(Path(given.config)))}
    return ACTIONS[given.action](given, policies)


def list_budgets(given: Namespace, policies: Policies | None) -> int:
    """Print how all accounts stand."""
    known = [] if policies is None else policies.values()

    def question(books: Books) -> Awaitable[Overview]:
        return overview(books, known, time.time())

    found = asked(given, question, timeout=TIMEOUT)
    if given.json:
        print_json([budget_document(line) for line in found.lines])
    elif found.lines:
        print_table([(*NAMES, *AMOUNTS), *map(_row, found.lines)], left=len(NAMES))
    else:
        print("Nothing is counted yet, and no limit is set.", file=sys.stderr)
    if found.more:
        print(f"There are more: these are the first {MOST_BALANCES:,}.", file=sys.stderr)
    return 0


def set_limit(given: Namespace, policies: Policies | None) -> int:
    """Set a limit by hand."""
    try:
        amount = notation.parse(given.limit)
    except ValueError as error:
        raise ConfigurationError(str(error)) from None
    limit = Limit(given.name, _partition(given, policies), amount)

    async def question(books: Books) -> bool:
        await books.set_limit(limit)
        found = await books.budgets(time.time())
        return any(
            (each.account.budget, each.account.partition) == (limit.budget, limit.partition)
            for each in found
        )

    is_counted = asked(given, question, timeout=TIMEOUT)
    print(f"The limit of {_named(limit)} is {_limit(amount)} from the next call on.")
    if not is_counted:
        print("No call has been counted there in this period.", file=sys.stderr)
    return 0


def clear_limit(given: Namespace, policies: Policies | None) -> int:
    """Take back a limit that was set by hand."""
    limit = Limit(given.name, _partition(given, policies), None)

    def question(books: Books) -> Awaitable[bool]:
        return books.clear_limit(limit.budget, limit.partition)

    if not asked(given, question, timeout=TIMEOUT):
        raise ConfigurationError(f"no limit is set of {_named(limit)}.")
    print(f"The limit of {_named(limit)} is what it was before it was set.")
    return 0


ACTIONS = {"list": list_budgets, "set": set_limit, "clear": clear_limit}


def _partition(given: Namespace, policies: Policies | None) -> tuple[str, ...]:
    """Return whose limit is meant."""
    by = None
    if policies is not None:
        if given.name not in policies:
            raise ConfigurationError(_no_budget(given.name, policies))
        by = policies[given.name].partition
    who: dict[str, str] = {}
    for text in given.who:
        name, separator, value = text.partition("=")
        if not separator and name != ALL:
            raise ConfigurationError(f"{text!a} is nobody: say who is meant as team=acme.")
        if name in who:
            raise ConfigurationError(f"{name!a} is said twice: say it once.")
        who[name] = value
    try:
        return partition_of(who, by)
    except ValueError as error:
        raise ConfigurationError(f"budget {given.name!a}: {error}") from None


def _no_budget(name: str, policies: Policies) -> str:
    if not policies:
        return f"there is no budget {name!a}: the configuration has none."
    near = get_close_matches(name, policies, n=1)
    hint = f"did you mean {near[0]!a}?" if near else f"there are {', '.join(policies)}."
    return f"there is no budget {name!a}: {hint}"


def _row(line: Line) -> Sequence[str]:
    return (
        shortened(line.budget),
        " ".join(map(shortened, _said(line.partition))),
        _end(line),
        _limit_of(line),
        dollars(line.spent),
        dollars(line.held),
        UNKNOWN if line.remaining is None else _signed(line.remaining),
    )


def _limit_of(line: Line) -> str:
    if line.origin is None:
        return UNKNOWN
    return _limit(line.limit) + (" (set)" if line.origin == "set" else "")


def _limit(amount: int | None) -> str:
    return notation.UNLIMITED if amount is None else f"${money.shown(amount)}"


def _signed(amount: int) -> str:
    return f"-{dollars(-amount)}" if amount < 0 else dollars(amount)


def _end(line: Line) -> str:
    if line.ends is not None:
        return minute(datetime.fromtimestamp(line.ends, UTC))
    return UNKNOWN if line.starts is None else "never"


def _named(limit: Limit) -> str:
    return printable(f"{limit.budget} for {_who(limit.partition)}")


def _who(partition: tuple[str, ...]) -> str:
    return " ".join(_said(partition))


def _said(partition: tuple[str, ...]) -> list[str]:
    """Return whose account it is, as it is said on the command line."""
    said = [f"{name}={value}" for name, value in whose(partition).items() if name != ALL]
    return said or [ALL]
