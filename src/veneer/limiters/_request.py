"""A request in the queue: what it has taken so far, and what it still has to ask for."""

import math
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from veneer.limiters._lines import Key, Waiter
from veneer.quotas.limiter import Decision
from veneer.quotas.quota import CONCURRENT, REQUESTS, Charge


class Taken(msgspec.Struct, frozen=True):
    """What was taken for one request: in which parts, and for which charges."""

    parts: tuple[Any, ...]
    charges: tuple[Charge, ...]

    def returned(self, tokens: int) -> frozenset[Key]:
        """Return the keys of what comes back if the call used so many tokens."""
        return frozenset(
            key_of(charge)
            for charge in self.charges
            if charge.quota.unit != REQUESTS
            and charge.cost > (0 if charge.quota.unit == CONCURRENT else tokens)
        )


class Request(Waiter):
    """A waiter with its charges.

    `charges` are what to ask for next; what is taken already stays among them with a cost of 0, so
    that the limiter says how all of them stand. `parts` is what was taken and is nobody's yet.
    """

    __slots__ = ("_wanted", "charges", "expired", "keys", "parts", "until")

    def __init__(self, charges: Sequence[Charge]) -> None:
        self._wanted = tuple(charges)
        self.charges = self._wanted
        self.keys = tuple([key_of(charge) for charge in charges])
        super().__init__(
            frozenset([key for key, charge in zip(self.keys, charges, strict=True) if charge.cost])
        )
        self.parts: list[Any] = []
        self.until = 0.0
        self.expired = False

    def expire(self) -> None:
        """Say that its time is over."""
        self.expired = True
        self.until = -math.inf
        self.wake()

    def keys_of(self, indexes: Iterable[int]) -> frozenset[Key]:
        """Return the keys of these charges."""
        return frozenset([self.keys[index] for index in indexes])

    def only_ask(self, units: Iterable[str]) -> None:
        """From now on only ask how charges for these units stand."""
        self.charges = tuple(
            Charge(charge.quota, charge.partition, 0) if charge.quota.unit in units else charge
            for charge in self.charges
        )

    def note(self, decision: Decision) -> None:
        """Remember what was taken. Charges for requests are, unless one of them is refused."""
        if decision.taken is not None:
            self.parts.append(decision.taken)
        if decision.refused and not any(
            self.charges[index].quota.unit == REQUESTS for index in decision.refused
        ):
            self.only_ask((REQUESTS,))

    def result(self, decision: Decision) -> Decision:
        """Hand the last decision over, with all that was taken."""
        if not self.parts:
            return decision
        taken = Taken(tuple(self.parts), () if decision.refused else self._wanted)
        self.parts.clear()
        return Decision(
            standings=decision.standings,
            refused=decision.refused,
            wait=decision.wait,
            taken=taken,
        )


def key_of(charge: Charge) -> Key:
    """Return the key of the counter that a charge goes to."""
    return charge.quota.id, charge.partition
