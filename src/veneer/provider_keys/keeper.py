"""The keeper: takes keys of callers, seals them, and opens those of a caller who asks."""

import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import msgspec

from veneer.facts import Principal
from veneer.keys.fields import FieldError, is_text
from veneer.keys.token import shown
from veneer.provider_keys.record import Owner, ProviderKeyRecord, owners_of
from veneer.provider_keys.seals import Seals, UnsealedError
from veneer.provider_keys.store import ProviderKeyStore
from veneer.upstream.keys import is_key

logger = logging.getLogger("veneer.keys")

# What is longer is no key, but a file that was given by mistake.
MAX_LENGTH = 2048


class ProviderKeyKeeper:
    """Keeps keys of callers in a store, sealed; it tells those of a caller as `ProviderKeys` do.

    A key of a caller's own goes before that of its team. One that cannot be opened is left out, and
    logged: it was sealed under a secret that is not given any more, or somebody changed the store.
    Where its `lifespan` ends, the store is closed.
    `clock` gives the time in UTC.
    """

    def __init__(
        self,
        store: ProviderKeyStore,
        seals: Seals,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._store = store
        self._seals = seals
        self._clock = clock

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        """Use the store, and close it in the end."""
        try:
            yield
        finally:
            await self._store.aclose()

    async def find(self, principal: Principal) -> Mapping[str, str]:
        """Return a caller's keys, by the names of the targets that they are for."""
        owners = owners_of(principal)
        records = await self._store.find(owners)
        found: dict[str, str] = {}
        for record in sorted(records, key=lambda record: owners.index(record.owner)):
            try:
                found[record.provider] = self._open(record)
            except UnsealedError as error:
                logger.error(  # noqa: TRY400 - the traceback says no more, and may say too much
                    "the key of the %s %r for %r cannot be used: %s",
                    record.owner.kind,
                    record.owner.id,
                    record.provider,
                    error,
                )
        return found

    async def set(self, owner: Owner, provider: str, key: str) -> ProviderKeyRecord:
        """Keep a key, in place of the one that its owner had; return what is known of it.

        Raises `FieldError` for what cannot be.
        """
        for field, text in (("owner", owner.id), ("provider", provider)):
            if not is_text(text):
                raise FieldError(field, f"{field} must be 1 to 200 printable characters.")
        if len(key) > MAX_LENGTH or not is_key(key):
            raise FieldError(
                "key", f"key must be one word of visible ASCII, {MAX_LENGTH} characters at most."
            )
        seal, sealed = self._seals.seal(key, owner.kind, owner.id, provider)
        record = ProviderKeyRecord(
            owner=owner,
            provider=provider,
            seal=seal,
            sealed=sealed,
            shown=shown(key),
            created_at=self._clock(),
        )
        await self._store.put(record)
        return record

    async def reseal(self) -> tuple[int, int]:
        """Seal all keys under the first secret; return how many were, and how many cannot be."""
        done = failed = 0
        for record in await self._store.list():
            if record.seal == self._seals.id:
                continue
            try:
                key = self._open(record)
            except UnsealedError:
                failed += 1
                continue
            seal, sealed = self._seals.seal(
                key, record.owner.kind, record.owner.id, record.provider
            )
            new = msgspec.structs.replace(record, seal=seal, sealed=sealed)
            done += await self._store.replace(record, new)
        return done, failed

    def _open(self, record: ProviderKeyRecord) -> str:
        owner = record.owner
        return self._seals.open(record.seal, record.sealed, owner.kind, owner.id, record.provider)
