"""What is known of keys without asking the store; no I/O, no clock."""

import hashlib
import secrets
from collections import OrderedDict
from collections.abc import Collection, Iterable

from veneer.auth.verifier import Denial
from veneer.facts import Principal
from veneer.keys.record import KeyRecord

_BLOCK = 64
_EVER = float("inf")


class Entry:
    """A known key: its record, and what is asked of it at every use, worked out once.

    `digests` are those of its token under all peppers. What the record says may be relied upon
    until `fresh_until`, or for as long as the store is polled. It is valid from `begins` until
    before `ends`, in Unix seconds.
    """

    __slots__ = ("begins", "digests", "ends", "fresh_until", "id", "principal", "record")

    def __init__(self, record: KeyRecord, digests: Collection[str], fresh_until: float) -> None:
        self.record = record
        self.digests = digests
        self.fresh_until = fresh_until
        self.id = record.id
        self.principal = principal_of(record)
        self.begins = record.not_before.timestamp() if record.not_before else -_EVER
        self.ends = record.expires_at.timestamp() if record.expires_at else _EVER
        if record.revoked_at is not None:
            self.ends = -_EVER

    def denial(self, now: float) -> Denial:
        """Return why the key is not valid at a time when it is not."""
        if self.record.revoked_at is not None:
            return Denial.REVOKED
        return Denial.EXPIRED if now >= self.ends else Denial.NOT_YET_VALID


class KeyCache:
    """Known keys, and tokens known to be nobody's, each at most `max_entries` of them.

    They are apart, so that whoever guesses does not push out those who know. What was used longest
    ago goes first. Tokens themselves are not kept, but a hash of theirs, salted anew for every
    cache; the store's digests would serve, at three times the price of a use.
    """

    def __init__(self, max_entries: int) -> None:
        self._max_entries = max_entries
        self._salted = hashlib.sha256(secrets.token_bytes(_BLOCK))
        self._entries: OrderedDict[bytes, Entry] = OrderedDict()
        self._unknown: OrderedDict[bytes, tuple[float, Collection[str]]] = OrderedDict()
        # Where the digests that the store speaks of are found, whichever pepper they are under.
        self._by_digest: dict[str, bytes] = {}

    def fingerprint(self, token: str) -> bytes:
        """Return what a token goes by in this cache."""
        salted = self._salted.copy()
        salted.update(token.encode())
        return salted.digest()

    def get(self, fingerprint: bytes) -> Entry | None:
        """Return what is known of a key, and count that as a use."""
        entry = self._entries.get(fingerprint)
        if entry is not None:
            self._entries.move_to_end(fingerprint)
        return entry

    def is_unknown(self, fingerprint: bytes, now: float) -> bool:
        """Whether a token was found to be nobody's, not too long ago."""
        known = self._unknown.get(fingerprint)
        return known is not None and now < known[0]

    def put(self, fingerprint: bytes, entry: Entry) -> None:
        """Remember a key."""
        self._forget(fingerprint)
        self._entries[fingerprint] = entry
        self._index(fingerprint, entry.digests)
        if len(self._entries) > self._max_entries:
            self._forget(next(iter(self._entries)))

    def put_unknown(self, fingerprint: bytes, digests: Collection[str], until: float) -> None:
        """Remember that a token is nobody's."""
        self._forget(fingerprint)
        self._unknown[fingerprint] = (until, digests)
        self._index(fingerprint, digests)
        if len(self._unknown) > self._max_entries:
            self._forget(next(iter(self._unknown)))

    def evict(self, digests: Iterable[str]) -> None:
        """Forget the tokens that have one of these digests."""
        for digest in digests:
            fingerprint = self._by_digest.get(digest)
            if fingerprint is not None:
                self._forget(fingerprint)

    def clear(self) -> None:
        """Forget everything."""
        self._entries.clear()
        self._unknown.clear()
        self._by_digest.clear()

    def _index(self, fingerprint: bytes, digests: Collection[str]) -> None:
        for digest in digests:
            self._by_digest[digest] = fingerprint

    def _forget(self, fingerprint: bytes) -> None:
        entry = self._entries.pop(fingerprint, None)
        _, digests = self._unknown.pop(fingerprint, (0.0, ()))
        for digest in entry.digests if entry is not None else digests:
            self._by_digest.pop(digest, None)


def principal_of(record: KeyRecord) -> Principal:
    """Return who uses a key."""
    return Principal(
        id=record.id,
        name=record.name,
        team=record.team,
        user=record.user,
        scopes=record.scopes,
        operations=record.operations,
        models=record.models,
        limits=record.limits,
        budgets=record.budgets,
        tags=record.tags,
        shown=record.shown,
        created_at=record.created_at,
        expires_at=record.expires_at,
    )
