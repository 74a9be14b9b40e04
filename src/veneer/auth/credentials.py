"""Credentials: where a request shows one, and how it is taken out of it."""

from collections.abc import Iterable, Sequence

import msgspec
from starlette.types import Scope

from veneer.dialects import Kind
from veneer.errors import Error
from veneer.wire import fields

# The fields of OpenAI's clients, of many gateways, and of Azure's clients.
DEFAULT = ("authorization", "x-api-key", "api-key")
MAX_LENGTH = 8192

AUTHORIZATION = b"authorization"
SUBPROTOCOL = b"sec-websocket-protocol"
# How a browser shows a key: it can choose no other field of a WebSocket's handshake.
SUBPROTOCOL_PREFIX = b"openai-insecure-api-key."

CHALLENGE = ((b"www-authenticate", b"Bearer"),)

# Visible ASCII but the comma, which is where somebody has joined two fields (RFC 9110 §5.3).
_ALPHABET = bytes(code for code in range(0x21, 0x7F) if code != ord(","))

NOT_BEARER = Error(
    Kind.KEY_MALFORMED,
    "The Authorization header has to be 'Bearer', a space, and the key.",
    headers=CHALLENGE,
)
TWO = Error(
    Kind.INVALID_REQUEST,
    "The request shows two different credentials: send one of them, in one header.",
)


class Shown(msgspec.Struct, frozen=True, gc=False):
    """What a request shows: its credential, None for none, and its fields without it."""

    credential: str | None
    headers: list[tuple[bytes, bytes]]


class Credentials:
    """Reads credentials from the fields named, and takes those fields away.

    `Authorization` holds a Bearer token (RFC 6750 §2.1), `Sec-WebSocket-Protocol` the form of
    OpenAI's browser clients, any other field the bare key. Raises ValueError for no field, or for
    one that cannot be.
    """

    def __init__(self, names: Iterable[str] = DEFAULT) -> None:
        raw = [name.lower().encode() for name in names]
        wrong = [name.decode() for name in raw if not fields.is_token(name)]
        if wrong or not raw:
            raise ValueError(
                f"credentials has {', '.join(map(repr, wrong)) or 'no field'}: name header fields "
                "such as 'authorization' and 'x-api-key'."
            )
        self._subprotocol = SUBPROTOCOL in raw
        self._names = frozenset(raw) - {SUBPROTOCOL}
        self.missing = Error(Kind.KEY_MISSING, _how_to(raw), headers=CHALLENGE)

    def read(self, headers: Sequence[tuple[bytes, bytes]]) -> Shown | Error:
        """Return what the fields of a request show, or how they are malformed.

        The same credential may stand in several fields, two may not.
        """
        names = self._names
        kept = []
        shown: bytes | None = None
        for pair in headers:
            # Most fields are none of these, and every call has many.
            if pair[0] not in names:
                kept.append(pair)
                continue
            credential = _bare(pair[0], pair[1])
            if credential is None:
                return NOT_BEARER
            if shown is not None and shown != credential:
                return TWO
            shown = credential
        return _judged(shown, kept)

    def read_websocket(self, scope: Scope) -> tuple[Shown | Error, list[str]]:
        """Return what a WebSocket's handshake shows, and the subprotocols without a key."""
        offered: list[str] = scope.get("subprotocols", [])
        shown = self.read(scope["headers"])
        if isinstance(shown, Error) or not self._subprotocol:
            return shown, offered
        keys: set[bytes] = set()
        kept = []
        for name, value in shown.headers:
            if name == SUBPROTOCOL:
                others = _without_keys(value, keys)
                if others:
                    kept.append((name, others))
            else:
                kept.append((name, value))
        prefix = SUBPROTOCOL_PREFIX.decode()
        offered = [protocol for protocol in offered if not protocol.startswith(prefix)]
        if shown.credential is not None:
            keys.add(shown.credential.encode())
        if len(keys) > 1:
            return TWO, offered
        return _judged(keys.pop() if keys else None, kept), offered


def _bare(name: bytes, value: bytes) -> bytes | None:
    """Return what stands in a field, empty for nothing; None for a scheme that is not Bearer."""
    if name != AUTHORIZATION:
        return value.strip(b" \t")
    # The scheme is case-insensitive (RFC 9110 §11.1).
    if value[:7] == b"Bearer " or value[:7].lower() == b"bearer ":
        return value[7:].strip(b" \t")
    return b"" if value.strip(b" \t").lower() == b"bearer" else None


def _without_keys(value: bytes, keys: set[bytes]) -> bytes:
    """Return a list of subprotocols without those that are keys, which are added to `keys`."""
    others = []
    for item in value.split(b","):
        protocol = item.strip(b" \t")
        if protocol.startswith(SUBPROTOCOL_PREFIX):
            keys.add(protocol.removeprefix(SUBPROTOCOL_PREFIX))
        elif protocol:
            others.append(protocol)
    return b", ".join(others)


def _judged(shown: bytes | None, kept: list[tuple[bytes, bytes]]) -> Shown | Error:
    if shown is None:
        return Shown(None, kept)
    if not shown:
        return _malformed("The credential is empty.")
    if len(shown) > MAX_LENGTH:
        return _malformed(f"The credential is longer than {MAX_LENGTH} bytes.")
    if shown.translate(None, _ALPHABET):
        return _malformed(
            "The credential has a character that no key has: a space or a comma between two, a "
            "control character, or one outside ASCII."
        )
    return Shown(shown.decode("ascii"), kept)


def _malformed(message: str) -> Error:
    return Error(Kind.KEY_MALFORMED, message, headers=CHALLENGE)


def _how_to(names: Sequence[bytes]) -> str:
    """Return the sentence for somebody who has sent no key."""
    ways = [
        "'Authorization: Bearer YOUR_KEY'" if name == AUTHORIZATION else f"'{name.decode()}'"
        for name in names
        if name != SUBPROTOCOL
    ]
    where = f" Send it as {' or '.join(ways)}." if ways else ""
    return f"You did not provide an API key.{where}"
