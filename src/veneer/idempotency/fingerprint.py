"""The fingerprint of a request: the same for the same request, however its JSON is spelled."""

import re
from collections.abc import Iterable
from hashlib import blake2b

import anyio.to_thread
import msgspec
from starlette.types import Scope

from veneer import facts
from veneer.dialects import Dialect
from veneer.operations import Body, endpoint_of, path_below_base
from veneer.wire import fields

SIZE = 20

# Bytes of a body beyond which it is digested in a thread: the loop is not to wait for it.
INLINE = 64 * 1024

# A decoder holds the interpreter even in a thread. A longer body that may have more values than
# this counts as its bytes, as those of a retry are the same.
MAX_VALUES = 50_000

# Digits of a whole number that is spelled out; so `1e9999` cannot make much of little.
MAX_DIGITS = 64

# Parts of a form; what comes behind them counts as it is.
MAX_PARTS = 1000

_BOUNDARY = re.compile(
    rb";[ \t]*boundary=(\"?)(?P<name>[0-9A-Za-z'()+_,./:=?-]{1,70})\1", re.IGNORECASE
)


async def fingerprint_of(scope: Scope, body: bytes) -> bytes:
    """Return 20 bytes that stand for the method, the operation's path, the query and the body.

    So they do for the version of the API that is asked for, where the dialect has several.

    JSON counts as its value: the order of members, white space, escapes, and how a number is
    written make no difference, though every digit of it does. What is no JSON, is nested too
    deeply, or has too many values counts as its bytes. A multipart body counts without its
    boundary, which clients draw anew for a retry.
    """
    endpoint = endpoint_of(scope)
    path = path_below_base(scope).encode() if endpoint is None else endpoint.path
    about = [scope["method"].encode(), path, bytes(scope.get("query_string") or b"")]
    dialect = facts.get(scope, Dialect)
    if dialect is not None and dialect.versions is not None:
        about.append(fields.get(scope["headers"], dialect.versions.field) or b"")
    kind = fields.get(scope["headers"], b"content-type") or b""
    is_json = (endpoint is not None and endpoint.operation.body is Body.JSON) or fields.is_json(
        fields.media_type(kind)
    )
    boundary = None if is_json else _boundary(kind)
    if len(body) <= INLINE:
        return _digest(about, body, is_json=is_json, boundary=boundary)
    return await anyio.to_thread.run_sync(
        lambda: _digest(about, body, is_json=is_json, boundary=boundary)
    )


def _digest(about: Iterable[bytes], body: bytes, *, is_json: bool, boundary: bytes | None) -> bytes:
    digest = blake2b(b"".join(_framed(about)), digest_size=SIZE)
    value = _canonical(body) if is_json else None
    if value is not None:
        digest.update(b"value")
        digest.update(value)
    elif boundary is not None:
        digest.update(b"parts")
        for framed in _framed(body.split(b"--" + boundary, MAX_PARTS)):
            digest.update(framed)
    else:
        digest.update(b"bytes")
        digest.update(body)
    return digest.digest()


def _framed(parts: Iterable[bytes]) -> Iterable[bytes]:
    """Yield each part behind its length, so that no two sequences read the same."""
    for part in parts:
        yield len(part).to_bytes(8, "big")
        yield part


def _boundary(kind: bytes) -> bytes | None:
    if not kind.lower().startswith(b"multipart/"):
        return None
    found = _BOUNDARY.search(kind)
    return None if found is None else found["name"]


def _canonical(body: bytes) -> bytes | None:
    """Return the one spelling of a JSON text, or None where it has none."""
    if len(body) > INLINE and sum(map(body.count, (b",", b"[", b"{"))) > MAX_VALUES:
        return None
    try:
        return _encoder.encode(_decoder.decode(body))
    except (ValueError, OverflowError, RecursionError):
        return None


def _number(text: str) -> int | msgspec.Raw:
    """Return a number with a point or an exponent, as it is to be written; ValueError for a freak.

    A whole one is what it would be without them; any other its digits and an exponent.
    """
    mantissa, _, exponent = text.replace("E", "e").partition("e")
    whole, _, fraction = mantissa.lstrip("-").partition(".")
    digits = (whole + fraction).lstrip("0")
    bare = digits.rstrip("0")
    if not bare:
        return 0
    power = int(exponent or 0) - len(fraction) + len(digits) - len(bare)
    sign = "-" if text[0] == "-" else ""
    if power >= 0 and len(bare) + power <= MAX_DIGITS:
        return int(f"{sign}{bare}{'0' * power}")
    return msgspec.Raw(f"{sign}{bare}e{power}".encode())


_decoder = msgspec.json.Decoder(float_hook=_number)
_encoder = msgspec.json.Encoder(order="sorted")
