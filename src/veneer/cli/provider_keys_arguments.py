"""What `veneer provider-keys` takes."""

from argparse import SUPPRESS, ArgumentParser, RawDescriptionHelpFormatter

PROVIDER_KEYS = """\
Keep the keys that callers have of their own for providers ([[targets]] with own_keys).

They are sealed under a secret of yours that is kept elsewhere (openssl rand -hex 32), so that the
store gives none away; nor does any command here. Of a caller, its own keys go before its team's.
"""


def add_provider_keys(provider_keys: ArgumentParser) -> None:
    """Add the actions of `veneer provider-keys`."""
    provider_keys.description = PROVIDER_KEYS
    provider_keys.formatter_class = RawDescriptionHelpFormatter
    actions = provider_keys.add_subparsers(dest="action", required=True, metavar="action")
    put = _action(actions.add_parser("set", help="keep a key, in place of the one before"))
    _add_whose(put, required=True)
    put.add_argument("--provider", metavar="TARGET", required=True, help="the target it is for")
    put.add_argument(
        "--value", metavar="env:NAME|file:PATH", help="where the key is (standard input)"
    )
    # For whoever gives the key itself: to be told, and not to see it again in an error.
    put.add_argument("stray", nargs="*", help=SUPPRESS)
    listed = _action(actions.add_parser("list", help="list whose keys there are, for whom"))
    _add_whose(listed, required=False)
    deleted = _action(actions.add_parser("delete", help="forget a key"))
    _add_whose(deleted, required=True)
    deleted.add_argument("--provider", metavar="TARGET", required=True, help="the target it is for")
    _action(actions.add_parser("reseal", help="seal all keys under the first secret"))


def _action(action: ArgumentParser) -> ArgumentParser:
    action.add_argument(
        "--store", metavar="URL", help="where keys are kept: sqlite:///veneer.db, or env:|file:"
    )
    action.add_argument(
        "--secret",
        metavar="env:NAME|file:PATH",
        action="append",
        help="where the secret is that seals, unless the configuration says so; repeatable: the "
        "first seals, all open (env:VENEER_OWN_KEYS_SECRET)",
    )
    action.add_argument(
        "--config", metavar="FILE", help="a veneer.toml whose [own_keys] says all this"
    )
    action.add_argument("--json", action="store_true", help="print JSON, for programs")
    return action


def _add_whose(action: ArgumentParser, *, required: bool) -> None:
    whose = action.add_mutually_exclusive_group(required=required)
    whose.add_argument("--team", help="the team whose it is")
    whose.add_argument("--key", metavar="ID", help="or the id of the one key whose holder's it is")
