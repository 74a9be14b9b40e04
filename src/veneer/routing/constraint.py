"""A constraint: what an offer has to keep to serve a call, and what is said where none does."""

from collections.abc import Callable, Iterable, Sequence

import msgspec

from veneer.dialects import Kind
from veneer.routing.plan import Offer, Reading

# An offer, and how it does.
Pair = tuple[Offer, Reading]

# Names that a suggestion lists; the others are as many as they are.
MAX_NAMES = 10


def no_suggestion(nearest: Sequence[Pair]) -> None:
    """Suggest nothing."""
    del nearest


class Constraint(msgspec.Struct, frozen=True):
    """What `keeps` an offer.

    `kind`, `message`, `param` and what it would `suggest` are for the client where nobody is kept;
    a suggestion is made of the offers that are nearest to it.
    """

    keeps: Callable[[Pair], bool]
    kind: Kind
    message: str
    param: str | None = None
    suggest: Callable[[Sequence[Pair]], str | None] = no_suggestion


def routing(name: str) -> str:
    """Return the path of a member of the routing preferences."""
    return f"gateway.routing.{name}"


def listed(names: Iterable[str]) -> str:
    """Return names in their order, of very many the first."""
    found = sorted(set(names))
    more = "" if len(found) <= MAX_NAMES else f" and {len(found) - MAX_NAMES} more"
    return ", ".join(f"'{name}'" for name in found[:MAX_NAMES]) + more
