"""The command line of `veneer`: see `COMMANDS`.

Each command is a module with a `run(arguments)` that returns the exit code; it is imported when it
is called for, so that `veneer --help` waits for none of them.
"""

import os
import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from types import MappingProxyType, ModuleType

from veneer.cli.arguments import parser
from veneer.wiring import ConfigurationError

# What could not be begun because of how it was asked for, as `argparse` and shells have it.
USAGE = 2
INTERRUPTED = 130
PIPE_BROKEN = 141

# The commands, and the module that each cannot do without beyond the base install.
COMMANDS = MappingProxyType(
    {
        "demo": "uvicorn",
        "serve": "uvicorn",
        "keys": "msgspec",
        "provider-keys": "msgspec",
        "check": "msgspec",
        "usage": "msgspec",
        "budgets": "msgspec",
        "ledger": "msgspec",
    }
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code.

    Each setting that cannot work is said in one sentence on standard error, and the code is 2.
    """
    given = parser().parse_args(arguments)
    try:
        code: int = _module(given.command).run(given)
        sys.stdout.flush()
    except ConfigurationError as error:
        for sentence in str(error).splitlines():
            print(f"veneer: {sentence}", file=sys.stderr)
        return USAGE
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # Python would complain once more when it flushes what nobody reads.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return PIPE_BROKEN
    return code


def _module(command: str) -> ModuleType:
    if find_spec(COMMANDS[command]) is None:
        raise ConfigurationError(
            f"veneer {command} needs the extra 'serve': pip install 'veneer[serve]'."
        )
    return import_module(f"veneer.cli.{command.replace('-', '_')}")
