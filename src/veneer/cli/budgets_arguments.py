"""What `veneer budgets` takes."""

from argparse import ArgumentParser, RawDescriptionHelpFormatter

from veneer.cli.books_arguments import add_ledger_place

BUDGETS = """\
Show how budgets stand, and set limits by hand, which go before those in the configuration and those
of keys. They count from the next call on, in all processes that share the ledger.
"""

SET = """\
Set the limit of a budget for one of those it is counted for, in all of its periods:

  veneer budgets set month team=acme 50 --config veneer.toml
  veneer budgets set day key=key_01K... model=gpt-4o 0.50 --config veneer.toml
  veneer budgets set total unlimited --config veneer.toml      # a budget of all calls together

WHO is said by what the budget goes by. Who has no team, or no user, is counted by the key, and who
has no key by the address: peer=10.0.0.7. Without a configuration nobody knows what a budget goes
by: then the order counts.
"""


def add_budgets(budgets: ArgumentParser) -> None:
    """Add the actions of `veneer budgets`."""
    budgets.description = BUDGETS
    budgets.formatter_class = RawDescriptionHelpFormatter
    actions = budgets.add_subparsers(dest="action", required=True, metavar="action")
    listed = actions.add_parser("list", help="show how all accounts stand in this period")
    listed.description = (
        "Show how all accounts stand in this period. With --config the limits in it are known; "
        "those that keys have of their own never are."
    )
    listed.add_argument("--json", action="store_true", help="print JSON, for programs")
    add_ledger_place(listed)
    placed = actions.add_parser(
        "set",
        help="set the limit of somebody",
        description=SET,
        formatter_class=RawDescriptionHelpFormatter,
    )
    _add_whose(placed)
    placed.add_argument("limit", metavar="LIMIT", help="dollars, as 20 or 0.50, or unlimited")
    add_ledger_place(placed)
    cleared = actions.add_parser("clear", help="take back a limit that was set")
    _add_whose(cleared)
    add_ledger_place(cleared)


def _add_whose(action: ArgumentParser) -> None:
    action.add_argument("name", metavar="NAME", help="the budget's name")
    action.add_argument("who", metavar="WHO", nargs="*", help="whose, as team=acme")
