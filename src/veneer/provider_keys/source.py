"""The seam between a router and whoever knows the keys that callers have of their own."""

from collections.abc import Mapping
from typing import Protocol

from veneer.facts import Principal


class ProviderKeys(Protocol):
    """Knows the keys that callers have of their own for providers; they are secrets."""

    async def find(self, principal: Principal) -> Mapping[str, str]:
        """Return a caller's keys, by the names of the targets that they are for.

        Raises `StoreUnavailableError` where that cannot be told at present.
        """
