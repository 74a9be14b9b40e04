"""The limiter: decides over all the charges of a request at once, and settles them afterwards."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

import msgspec

from veneer.facts import Standing
from veneer.quotas.quota import Charge


class LimiterUnavailableError(Exception):
    """Whoever counts cannot be asked, or can count no more; the text is for the operator's log."""


class LimiterFullError(LimiterUnavailableError):
    """Whoever counts did answer, and has no room for what this call would count."""


class LimiterBusyError(LimiterUnavailableError):
    """Whoever counts is held up for a moment: this call was in vain, the next may not be."""


class Decision(msgspec.Struct, frozen=True):
    """What a limiter decided, and how things stand after it.

    `standings` are in the order of the charges. `refused` are the indexes of the charges that did
    not fit: none if the request is admitted. `wait` is the time in seconds after which they would,
    if nobody else took anything: infinite for what is more than a whole limit. `taken` is what
    `settle` wants back; None where there is nothing to settle.
    """

    standings: tuple[Standing, ...]
    refused: tuple[int, ...] = ()
    wait: float = 0.0
    taken: Any = None


class Limiter(Protocol):
    """Counts units and decides.

    `take` judges the charges for requests first: all of them are taken, or none and the request is
    refused. Charges for tokens and concurrent requests come after: all of them are taken, or none
    and the request is refused, while its charges for requests stay taken. A charge of 0 never
    refuses. It raises `LimiterUnavailableError` within a bounded time.

    `settle` corrects what was taken, once for every `taken` there is: `tokens` is what the call
    used in truth, more than was taken or less; slots of concurrent requests are free from then on.
    It neither waits nor fails. What was taken and is never settled (a process that is killed)
    drains with its window; a slot is free again after a lease.

    `lifespan` is entered by whoever uses the limiter, by several at once if several do.
    """

    async def take(self, charges: Sequence[Charge], /) -> Decision:
        """Decide, and take what is admitted."""
        ...

    def settle(self, taken: Any, tokens: int, /) -> None:
        """Correct what was taken to what was used."""
        ...

    def lifespan(self) -> AbstractAsyncContextManager[object]:
        """Return the context in which it can be used."""
        ...
