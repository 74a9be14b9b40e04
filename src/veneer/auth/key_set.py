"""Key sets: the public keys of an issuer, as a JSON Web Key Set says them (RFC 7517)."""

import logging
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any

from veneer.auth.jose import ALGORITHMS, MAX_TEXT, TokenError, read_object
from veneer.wiring import ConfigurationError

logger = logging.getLogger("veneer.auth")

MAX_KEYS = 100
# NIST SP 800-131A: RSA below this is not acceptable.
MIN_RSA_BITS = 2048

# What of a JWK is its public key; whatever else stands in it is not read.
_PUBLIC = frozenset({"kty", "crv", "n", "e", "x", "y"})


def pyjwt() -> Any:
    """Return PyJWT, which the extra `jwt` brings; raises ConfigurationError where it is missing."""
    try:
        import_module("cryptography")
        return import_module("jwt")
    except ImportError as error:
        raise ConfigurationError(
            "JWTs need two more packages: install veneer with its extra, 'veneer[jwt]'."
        ) from error


class KeySet:
    """The usable keys of a set, each for the algorithms that it fits.

    Raises TokenError for a document that is no key set, or none of whose keys can be used.
    """

    def __init__(self, document: bytes) -> None:
        keys = read_object(document).get("keys")
        if not isinstance(keys, list) or len(keys) > MAX_KEYS:
            raise TokenError("it has no list of keys, or too long a one")
        self._by_algorithm: dict[str, list[tuple[str | None, Any]]] = {}
        for jwk in keys:
            if isinstance(jwk, dict) and _is_for_signatures(jwk):
                self._add(jwk)
        if not self._by_algorithm:
            raise TokenError("none of its keys can be used")

    def find(self, key_id: str | None, algorithm: str) -> Sequence[Any]:
        """Return the keys (`jwt.PyJWK`) that may have signed: with this id, or the only one."""
        fitting = self._by_algorithm.get(algorithm, [])
        if key_id is not None:
            return [key for known, key in fitting if known == key_id]
        return [key for _, key in fitting] if len(fitting) == 1 else []

    def _add(self, jwk: Mapping[str, Any]) -> None:
        jwt = pyjwt()
        key_id = jwk.get("kid")
        if key_id is not None and (not isinstance(key_id, str) or len(key_id) > MAX_TEXT):
            return
        public = {name: value for name, value in jwk.items() if name in _PUBLIC}
        for algorithm in _fitting(jwk):
            try:
                key = jwt.PyJWK(public, algorithm)
            except (jwt.PyJWTError, TypeError, ValueError):
                logger.warning("a key of the set is passed over: it cannot be read")
                return
            if jwk["kty"] == "RSA" and key.key.key_size < MIN_RSA_BITS:
                logger.warning("a key of the set is passed over: it is too short")
                return
            self._by_algorithm.setdefault(algorithm, []).append((key_id, key))


def _is_for_signatures(jwk: Mapping[str, Any]) -> bool:
    operations = jwk.get("key_ops", ["verify"])
    return (
        jwk.get("use", "sig") == "sig" and isinstance(operations, list) and "verify" in operations
    )


def _fitting(jwk: Mapping[str, Any]) -> list[str]:
    """Return the algorithms that a key is for: its own, or all that its type and curve allow."""
    return [
        name
        for name, (kind, curves) in ALGORITHMS.items()
        if jwk.get("kty") == kind
        and (not curves or jwk.get("crv") in curves)
        and jwk.get("alg", name) == name
    ]
