"""The seam between the layer that asks for credentials and whoever knows them."""

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
    """Knows who a credential belongs to."""

    async def verify(self, credential: str) -> Principal | Denial:
        """Return who shows this credential, or why it is not accepted.

        `UNAVAILABLE` is for a verifier that cannot tell at present; it is never a refusal for good.
        """
