"""The seam between keys of callers and where they are kept."""

from collections.abc import Sequence
from typing import Protocol

from veneer.provider_keys.record import Owner, ProviderKeyRecord


class ProviderKeyStore(Protocol):
    """Keeps keys of callers, sealed. Every method may raise `StoreUnavailableError`.

    What a database cannot keep (a time without a zone; PostgreSQL, a U+0000) is refused with
    ValueError.
    """

    async def find(self, owners: Sequence[Owner]) -> Sequence[ProviderKeyRecord]:
        """Return all keys of these owners."""

    async def list(self, owner: Owner | None = None) -> Sequence[ProviderKeyRecord]:
        """Return the keys of an owner, or all, in the order of owners and providers."""

    async def put(self, record: ProviderKeyRecord) -> None:
        """Keep a key, in place of the one that its owner had for this provider."""

    async def replace(self, old: ProviderKeyRecord, new: ProviderKeyRecord) -> bool:
        """Keep `new` in place of `old`, and return whether that is still what is there.

        Both are of one owner and for one provider.
        """

    async def delete(self, owner: Owner, provider: str) -> bool:
        """Forget a key, and return whether there was one."""

    async def aclose(self) -> None:
        """Close connections and files."""
