"""Static keys: those that stand in the configuration, by their digests."""

import hmac
import re
from collections.abc import Iterable
from hashlib import sha256

from veneer.auth.verifier import Denial
from veneer.facts import Principal

_HEX = re.compile(r"[0-9a-fA-F]{64}").fullmatch


class StaticKeys:
    """Knows a fixed set of keys: pairs of a digest (as `digest_of` makes it) and its principal.

    Several keys may belong to one principal. With a `pepper`, digests are HMACs under it, so that
    who reads the configuration cannot try out short secrets. `principals` are all whom it knows.
    Raises ValueError for no key, for a digest that is none, and for one that comes twice.
    """

    def __init__(
        self, keys: Iterable[tuple[str, Principal]], *, pepper: bytes | None = None
    ) -> None:
        self._pepper = pepper
        self._known: dict[bytes, Principal] = {}
        self._met: dict[bytes, Principal] = {}
        for digest, principal in keys:
            if not _HEX(digest):
                raise ValueError(
                    f"The digest of the key {principal.id!r} is not 64 hexadecimal digits: give "
                    "the SHA-256 of the key, or its HMAC-SHA-256 where there is a pepper."
                )
            raw = bytes.fromhex(digest)
            if raw in self._known:
                raise ValueError(
                    f"The keys {self._known[raw].id!r} and {principal.id!r} are one key: "
                    "take one of them out."
                )
            self._known[raw] = principal
        if not self._known:
            raise ValueError("There is no key: give one, or leave static keys out.")
        self.principals = tuple(self._known.values())

    def recall(self, credential: str) -> Principal | None:
        """Return whose key this is; under a pepper, where it was met before."""
        known = self._known if self._pepper is None else self._met
        return known.get(sha256(credential.encode()).digest())

    async def verify(self, credential: str) -> Principal | Denial:
        """Return whose key this is.

        Secrets are looked up by their digests, so how long that takes tells nothing about them.
        """
        plain = sha256(credential.encode()).digest()
        if self._pepper is None:
            return self._known.get(plain) or Denial.UNKNOWN
        # An HMAC costs several times its hash, and the same keys come again and again.
        principal = self._met.get(plain)
        if principal is not None:
            return principal
        principal = self._known.get(_digest(credential, self._pepper))
        if principal is None:
            return Denial.UNKNOWN
        self._met[plain] = principal
        return principal


def digest_of(secret: str, pepper: bytes | None = None) -> str:
    """Return the digest of a key in hexadecimal: SHA-256, or HMAC-SHA-256 under a pepper."""
    return _digest(secret, pepper).hex()


def _digest(secret: str, pepper: bytes | None) -> bytes:
    if pepper is None:
        return sha256(secret.encode()).digest()
    return hmac.digest(pepper, secret.encode(), "sha256")
