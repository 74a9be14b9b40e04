"""What the commands take."""

import sys
from argparse import (
    Action,
    ArgumentParser,
    ArgumentTypeError,
    Namespace,
    RawDescriptionHelpFormatter,
)
from collections.abc import Sequence
from importlib import import_module
from typing import Any, NoReturn

from veneer.cli.books_arguments import add_ledger, add_usage
from veneer.cli.budgets_arguments import add_budgets
from veneer.cli.keys_arguments import add_keys, add_store
from veneer.cli.provider_keys_arguments import add_provider_keys

SERVE = """\
Serve the API of an OpenAI-compatible server through the layers.

Callers need a key. The first is made so, and served so:

  export VENEER_PEPPER=$(openssl rand -hex 32)     # keep it: keys are worth nothing without it
  veneer keys create --store sqlite:///veneer.db --name me
  veneer serve --store sqlite:///veneer.db --upstream URL

Without keys, whoever reaches the port may call, at the expense of the upstream key: --no-auth says
that this is meant.
"""


class Parser(ArgumentParser):
    """A parser that answers a wrong argument with one sentence."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong and how to learn more; exit with 2."""
        self.exit(2, f"{self.prog}: {message}. See {self.prog} --help.\n")


class Version(Action):
    """Prints the version; finding it out takes longer than the rest of the parser."""

    def __call__(
        self,
        parser: ArgumentParser,
        namespace: Namespace,  # noqa: ARG002 - argparse's signature
        values: str | Sequence[Any] | None,  # noqa: ARG002 - as above
        option_string: str | None = None,  # noqa: ARG002 - as above
    ) -> NoReturn:
        """Print and exit."""
        metadata = import_module("importlib.metadata")
        sys.stdout.write(f"veneer {metadata.version('veneer')}\n")
        parser.exit()


def parser() -> ArgumentParser:
    """Return the parser of the whole command line."""
    root = Parser(
        prog="veneer",
        description="Put the layers of a commercial API over any OpenAI-compatible model server.",
    )
    root.add_argument("--version", action=Version, nargs=0, help="print the version and exit")
    commands = root.add_subparsers(dest="command", required=True, metavar="command")
    _add_demo(commands.add_parser("demo", help="try it: the layers around a demo model"))
    _add_serve(
        commands.add_parser(
            "serve",
            help="serve a model server's API through the layers",
            description=SERVE,
            formatter_class=RawDescriptionHelpFormatter,
        )
    )
    add_keys(commands.add_parser("keys", help="make, list and end the keys of callers"))
    add_provider_keys(
        commands.add_parser("provider-keys", help="keep keys of callers' own for providers")
    )
    add_usage(commands.add_parser("usage", help="add up what calls came to"))
    add_budgets(commands.add_parser("budgets", help="show how budgets stand, and set limits"))
    add_ledger(commands.add_parser("ledger", help="check a ledger"))
    _add_check(commands.add_parser("check", help="validate a veneer.toml"))
    return root


def _add_demo(demo: ArgumentParser) -> None:
    demo.description = "Serve a small deterministic demo model with the layers around it."
    demo.add_argument("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    demo.add_argument(
        "--port", type=int, help="port to listen on (8080, or a free one where that is taken)"
    )
    demo.add_argument(
        "--prompt-cache", action="store_true", help="tell which tokens of prompts it read before"
    )
    demo.add_argument(
        "--prefill-tps",
        type=_tokens_per_second,
        metavar="N",
        help="tokens of prompts that it reads a second, those aside (no time)",
    )


def _tokens_per_second(text: str) -> float:
    number = float(text)
    if not number > 0:
        raise ArgumentTypeError(f"{text} is not above 0")
    return number


def _add_serve(serve: ArgumentParser) -> None:
    serve.add_argument("--upstream", metavar="URL", help="base URL, as http://localhost:8000/v1")
    serve.add_argument("--config", metavar="FILE", help="a veneer.toml; flags stand above it")
    serve.add_argument("--host", help="address to listen on (127.0.0.1)")
    serve.add_argument("--port", type=int, help="port to listen on (8080; 0 takes a free one)")
    serve.add_argument("--workers", type=int, metavar="N", help="processes on the port (1)")
    serve.add_argument(
        "--api-key",
        metavar="env:NAME|file:PATH",
        help="where the upstream's key is; without it, the client's own goes through (--no-auth)",
    )
    serve.add_argument("--log-format", choices=("text", "json"), help="form of the log (text)")
    add_store(serve)
    serve.add_argument("--no-auth", action="store_true", help="ask callers for no key")


def _add_check(check: ArgumentParser) -> None:
    check.description = "Say what is wrong with a configuration; read its secrets, show none."
    check.add_argument("file", nargs="?", help="the file to check (veneer.toml)")
    check.add_argument(
        "--options", action="store_true", help="print the reference of all options and exit"
    )
