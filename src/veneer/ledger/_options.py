"""What ledgers in databases have in common that can be set, or is the same for all."""

import math

DEFAULT_LEASE = 30.0
DEFAULT_TIMEOUT = 2.0
DEFAULT_DRAIN = 10.0


def check_seconds(**options: float) -> None:
    """Raise ValueError for an option that is no length of time, or endless."""
    for name, value in options.items():
        if not 0 < value < math.inf:
            raise ValueError(f"A ledger's {name} is a positive number of seconds, not {value}.")
