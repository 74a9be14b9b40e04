"""What the store is told now and then: when keys were used, and digests under a newer pepper."""

from collections.abc import Mapping
from datetime import UTC, datetime
from itertools import islice

import msgspec

from veneer.auth._cache import Entry
from veneer.keys.peppers import Peppers
from veneer.keys.record import KeyRecord
from veneer.keys.store import KeyStore

# One statement's worth: a bounded time, and locks held briefly.
_BATCH = 500


class Errands:
    """Collects what the store need not be told at once.

    `used` takes the Unix time of a key's last use, by its id.
    """

    def __init__(self, store: KeyStore, peppers: Peppers) -> None:
        self._store = store
        self._peppers = peppers
        self._renewals: dict[str, KeyRecord] = {}
        self.used: dict[str, float] = {}

    def renew(self, entry: Entry) -> None:
        """See to it that a key under an outdated pepper gets a digest under the current one."""
        record = entry.record
        if self._peppers.is_outdated(record.pepper_id):
            # Digests come with the current pepper's first.
            digest, *_ = entry.digests
            self._renewals[record.id] = msgspec.structs.replace(
                record, pepper_id=self._peppers.current, digest=digest
            )

    async def run(self) -> None:
        """Tell the store. What it could not be told, or may not have heard, is kept.

        Raises `StoreUnavailableError`.
        """
        # What is used from now on is for the next run: busy keys would never let this one end.
        used = iter(list(self.used.items()))
        while batch := dict(islice(used, _BATCH)):
            await self._store.touch(_moments(batch))
            for key_id, moment in batch.items():
                # It may have been used again meanwhile.
                if self.used.get(key_id) == moment:
                    del self.used[key_id]
        for key_id, record in list(self._renewals.items()):
            # Where the record has changed since it was read, its next use renews it.
            await self._store.replace(record)
            self._renewals.pop(key_id, None)


def _moments(used: Mapping[str, float]) -> dict[str, datetime]:
    return {key_id: datetime.fromtimestamp(moment, UTC) for key_id, moment in used.items()}
