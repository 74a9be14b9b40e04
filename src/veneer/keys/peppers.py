"""Peppers: the secrets under which the digests of keys are made, kept outside the store.

A stolen store is worth nothing without them. A key has 178 random bits, so one fast keyed hash is
enough; the slow, salted hashes are for what people think up.
"""

import hmac
from collections.abc import Mapping

MIN_LENGTH = 32


class Peppers:
    """The peppers by id, oldest first, of which one is `current`: it makes the digests of new keys.

    To rotate, add the new pepper behind the others everywhere, make it the current one everywhere,
    and drop the old one when no record names it any more: digests under a pepper that stands before
    the current one are made anew when their keys are used.

    Raises ValueError for a pepper of fewer than 32 bytes, two that are the same, or a current one
    that is not among them.
    """

    def __init__(self, secrets: Mapping[str, bytes], *, current: str) -> None:
        if current not in secrets:
            raise ValueError(
                f"The current pepper, {current!r}, is not among the peppers "
                f"({', '.join(map(repr, secrets)) or 'there are none'})."
            )
        for pepper_id, secret in secrets.items():
            if len(secret) < MIN_LENGTH:
                raise ValueError(
                    f"The pepper {pepper_id!r} has {len(secret)} bytes: make it of at least "
                    f"{MIN_LENGTH} random ones, as `openssl rand -hex 32` does."
                )
        if len(set(secrets.values())) < len(secrets):
            raise ValueError("Two peppers are the same: give each id a secret of its own.")
        self.current = current
        self._secrets = dict(secrets)
        order = list(self._secrets)
        self._outdated = frozenset(order[: order.index(current)])

    def digest(self, token: str) -> tuple[str, str]:
        """Return the current pepper's id and the HMAC-SHA-256 of a token under it, in hex."""
        return self.current, self._hex(self.current, token)

    def digests(self, token: str) -> list[tuple[str, str]]:
        """Return the id and the digest of a token under every pepper, the current one first."""
        others = (pepper_id for pepper_id in self._secrets if pepper_id != self.current)
        return [self.digest(token), *((other, self._hex(other, token)) for other in others)]

    def is_outdated(self, pepper_id: str) -> bool:
        """Whether digests under this pepper should be made anew under the current one.

        Those of a later pepper are not: while a new one is being made current, process by process,
        the two halves would undo each other's work.
        """
        return pepper_id in self._outdated

    def __repr__(self) -> str:
        return f"Peppers({', '.join(map(repr, self._secrets))}, current={self.current!r})"

    def _hex(self, pepper_id: str, token: str) -> str:
        return hmac.digest(self._secrets[pepper_id], token.encode(), "sha256").hex()
