"""`veneer ledger`: looks after a ledger."""

from argparse import Namespace
from collections.abc import Awaitable

from veneer.books.books import Books, Findings
from veneer.cli.books import asked
from veneer.cli.terminal import print_json, printable
from veneer.cli.times import duration
from veneer.wiring import ConfigurationError

# Seconds: a million calls take five or so.
TIMEOUT = 3600.0

WRONG = 1


def run(given: Namespace) -> int:
    """Do what is asked of the ledger; raises `ConfigurationError` where that cannot be done."""
    return ACTIONS[given.action](given)


def verify(given: Namespace) -> int:
    """Check that a ledger adds up, and print what is wrong."""
    lease = duration(given.lease).total_seconds()
    if not 0 < lease <= TIMEOUT / 2:
        raise ConfigurationError(f"--lease {given.lease}: give a length of time up to 30m.")

    def question(books: Books) -> Awaitable[Findings]:
        return books.verify(lease=lease)

    findings = asked(given, question, timeout=TIMEOUT)
    if given.json:
        print_json(findings)
    else:
        _print_findings(findings)
    return WRONG if findings.found else 0


ACTIONS = {"verify": verify}


def _print_findings(findings: Findings) -> None:
    print(f"calls     {findings.rows:,}, of which {findings.open:,} are open")
    print(f"accounts  {findings.accounts:,}")
    for finding in findings.wrong:
        print(f"wrong     {printable(finding.text)}")
    more = findings.found - len(findings.wrong)
    if more:
        print(f"wrong     and {more:,} more")
    if not findings.found:
        print("All adds up: parts to costs, calls to accounts. No call is open of a dead process.")
