"""Issuing: keys are made, rotated, revoked and taken over here, for commands and for the HTTP API.

A record is changed by a compare-and-set on the one that was read, and read again where that fails:
so whatever happens at once, in whichever process, a revoked key stays revoked and no overlap is
forgotten.
"""

import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import msgspec

from veneer.keys.fields import MAX_TEXT, SCOPES, FieldError, KeyFields
from veneer.keys.peppers import Peppers
from veneer.keys.record import KeyRecord
from veneer.keys.store import KeyStore
from veneer.keys.token import DEFAULT_PREFIX, checked_prefix, is_possible, new_token, shown
from veneer.stores.unavailable import StoreUnavailableError
from veneer.wire.ids import RANDOM_LENGTH, ulid

__all__ = ["MAX_TEXT", "OVERLAP", "SCOPES", "FieldError", "Issued", "Issuer", "KeyFields"]

# How long both keys work after a rotation, unless told otherwise.
OVERLAP = timedelta(hours=24)
MAX_OVERLAP = timedelta(days=366)

# What is shorter can be guessed: under a fast hash, only randomness protects a key.
MIN_IMPORTED = 16

# Of writes that meet, one succeeds: this often in a row nobody loses against people and their
# scripts.
_ATTEMPTS = 50
_PAGE = 1000


class Issued(msgspec.Struct, frozen=True):
    """A key that was just made: its record, and the secret that is never to be seen again."""

    record: KeyRecord
    token: str

    def __repr__(self) -> str:
        return f"Issued({self.record.id})"


class Issuer:
    """Makes and ends keys in a store.

    New secrets begin with `prefix` and are digested under the current one of `peppers`. `clock`
    gives the time, aware. Every method may raise `StoreUnavailableError`; what it was to do may
    have been done then, and can be asked for again.
    """

    def __init__(
        self,
        store: KeyStore,
        peppers: Peppers,
        *,
        prefix: str = DEFAULT_PREFIX,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._store = store
        self._peppers = peppers
        self._prefix = checked_prefix(prefix)
        self._clock = clock

    async def create(self, fields: KeyFields) -> Issued:
        """Make a key. Raises `FieldError`."""
        return await self._issue(fields.checked(self._clock()), new_token(self._prefix))

    async def import_token(self, token: str, fields: KeyFields) -> KeyRecord:
        """Take over a key that was issued elsewhere.

        Raises `FieldError`, with the field `token` for one that cannot be a key, can be guessed
        (fewer than 16 characters) or is known already, be it revoked; the token is in no message.
        """
        fields = fields.checked(self._clock())
        if not is_possible(token, self._prefix):
            raise FieldError(
                "token",
                "This is no key: it must be one word of at most 512 visible ASCII characters, and "
                f"one that begins with '{self._prefix}_' must be whole.",
            )
        if len(token) < MIN_IMPORTED:
            raise FieldError("token", f"A key of fewer than {MIN_IMPORTED} characters is too weak.")
        known = FieldError("token", "This key is in the store already.")
        if await self._store.find([digest for _, digest in self._peppers.digests(token)]):
            raise known
        try:
            return (await self._issue(fields, token)).record
        except ValueError:
            # Somebody else has just imported it.
            raise known from None

    async def rotate(self, key_id: str, *, overlap: timedelta = OVERLAP) -> Issued | None:
        """Make a key like this one, which itself ends after the overlap; None for no such key.

        Where it would end sooner, it still does: be that its own end, which the new key has too, or
        the overlap of an earlier rotation, which the new key has not. Raises `FieldError`, with the
        field `overlap` for a negative one or more than a year, and `id` for a key that has ended.
        """
        if not timedelta(0) <= overlap <= MAX_OVERLAP:
            raise FieldError("overlap", f"overlap must be 0 to {MAX_OVERLAP.days} days.")
        old = await self._store.get(key_id)
        if old is None:
            return None
        self._check_alive(old)
        kept = {name: getattr(old, name) for name in KeyFields.__struct_fields__}
        kept["expires_at"] = await self._own_end(old)
        # The new key comes first: what is left if we stop in between is a key that nobody knows,
        # not one that ends without a successor.
        issued = await self._issue(KeyFields(**kept), new_token(self._prefix), rotated_from=old.id)
        end = self._clock() + overlap

        def ending(record: KeyRecord) -> KeyRecord:
            self._check_alive(record)
            if record.expires_at is not None and record.expires_at <= end:
                return record
            return msgspec.structs.replace(record, expires_at=end)

        try:
            ended = await self._change(old.id, ending)
        except FieldError:
            # It was revoked meanwhile, and must not live on in a successor.
            await self.revoke(issued.record.id)
            raise
        if ended is None:
            await self.revoke(issued.record.id)
            return None
        return issued

    async def revoke(self, key_id: str) -> KeyRecord | None:
        """End a key now; None for no such key. One that was revoked before keeps its time."""

        def revoked(record: KeyRecord) -> KeyRecord:
            if record.revoked_at is not None:
                return record
            return msgspec.structs.replace(record, revoked_at=self._clock())

        return await self._change(key_id, revoked)

    async def _change(
        self, key_id: str, change: Callable[[KeyRecord], KeyRecord]
    ) -> KeyRecord | None:
        """Return the record as it is after a change, which is handed the stored one each time."""
        for _ in range(_ATTEMPTS):
            record = await self._store.get(key_id)
            if record is None:
                return None
            changed = change(record)
            if changed is record:
                return record
            if await self._store.replace(changed):
                return msgspec.structs.replace(changed, revision=record.revision + 1)
        raise StoreUnavailableError(f"{key_id} was changed {_ATTEMPTS} times by others meanwhile")

    def _check_alive(self, record: KeyRecord) -> None:
        if record.revoked_at is not None or (
            record.expires_at is not None and record.expires_at <= self._clock()
        ):
            raise FieldError("id", f"{record.id} has ended: create a new key instead.")

    async def _own_end(self, record: KeyRecord) -> datetime | None:
        """Return when a key ends by the will of its owner, not because it was rotated.

        A rotation shortens the old key and gives its own end to the new one, so that of the last
        in the line is the owner's.
        """
        if record.expires_at is None:
            return None
        successors: dict[str, KeyRecord] = {}
        after: str | None = None
        while page := await self._store.list(team=record.team, after=after, limit=_PAGE):
            successors |= {other.rotated_from: other for other in page if other.rotated_from}
            after = page[-1].id
        while (successor := successors.pop(record.id, None)) is not None:
            record = successor
        return record.expires_at

    async def _issue(
        self, fields: KeyFields, token: str, *, rotated_from: str | None = None
    ) -> Issued:
        now = self._clock()
        pepper_id, digest = self._peppers.digest(token)
        record = KeyRecord(
            id="key_" + ulid(int(now.timestamp() * 1000), os.urandom(RANDOM_LENGTH)),
            digest=digest,
            pepper_id=pepper_id,
            shown=shown(token),
            created_at=now,
            rotated_from=rotated_from,
            **{name: getattr(fields, name) for name in KeyFields.__struct_fields__},
        )
        await self._store.add(record)
        return Issued(record, token)
