"""JSON Web Tokens as they are written: strict reading, before anything in them is believed.

What two readers could read in two ways is refused: members that come twice, padding, stray bits.
"""

import base64
import binascii
import json
import math
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NoReturn

import msgspec

# What each algorithm needs of a key (RFC 7518 §3.1, RFC 8037 §3.1): its type, and its curves. No
# other algorithm is ever accepted: `none` proves nothing, and an HMAC under a public key no more.
ALGORITHMS: Mapping[str, tuple[str, frozenset[str]]] = MappingProxyType(
    {
        **{
            f"{kind}{bits}": ("RSA", frozenset())
            for kind in ("RS", "PS")
            for bits in (256, 384, 512)
        },
        "ES256": ("EC", frozenset({"P-256"})),
        "ES384": ("EC", frozenset({"P-384"})),
        "ES512": ("EC", frozenset({"P-521"})),
        "EdDSA": ("OKP", frozenset({"Ed25519", "Ed448"})),
    }
)

MAX_TEXT = 256
PARTS = 3

_BASE64URL = re.compile(r"[A-Za-z0-9_-]*").fullmatch


class TokenError(ValueError):
    """A token that is not written as one may be; nothing of it is in the text."""


class Token(msgspec.Struct, frozen=True):
    """What a token says of itself; none of it is true unless `signature` is one of `signed`."""

    algorithm: str
    key_id: str | None
    type: str | None
    claims: Mapping[str, Any]
    signed: bytes
    signature: bytes


def read_token(text: str) -> Token:
    """Read a token in the compact form (RFC 7515 §7.1). Raises TokenError."""
    parts = text.split(".", PARTS)
    if len(parts) != PARTS:
        raise TokenError("it has not three parts")
    header = read_object(_decoded(parts[0]))
    claims = read_object(_decoded(parts[1]))
    signature = _decoded(parts[2])
    # An extension that has to be understood is not (RFC 7515 §4.1.11); `b64` is one (RFC 7797 §6).
    if "crit" in header or "b64" in header:
        raise TokenError("it needs an extension")
    algorithm = _text(header, "alg")
    if algorithm is None:
        raise TokenError("it has no algorithm")
    signed = f"{parts[0]}.{parts[1]}".encode()
    return Token(algorithm, _text(header, "kid"), _text(header, "typ"), claims, signed, signature)


def read_object(data: bytes) -> dict[str, Any]:
    """Read a JSON object whose members are there once each, to any depth. Raises TokenError."""
    try:
        value = json.loads(
            data.decode(),
            object_pairs_hook=_once_each,
            parse_constant=_refuse_constant,
        )
    except TokenError:
        raise
    except (ValueError, RecursionError):
        # Without what the parser says: it quotes.
        raise TokenError("it is not JSON") from None
    if not isinstance(value, dict):
        raise TokenError("it is not an object")
    return value


def number(members: Mapping[str, Any], name: str) -> float | None:
    """Return a member that is a finite number, None where there is none. Raises TokenError."""
    value = members.get(name)
    if value is None and name not in members:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TokenError(f"{name} is no number")
    try:
        seconds = float(value)
    except OverflowError:
        seconds = math.inf
    if not math.isfinite(seconds):
        raise TokenError(f"{name} is not finite")
    return seconds


def _text(members: Mapping[str, Any], name: str) -> str | None:
    if name not in members:
        return None
    value = members[name]
    if not isinstance(value, str) or len(value) > MAX_TEXT:
        raise TokenError(f"{name} is no short text")
    return value


def _decoded(part: str) -> bytes:
    """Decode base64url without padding (RFC 7515 §2), written in the only way that there is."""
    if not _BASE64URL(part):
        raise TokenError("a part is not base64url")
    raw = part.encode()
    try:
        data = base64.urlsafe_b64decode(raw + b"=" * (-len(raw) % 4))
    except binascii.Error:
        raise TokenError("a part is not base64url") from None
    if base64.urlsafe_b64encode(data).rstrip(b"=") != raw:
        raise TokenError("a part has stray bits")
    return data


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise TokenError("a member comes twice")
    return members


def _refuse_constant(_name: str) -> NoReturn:
    raise TokenError("NaN and Infinity are not JSON")
