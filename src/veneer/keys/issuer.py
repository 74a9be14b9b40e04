"""Issuing: keys are made, rotated, revoked and taken over here, for commands and for the HTTP API."""

import os
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from veneer.keys.peppers import Peppers
from veneer.keys.record import KeyRecord
from veneer.keys.store import KeyStore
from veneer.keys.token import DEFAULT_PREFIX, checked_prefix, is_possible, new_token, shown
from veneer.operations import NAMES
from veneer.wire.ids import RANDOM_LENGTH, ulid

SCOPES = frozenset({"read", "write", "full", "admin"})

# How long both keys work after a rotation, unless told otherwise.
OVERLAP = timedelta(hours=24)

MAX_TEXT = 200


class FieldError(ValueError):
    """A field of a key that cannot be; `field` says which."""

    def __init__(self, field: str, sentence: str) -> None:
        super().__init__(sentence)
        self.field = field


class KeyFields(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the owner of a key decides about it; see `KeyRecord` for each."""

    name: str
    team: str | None = None
    user: str | None = None
    scopes: frozenset[str] = frozenset({"write"})
    operations: frozenset[str] | None = None
    models: tuple[str, ...] | None = None
    limits: Mapping[str, str] = {}
    budgets: Mapping[str, str] = {}
    tags: tuple[str, ...] = ()
    not_before: datetime | None = None
    expires_at: datetime | None = None

    def checked(self, now: datetime) -> "KeyFields":
        """Return these fields. Raises `FieldError` for the first that cannot be."""
        for field in ("name", "team", "user"):
            text = getattr(self, field)
            if text is not None and not (0 < len(text) <= MAX_TEXT and text.isprintable()):
                raise FieldError(field, f"{field} must be 1 to {MAX_TEXT} printable characters.")
        unknown = sorted(self.scopes - SCOPES)
        if unknown or not self.scopes:
            raise FieldError(
                "scopes", f"scopes are of {', '.join(sorted(SCOPES))}, not {', '.join(unknown)!r}."
            )
        for operation in sorted(self.operations or ()):
            if operation not in NAMES and not operation.startswith("/"):
                raise FieldError("operations", f"{operation!r} is no operation.")
        for field in ("not_before", "expires_at"):
            moment = getattr(self, field)
            if moment is not None and moment.tzinfo is None:
                raise FieldError(field, f"{field} needs a time zone, such as Z for UTC.")
        if self.expires_at is not None:
            if self.expires_at <= now:
                raise FieldError("expires_at", "expires_at has passed already.")
            if self.not_before is not None and self.expires_at <= self.not_before:
                raise FieldError("expires_at", "expires_at must be after not_before.")
        return self


class Issued(msgspec.Struct, frozen=True):
    """A key that was just made: its record, and the secret that is never to be seen again."""

    record: KeyRecord
    token: str


class Issuer:
    """Makes and ends keys in a store.

    New secrets begin with `prefix` and are digested under the current one of `peppers`. `clock`
    gives the time, in UTC. Every method may raise `StoreUnavailableError`.
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

        Raises `FieldError`, with the field `token` for one that cannot be a key or is known
        already; the token is in no message.
        """
        fields = fields.checked(self._clock())
        if not is_possible(token, self._prefix):
            raise FieldError("token", "This is no key: it must be one word of visible ASCII.")
        if await self._store.find([digest for _, digest in self._peppers.digests(token)]):
            raise FieldError("token", "This key is in the store already.")
        return (await self._issue(fields, token)).record

    async def rotate(self, key_id: str, *, overlap: timedelta = OVERLAP) -> Issued | None:
        """Make a key like this one, which itself ends after the overlap; None for no such key.

        Raises `FieldError` for a key that has ended already, or a negative overlap.
        """
        old = await self._store.get(key_id)
        if old is None:
            return None
        now = self._clock()
        if overlap < timedelta(0):
            raise FieldError("overlap", "overlap cannot be negative.")
        if old.revoked_at is not None or (old.expires_at is not None and old.expires_at <= now):
            raise FieldError("id", f"{key_id} has ended: create a new key instead.")
        kept = {name: getattr(old, name) for name in KeyFields.__struct_fields__}
        issued = await self._issue(KeyFields(**kept), new_token(self._prefix), rotated_from=old.id)
        end = now + overlap
        if old.expires_at is None or end < old.expires_at:
            await self._store.replace(msgspec.structs.replace(old, expires_at=end))
        return issued

    async def revoke(self, key_id: str) -> KeyRecord | None:
        """End a key now; None for no such key. One that was revoked before keeps its time."""
        record = await self._store.get(key_id)
        if record is None or record.revoked_at is not None:
            return record
        revoked = msgspec.structs.replace(record, revoked_at=self._clock())
        await self._store.replace(revoked)
        return revoked

    async def _issue(self, fields: KeyFields, token: str, **more: Any) -> Issued:
        now = self._clock()
        pepper_id, digest = self._peppers.digest(token)
        record = KeyRecord(
            id="key_" + ulid(int(now.timestamp() * 1000), os.urandom(RANDOM_LENGTH)),
            digest=digest,
            pepper_id=pepper_id,
            shown=shown(token),
            created_at=now,
            **msgspec.structs.asdict(fields),
            **more,
        )
        await self._store.add(record)
        return Issued(record, token)
