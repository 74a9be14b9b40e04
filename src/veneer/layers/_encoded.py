"""An answer with embeddings, given in base64 where the app below writes floats."""

import asyncio
from collections.abc import Awaitable, Callable
from http import HTTPStatus

from starlette.types import Message, Receive, Scope, Send

from veneer.dialects import Kind
from veneer.embeddings.encoding import first_vector, in_base64
from veneer.errors import Error
from veneer.wire import fields
from veneer.wire.framing import with_length

# Bytes of an answer that are held; 2,048 vectors of 3,072 floats have more.
MAX_ANSWER = 128 * 1024 * 1024
# The first vector stands within so many bytes, if the answer is like any that is known.
MAX_SNIFFED = 64 * 1024
# Bytes of base64 that are written, in a millisecond or two, before others have their turn.
BREATH = 64 * 1024

TOO_LARGE = Error(
    Kind.UPSTREAM_INVALID, "The model server's answer is too large to be given in base64."
)


class EncodedAnswer:
    """Passes an answer on at once whose vectors are in base64 already, and holds others."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._scope = scope
        self._receive = receive
        self._send = send
        self._start: Message = {}
        self._parts: list[bytes] = []
        self._size = 0
        self._sniffed = False
        self._take: Callable[[Message], Awaitable[None]] = send

    def send(self, message: Message) -> Awaitable[None]:
        """Take a message from the app below."""
        if message["type"] == "http.response.start" and _is_plain(message):
            self._start = message
            self._take = self._hold
            return _nothing()
        return self._take(message)

    async def _hold(self, message: Message) -> None:
        self._parts.append(message.get("body", b""))
        self._size += len(self._parts[-1])
        if not message.get("more_body", False):
            await self._encode()
        elif self._size > MAX_ANSWER:
            self._parts.clear()
            self._take = _dropped
            await TOO_LARGE(self._scope, self._receive, self._send)
        elif not self._sniffed:
            begin = b"".join(self._parts)
            self._parts = [begin]
            found = first_vector(begin)
            self._sniffed = bool(found) or len(begin) > MAX_SNIFFED
            if found == b'"':
                self._take = self._send
                await self._send(self._start)
                await self._send({**message, "body": begin})

    async def _encode(self) -> None:
        text = b"".join(self._parts)
        self._parts.clear()
        pieces: list[bytes] = []
        written = 0
        for piece in in_base64(text):
            pieces.append(piece)
            written += len(piece)
            if written > BREATH:
                written = 0
                await asyncio.sleep(0)
        body = b"".join(pieces)
        start = self._start
        if body != text:
            start = {**start, "headers": with_length(start.get("headers", ()), len(body))}
        await self._send(start)
        await self._send({"type": "http.response.body", "body": body})


def _is_plain(start: Message) -> bool:
    """Whether an answer is one with vectors, that can be read."""
    coded = fields.get(start.get("headers", ()), b"content-encoding") not in (None, b"identity")
    return start["status"] == HTTPStatus.OK and not coded


async def _nothing() -> None:
    """Wait for the body."""


async def _dropped(_message: Message) -> None:
    """Send nothing more: the client has been told of an error."""
