"""The seam between what a key is and where its record is kept."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from veneer.keys.record import KeyRecord


class KeyStore(Protocol):
    """Keeps the records of keys. Every method may raise `StoreUnavailableError`.

    Several processes and machines may share one; what one of them writes, the others find by
    `changed_since`. What a database cannot keep (a time without a zone; PostgreSQL, a U+0000) is
    refused with ValueError.
    """

    async def find(self, digests: Collection[str]) -> KeyRecord | None:
        """Return the record that has one of these digests: one indexed query."""

    async def get(self, key_id: str) -> KeyRecord | None:
        """Return the record with this id."""

    async def list(
        self, *, team: str | None = None, after: str | None = None, limit: int = 100
    ) -> Sequence[KeyRecord]:
        """Return records in the order of their ids, those after `after`; None is every team."""

    async def add(self, record: KeyRecord) -> None:
        """Keep a new record. Raises ValueError where its id or its digest is taken."""

    async def replace(self, record: KeyRecord) -> bool:
        """Put a record in the place of the one with its id, and return whether that was done.

        It is done only where the stored record still has the revision that this one was made from,
        so that no change is lost: on False, read it again. `last_used_at` is left as it is stored.
        Raises ValueError where the digest is another record's.
        """

    async def touch(self, used: Mapping[str, datetime]) -> None:
        """Note when keys (by id) were last used; an earlier time than the one noted is dropped."""

    async def changed_since(self, mark: str | None) -> tuple[Collection[str] | None, str]:
        """Return the digests of records written since a mark, and the mark to ask with next time.

        With None, return no digests and the present mark. A digest may come twice, none may be
        missed, however transactions overlap; the digest that a record had before it was replaced
        counts as written. `touch` is no such write. None in place of the digests means that the
        store cannot tell (the mark is too old, or the store is another one by now): any record may
        have been written.
        """

    async def aclose(self) -> None:
        """Close connections and files."""
