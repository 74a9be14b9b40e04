"""What a layer counts, on which limiter, and which layer below counts with it."""

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec

from veneer.call import Call
from veneer.facts import RequestFact
from veneer.layer import Layer
from veneer.limiters.queued import Queued
from veneer.operations import Endpoint
from veneer.quotas.charging import Charging
from veneer.quotas.limiter import Limiter
from veneer.wiring import chain


class Counting:
    """One layer's share of a limiter.

    `limiter` is asked: the one that was `given`, behind a queue if requests may wait (`queue` is
    how long and how many, None for no wait). `reads` are the fact types that its policies go by.
    Raises ValueError for waits that cannot be.
    """

    def __init__(
        self,
        charging: Charging,
        reads: Sequence[type],
        *,
        limiter: Limiter,
        max_wait: float,
        max_waiting: int,
    ) -> None:
        if not 0 <= max_wait < math.inf or max_waiting < 1:
            raise ValueError(
                f"max_wait is {max_wait} and max_waiting {max_waiting}: give seconds (0 for no "
                "wait), and room for at least 1."
            )
        self.charging = charging
        self.waits = max_wait > 0
        self.limiter = limiter
        if self.waits:
            self.limiter = Queued(limiter, max_wait=max_wait, max_waiting=max_waiting)
        self.given = limiter
        self._reads = reads
        self.queue = (max_wait, max_waiting) if self.waits else None

    def join(self, app: Any) -> "Inner | None":
        """Return who below counts with us; where both wait alike, they wait in one queue then.

        It is the next that counts on the same limiter, if nothing between may change what it goes
        by. Raises ValueError for two policies of one name on the limiter.
        """
        self._check_names(app)
        between: list[Layer] = []
        for part in chain(app):
            below = getattr(part, "counting", None)
            if isinstance(below, Counting):
                if below.given is not self.given or below.goes_by(between):
                    break
                alike = below.queue == self.queue
                if alike:
                    self.limiter = below.limiter
                replayable = [getattr(layer, "replayable_by", ()) for layer in between]
                answered = [getattr(layer, "own_operations", ()) for layer in between]
                return Inner(
                    below,
                    frozenset[bytes]().union(*replayable),
                    frozenset[str]().union(*answered),
                    alike,
                )
            if not isinstance(part, Layer):
                break
            between.append(part)
        return None

    def _check_names(self, app: Any) -> None:
        names = list(self.charging.names)
        for below in _all_below(app):
            if below.given is self.given:
                names += below.charging.names
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise ValueError(
                f"Two policies are called {twice!r}, and would share counters: give each a name."
            )

    def goes_by(self, above: Iterable[Layer]) -> bool:
        """Return whether these layers write what our policies, or the host's functions, go by.

        What is asked for, and of which model, is known above them already.
        """
        written = {
            kind
            for layer in above
            for kind in layer.writes
            if issubclass(kind, RequestFact) and kind not in (Endpoint, Call)
        }
        return bool(written if self.charging.asks_host else written.intersection(self._reads))


class Inner(msgspec.Struct, frozen=True):
    """The layer below that counts with one: what a request takes there may be asked for above.

    Not if it is given a field of `replayable_by`, as something between may answer it then, or asks
    for an operation that is `answered` between, nor unless both layers wait `alike`.
    """

    counting: Counting
    replayable_by: frozenset[bytes]
    answered: frozenset[str]
    alike: bool

    def is_asked_below(self, operation: str, headers: Iterable[tuple[bytes, bytes]]) -> bool:
        """Return whether the layer below has to ask for itself."""
        if not self.alike or operation in self.answered:
            return True
        # Not a generator, nor a set made: most calls have none of these fields.
        for name, _ in headers:  # noqa: SIM110 - as said
            if name in self.replayable_by:
                return True
        return False


def _all_below(app: Any) -> Iterator[Counting]:
    for part in chain(app):
        counting = getattr(part, "counting", None)
        if isinstance(counting, Counting):
            yield counting
