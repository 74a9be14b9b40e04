"""`veneer check`: finds out whether `veneer serve` would start with a configuration."""

from argparse import Namespace
from pathlib import Path

from veneer.cli.shared import shared_by_workers
from veneer.config import build, load
from veneer.config.auth import asks_for_keys
from veneer.config.reference import reference


def run(given: Namespace) -> int:
    """Check a file, or print the reference; raises `ConfigurationError` with all that is wrong."""
    if given.options:
        print(reference(), end="")
        return 0
    path = Path(given.file or "veneer.toml")
    config = load(path)
    with shared_by_workers(config) as served:
        build(served)
    print(f"{path} is in order.")
    if not asks_for_keys(config.auth):
        print("It has no keys for callers: give veneer serve a --store, or --no-auth.")
    return 0
