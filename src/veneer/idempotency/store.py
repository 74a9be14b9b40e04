"""The store of recordings: who runs a call, and what it was answered."""

from contextlib import AbstractAsyncContextManager
from typing import Protocol

import msgspec


class StoreUnavailableError(Exception):
    """The store does not answer, or can keep no more; the text is for the operator's log."""


class UnreadableRecordingError(StoreUnavailableError):
    """The store answers, but what it has for this one key cannot be read."""


class Recording(msgspec.Struct, frozen=True):
    """A whole answer, as it is to be replayed."""

    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes


class Claim(msgspec.Struct, frozen=True):
    """The call is the claimant's to run; `token` is greater than that of every claim before it."""

    token: int


class InFlight(msgspec.Struct, frozen=True):
    """Somebody runs the call, and will for `seconds` more unless the lease is renewed."""

    fingerprint: bytes
    seconds: float


class Done(msgspec.Struct, frozen=True):
    """The call was answered; `recording` is None where the answer was too large to be kept."""

    fingerprint: bytes
    recording: Recording | None


class RecordingStore(Protocol):
    """Keeps one entry for each key (bytes of a fixed length, which name tenant and key).

    A claim is a lease. Whoever holds one renews it; a holder that was killed or stopped loses it
    when its time is over, and from the next claim on its token is void: it can no longer renew,
    commit or release anything. An entry without a recording whose lease is over counts as none.

    Every method is bounded in time and raises `StoreUnavailableError` where the store cannot do it.
    A cancelled `claim` may have claimed: the lease mends that.
    """

    async def claim(
        self, key: bytes, fingerprint: bytes, lease: float, /
    ) -> Claim | InFlight | Done:
        """Claim a key for `lease` seconds, or tell what is there, whatever its fingerprint."""
        ...

    async def look(self, key: bytes, /) -> InFlight | Done | None:
        """Tell what is there."""
        ...

    async def renew(self, key: bytes, token: int, lease: float, /) -> bool:
        """Hold a claim for `lease` seconds from now; False if it is not held any more."""
        ...

    async def commit(
        self, key: bytes, token: int, recording: Recording | None, ttl: float, /
    ) -> bool:
        """Keep an answer for `ttl` seconds in place of the claim; False if that is not held.

        A commit that was repeated because nobody heard whether it succeeded is True again.
        """
        ...

    async def release(self, key: bytes, token: int, /) -> None:
        """Give a claim up, so that the next one runs the call; one that is not held is no error."""
        ...

    def lifespan(self) -> AbstractAsyncContextManager[object]:
        """Return the context in which it can be used."""
        ...
