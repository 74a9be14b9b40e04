"""The store in memory: one process's own, gone when it ends."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

import msgspec

from veneer.keys.record import KeyRecord
from veneer.provider_keys.record import Owner, ProviderKeyRecord


class MemoryKeyStore:
    """Keeps the records of keys in this process: for tests and trials."""

    def __init__(self) -> None:
        self._records: dict[str, KeyRecord] = {}
        self._ids: dict[str, str] = {}
        self._changes: list[str] = []

    async def find(self, digests: Collection[str]) -> KeyRecord | None:
        """Return the record that has one of these digests."""
        for digest in digests:
            if digest in self._ids:
                return self._records[self._ids[digest]]
        return None

    async def get(self, key_id: str) -> KeyRecord | None:
        """Return the record with this id."""
        return self._records.get(key_id)

    async def list(
        self, *, team: str | None = None, after: str | None = None, limit: int = 100
    ) -> Sequence[KeyRecord]:
        """Return records in the order of their ids, those after `after`; None is every team."""
        return [
            record
            for key_id, record in sorted(self._records.items())
            if (after is None or key_id > after) and (team is None or record.team == team)
        ][:limit]

    async def add(self, record: KeyRecord) -> None:
        """Keep a new record. Raises ValueError where its id or its digest is taken."""
        if record.id in self._records or record.digest in self._ids:
            raise ValueError("There is a key with this id or this secret already.")
        self._records[record.id] = msgspec.structs.replace(record, revision=0)
        self._ids[record.digest] = record.id
        self._changes.append(record.digest)

    async def replace(self, record: KeyRecord) -> bool:
        """Replace the record where its revision is still that of the stored one."""
        stored = self._records.get(record.id)
        if stored is None or stored.revision != record.revision:
            return False
        if self._ids.get(record.digest, record.id) != record.id:
            raise ValueError("There is a key with this id or this secret already.")
        self._records[record.id] = msgspec.structs.replace(
            record, revision=record.revision + 1, last_used_at=stored.last_used_at
        )
        del self._ids[stored.digest]
        self._ids[record.digest] = record.id
        self._changes.extend({stored.digest: None, record.digest: None})
        return True

    async def touch(self, used: Mapping[str, datetime]) -> None:
        """Note when keys were last used."""
        for key_id, moment in used.items():
            stored = self._records.get(key_id)
            if stored and (stored.last_used_at is None or stored.last_used_at < moment):
                self._records[key_id] = msgspec.structs.replace(stored, last_used_at=moment)

    async def changed_since(self, mark: str | None) -> tuple[Collection[str] | None, str]:
        """Return the digests of records written since a mark, and the present mark."""
        present = str(len(self._changes))
        return ([] if mark is None else self._changes[int(mark) :]), present

    async def aclose(self) -> None:
        """Forget nothing: what is in memory needs no closing."""


class MemoryProviderKeyStore:
    """Keeps callers' keys for providers in this process, sealed: for tests and trials."""

    def __init__(self) -> None:
        self._records: dict[tuple[str, str, str], ProviderKeyRecord] = {}

    async def find(self, owners: Sequence[Owner]) -> Sequence[ProviderKeyRecord]:
        """Return all keys of these owners."""
        return [record for record in self._records.values() if record.owner in owners]

    async def list(self, owner: Owner | None = None) -> Sequence[ProviderKeyRecord]:
        """Return the keys of an owner, or all, in the order of owners and providers."""
        records = [record for _, record in sorted(self._records.items())]
        return [record for record in records if owner is None or record.owner == owner]

    async def put(self, record: ProviderKeyRecord) -> None:
        """Keep a key, in place of the one that its owner had for this provider."""
        self._records[_place(record.owner, record.provider)] = record

    async def replace(self, old: ProviderKeyRecord, new: ProviderKeyRecord) -> bool:
        """Keep `new` in place of `old`, and return whether that is still what is there."""
        place = _place(old.owner, old.provider)
        if self._records.get(place) != old:
            return False
        self._records[place] = new
        return True

    async def delete(self, owner: Owner, provider: str) -> bool:
        """Forget a key, and return whether there was one."""
        return self._records.pop(_place(owner, provider), None) is not None

    async def aclose(self) -> None:
        """Forget nothing: what is in memory needs no closing."""


def _place(owner: Owner, provider: str) -> tuple[str, str, str]:
    return owner.kind, owner.id, provider
