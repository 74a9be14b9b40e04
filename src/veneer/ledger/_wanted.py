"""What waits to be written into a database, and who waits for what has come of it."""

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec

from veneer.ledger.entry import Hold, Settlement

# A hold or a settlement, with the values of its columns.
Held = tuple[Hold, tuple[object, ...]]
Settled = tuple[Settlement, tuple[object, ...]]


class Wanted(msgspec.Struct, eq=False):
    """Something that somebody waits for: a hold, or else a question about the rows.

    `ask` is called by whoever writes, with the rows, and what else is needed to read them.
    """

    future: asyncio.Future[Any]
    held: Held | None = None
    ask: Callable[..., Any] | None = None

    def tell(self, answer: Any) -> Hold | None:
        """Tell whoever waits, in the running loop; return a hold that was admitted for nobody.

        An exception is raised there.
        """
        future = self.future
        if not future.done() and future.get_loop() is asyncio.get_running_loop():
            if isinstance(answer, Exception):
                future.set_exception(answer)
            else:
                future.set_result(answer)
            return None
        return self.admitted(answer)

    def admitted(self, answer: Any) -> Hold | None:
        """Return the hold that it is, if the answer is that it was admitted."""
        return self.held[0] if self.held is not None and isinstance(answer, tuple) else None

    @property
    def was_admitted(self) -> bool:
        """Whether whoever waits for a hold has been told that it may go on.

        One who is cancelled in the turn in which it is told is the only one who knows.
        """
        future = self.future
        if not future.done() or future.cancelled() or future.exception() is not None:
            return False
        return isinstance(future.result(), tuple)


# Whoever waits, and what it is told.
Answer = tuple[Wanted, Any]
