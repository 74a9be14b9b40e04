"""Whether a hold was admitted whose caller is cancelled in the turn in which it is told."""

import asyncio
from typing import Any


def is_admitted(future: asyncio.Future[Any]) -> bool:
    """Whether whoever waits for a hold has been told that it may go on."""
    if not future.done() or future.cancelled() or future.exception() is not None:
        return False
    return isinstance(future.result(), tuple)
