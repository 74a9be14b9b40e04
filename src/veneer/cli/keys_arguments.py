"""What `veneer keys` takes."""

from argparse import SUPPRESS, ArgumentParser, RawDescriptionHelpFormatter

KEYS = """\
Make and end the keys that callers show, in the store that `veneer serve` is given.

The store keeps digests of them, made under a pepper: a secret of your own that is kept elsewhere
(openssl rand -hex 32). So a key can be seen once, when it is made, and no store gives it away.
"""


def add_store(command: ArgumentParser) -> None:
    """Add the options that say where keys are kept."""
    command.add_argument(
        "--store", metavar="URL", help="where keys are kept: sqlite:///veneer.db, or env:|file:"
    )
    command.add_argument(
        "--pepper",
        metavar="env:NAME|file:PATH",
        help="where the pepper is, unless the configuration says so (env:VENEER_PEPPER)",
    )


def add_keys(keys: ArgumentParser) -> None:
    """Add the actions of `veneer keys`."""
    keys.description = KEYS
    keys.formatter_class = RawDescriptionHelpFormatter
    actions = keys.add_subparsers(dest="action", required=True, metavar="action")
    create = _action(actions.add_parser("create", help="make a key, and show it once"))
    _add_fields(create)
    _add_quiet(create)
    imported = _action(actions.add_parser("import", help="take over a key that exists already"))
    imported.add_argument(
        "--secret", metavar="env:NAME|file:PATH", help="where the key is (standard input)"
    )
    # For whoever gives the key itself: to be told, and not to see it again in an error.
    imported.add_argument("stray", nargs="*", help=SUPPRESS)
    _add_fields(imported)
    listed = _action(actions.add_parser("list", help="list keys"))
    listed.add_argument("--team", help="only the keys of this team")
    for name, help_text in (
        ("show", "show all that is known of a key"),
        ("rotate", "make a key like this one, which ends after an overlap"),
        ("revoke", "end a key now"),
    ):
        action = _action(actions.add_parser(name, help=help_text))
        action.add_argument("id", help="the key's id, such as key_01K...")
        if name == "rotate":
            action.add_argument(
                "--overlap", metavar="TIME", default="24h", help="how long both work (%(default)s)"
            )
            _add_quiet(action)


def _action(action: ArgumentParser) -> ArgumentParser:
    add_store(action)
    action.add_argument("--config", metavar="FILE", help="a veneer.toml whose [auth] says all this")
    action.add_argument("--json", action="store_true", help="print JSON, for programs")
    return action


def _add_quiet(action: ArgumentParser) -> None:
    action.add_argument(
        "--quiet", action="store_true", help="print the key and nothing else, for pipes"
    )


def _add_fields(action: ArgumentParser) -> None:
    action.add_argument("--name", required=True, help="what people call it")
    action.add_argument("--team", help="who pays")
    action.add_argument("--user", help="who acts")
    for name, help_text in (
        ("--scopes", "what it may do: read, write, full, admin (write)"),
        ("--operations", "the only operations it may use, such as embeddings"),
        ("--models", "patterns of the only models it may use"),
        ("--tags", "words that accounts can be split by"),
    ):
        action.add_argument(name, metavar="A,B", action="append", help=help_text)
    for name, help_text in (("--limit", "a rate limit"), ("--budget", "a budget")):
        action.add_argument(
            name, metavar="KEY=VALUE", action="append", help=f"{help_text} of its own; repeatable"
        )
    action.add_argument("--not-before", metavar="TIME", help="as 2026-01-31T09:00:00Z")
    ends = action.add_mutually_exclusive_group()
    ends.add_argument("--expires-at", metavar="TIME", help="as 2026-12-31T23:59:59Z")
    ends.add_argument("--expires-in", metavar="TIME", help="from now: 90d, 12h, 30m")
