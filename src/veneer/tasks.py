"""Tasks that nobody may be waiting for, and what becomes of what they raise."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any


def retrieved(task: asyncio.Task[Any]) -> None:
    """Look at the exception of a task, so that asyncio does not say that nobody has."""
    if not task.cancelled():
        task.exception()


def telling(logger: logging.Logger, sentence: str) -> Callable[[asyncio.Task[None]], None]:
    """Return a callback for a task that should go on for ever, and says so where it has failed.

    That is a fault in somebody's code, and logged as critical, under what is no longer done.
    """

    def told(task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.critical(sentence, exc_info=error)

    return told
