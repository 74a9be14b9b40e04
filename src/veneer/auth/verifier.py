"""The seam between the layer that asks for credentials and whoever knows them."""

from collections.abc import Callable, Iterable
from contextlib import AbstractAsyncContextManager, nullcontext
from enum import Enum, auto
from typing import Protocol

from veneer.facts import Principal


class Denial(Enum):
    """Why a credential is not accepted."""

    UNKNOWN = auto()
    MALFORMED = auto()
    REVOKED = auto()
    EXPIRED = auto()
    NOT_YET_VALID = auto()
    UNAVAILABLE = auto()


class Verifier(Protocol):
    """Knows who a credential belongs to.

    One that keeps connections or tasks has a `lifespan()`, which `lifespan_of` finds; one that
    knows its keys before the first request has `principals`, which `principals_of` finds; one that
    remembers them has `recall(credential)`, which `recall_of` finds.
    """

    async def verify(self, credential: str) -> Principal | Denial:
        """Return who shows this credential, or why it is not accepted.

        `UNAVAILABLE` is for a verifier that cannot tell at present; it is never a refusal for good.
        """


def lifespan_of(verifier: Verifier) -> AbstractAsyncContextManager[object]:
    """Return the context to hold open while a verifier is in use; one that does nothing if none."""
    lifespan = getattr(verifier, "lifespan", None)
    context: AbstractAsyncContextManager[object] = nullcontext() if lifespan is None else lifespan()
    return context


def principals_of(verifier: Verifier) -> Iterable[Principal]:
    """Return the principals that a verifier knows of before the first request."""
    principals: Iterable[Principal] = getattr(verifier, "principals", ())
    return principals


def recall_of(verifier: Verifier) -> Callable[[str], Principal | None]:
    """Return what tells at once whose credential it is; None where only `verify` can tell.

    A subclass that verifies in its own way is not passed by what its parent remembers.
    """
    for kind in type(verifier).__mro__:
        if "recall" in vars(kind):
            recall: Callable[[str], Principal | None] = getattr(verifier, "recall", _nobody)
            return recall
        if "verify" in vars(kind):
            break
    return _nobody


def _nobody(_credential: str) -> None:
    """Remember nobody."""
