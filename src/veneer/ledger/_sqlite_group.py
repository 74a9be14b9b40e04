"""What goes from an event loop to the thread that writes, and what comes back."""

import asyncio
from collections.abc import Callable, Sequence

import msgspec

from veneer.ledger._wanted import Answer, Settled, Wanted
from veneer.ledger.entry import Moved


class Group(msgspec.Struct, eq=False):
    """What came up in one turn of an event loop, in which `answered` is called, maybe in parts."""

    loop: asyncio.AbstractEventLoop
    answered: Callable[[list[Answer], Sequence[Moved]], None]
    deadline: float
    holds: list[Wanted] = []
    questions: list[Wanted] = []
    settlements: list[Settled] = []

    @property
    def is_over(self) -> bool:
        """Whether nobody waits for any of it."""
        return all(each.future.done() for each in self.holds + self.questions)
