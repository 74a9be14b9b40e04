"""What goes from an event loop to the thread that writes, and what comes back."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from veneer.ledger._sqlite_rows import Held, Rows, Settled
from veneer.ledger.entry import Hold, Moved, Settlement

# Whoever waits, and what it is told: an exception is raised there.
Answer = tuple["Wanted", Any]


class Wanted(msgspec.Struct, eq=False):
    """Something that somebody waits for: a hold, or else a question about the rows."""

    future: asyncio.Future[Any]
    held: Held | None = None
    ask: Callable[[Rows], Any] | None = None


class Group(msgspec.Struct, eq=False):
    """What came up in one turn of an event loop, in which `answered` is called, maybe in parts."""

    loop: asyncio.AbstractEventLoop
    answered: Callable[[list[Answer], Sequence[Moved]], None]
    deadline: float
    holds: list[Wanted] = []
    questions: list[Wanted] = []
    settlements: list[Settled] = []


def released(hold: Hold) -> Settlement:
    """Return the end of a hold that nobody has."""
    return Settlement(call=hold.call, state="released", at=hold.at)
