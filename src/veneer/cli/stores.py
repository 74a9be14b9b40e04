"""The store that a command line names, used for one action."""

import asyncio
from argparse import Namespace
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any

from veneer.config import load, parse
from veneer.stores.unavailable import StoreUnavailableError
from veneer.wiring import ConfigurationError

# Seconds: a person waits longer than a call does, for the writes of others or for new tables.
TIMEOUT = 15.0

# What is done, by what was given and the table of the configuration that names the store.
Action = Callable[[Namespace, Any], Coroutine[Any, Any, None]]


def with_store(
    given: Namespace, table: str, said: Mapping[str, Any], actions: Mapping[str, Action]
) -> int:
    """Do what is asked of a store, and return the exit code.

    `table` is the one that names the store in the configuration, if one is given; `said` are the
    tables that the command line stands for, which go before it. Raises `ConfigurationError` where
    none is named, or what is asked cannot be done.
    """
    config = load(Path(given.config), said) if given.config else parse({}, said)
    found = getattr(config, table)
    if found.store is None:
        raise ConfigurationError(
            "no store is named: give --store sqlite:///veneer.db, or --config with a file whose "
            f"[{table}] has a store."
        )
    try:
        asyncio.run(actions[given.action](given, found))
    except StoreUnavailableError as error:
        raise ConfigurationError(f"the store does not answer: {error}.") from error
    except ConfigurationError:
        raise
    except ValueError as error:
        raise ConfigurationError(str(error)) from error
    return 0
