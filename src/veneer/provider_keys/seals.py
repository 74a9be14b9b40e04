"""Seals: how keys of callers lie in a store, so that it gives none away.

AES-256 in Galois counter mode, with a random nonce of 96 bits for each. What a sealed key belongs
to is authenticated with it, so that a row cannot be put in the place of another.
"""

import base64
import hmac
import os
from collections.abc import Sequence
from importlib import import_module
from typing import Any

import msgspec

MIN_LENGTH = 32

_NONCE = 12
_ID = 8


class UnsealedError(Exception):
    """A sealed key cannot be opened; the text says why, and holds nothing of it."""


class Seals:
    """Seals secrets, and opens them, under one of several secrets of the operator's.

    The first seals; all open. To rotate, put the new one before the others everywhere, seal all
    anew, and drop the old one. What is sealed names the secret by an `id` that is made from it, so
    that an old one is found, and missed, by name.

    Raises ValueError for no secret, one of fewer than 32 bytes, or two that are the same, and where
    the package `cryptography` is missing.
    """

    def __init__(self, secrets: Sequence[bytes]) -> None:
        if not secrets:
            raise ValueError("Keys of callers are sealed under a secret: give one.")
        for secret in secrets:
            if len(secret) < MIN_LENGTH:
                raise ValueError(
                    f"The secret that keys are sealed under has {len(secret)} bytes: make it of at "
                    f"least {MIN_LENGTH} random ones, as `openssl rand -hex 32` does."
                )
        if len(set(secrets)) < len(secrets):
            raise ValueError("Two of the secrets that keys are sealed under are the same.")
        cipher = _cipher()
        self._ciphers = {_id(secret): cipher(_derived(secret, b"cipher")) for secret in secrets}
        self.id = _id(secrets[0])

    def seal(self, secret: str, *belongs: str) -> tuple[str, str]:
        """Return the id of the secret that seals, and the sealed text.

        It can be opened only with the same words of what it `belongs` to.
        """
        nonce = os.urandom(_NONCE)
        sealed = self._ciphers[self.id].encrypt(nonce, secret.encode(), _bound(belongs))
        return self.id, base64.b64encode(nonce + sealed).decode("ascii")

    def open(self, seal: str, sealed: str, *belongs: str) -> str:
        """Return what was sealed. Raises `UnsealedError` where that cannot be."""
        cipher = self._ciphers.get(seal)
        if cipher is None:
            raise UnsealedError(f"the secret {seal} that sealed it is not among those given")
        try:
            raw = base64.b64decode(sealed, validate=True)
            opened: bytes = cipher.decrypt(raw[:_NONCE], raw[_NONCE:], _bound(belongs))
            return opened.decode()
        except (ValueError, _invalid_tag()):
            raise UnsealedError("it was changed, or is another's") from None

    def __repr__(self) -> str:
        """Tell the ids, which are no secrets."""
        return f"Seals({', '.join(self._ciphers)})"


def _id(secret: bytes) -> str:
    return _derived(secret, b"id").hex()[:_ID]


def _derived(secret: bytes, what: bytes) -> bytes:
    """Return 32 bytes for one use of a secret, which has enough random bits for a fast hash."""
    return hmac.digest(secret, b"veneer provider keys: " + what, "sha256")


def _bound(belongs: Sequence[str]) -> bytes:
    """Return words so that no other words come to the same."""
    return msgspec.json.encode(belongs)


def _cipher() -> Any:
    try:
        return import_module("cryptography.hazmat.primitives.ciphers.aead").AESGCM
    except ModuleNotFoundError as error:
        raise ValueError(
            "Sealing keys of callers needs the package cryptography: install veneer[byok]."
        ) from error


def _invalid_tag() -> type[Exception]:
    found: type[Exception] = import_module("cryptography.exceptions").InvalidTag
    return found
