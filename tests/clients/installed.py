"""Clients, where they are installed."""

import importlib
import os
from typing import Any

import pytest

ALL = "VENEER_TEST_CLIENTS"


def installed(module: str) -> Any:
    """Return a module of a client; the tests that ask for it are skipped where there is none.

    With `VENEER_TEST_CLIENTS=1` it must be there. Clients are no dependency that types are checked
    with, so that their parts are Any.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError:
        if os.environ.get(ALL) == "1":
            raise
        reason = f"{module} is not installed: see the dependency group `clients`"
        pytest.skip(reason, allow_module_level=True)
