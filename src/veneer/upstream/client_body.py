"""The client's body: on its way to an upstream, in memory or as it comes."""

from collections.abc import AsyncIterator

import msgspec
from starlette.types import Message, Receive

from veneer.client import MAX_DIGITS, ClientDisconnectedError
from veneer.dialects import Kind
from veneer.errors import Error

TWO_LENGTHS = Error(
    Kind.INVALID_REQUEST,
    "The length of the request body is given in more than one way, or is no length.",
    headers=((b"connection", b"close"),),
)


class ClientBody(msgspec.Struct, frozen=True):
    """A body, and the length that a streamed one was announced with (None: it comes in chunks)."""

    content: bytes | AsyncIterator[bytes]
    length: int | None = None


async def read_client_body(
    framing: list[tuple[bytes, bytes]], receive: Receive
) -> ClientBody | Error:
    """Return the request's body: whole where it came in one message, else streamed.

    `framing` are the fields of the request that tell its length. One framed in two ways, or in one
    that is no number, is refused (RFC 9112 §6.1, §6.3).
    Raises `ClientDisconnectedError`, and what `receive` raises.
    """
    length = None
    if framing:
        name, value = framing[0]
        if len(framing) > 1:
            return TWO_LENGTHS
        if name == b"content-length":
            if not value.isdigit() or len(value) > MAX_DIGITS:
                return TWO_LENGTHS
            length = int(value)
    # Without framing there is no body, but the client is only watched from the end of it on.
    first = await receive()
    if first["type"] == "http.disconnect":
        raise ClientDisconnectedError
    if not first.get("more_body", False):
        return ClientBody(first.get("body", b""))
    return ClientBody(_Parts(first, receive), length)


class _Parts:
    """The parts of a body; unlike a generator, it may be dropped anywhere without being closed."""

    __slots__ = ("_ended", "_first", "_receive")

    def __init__(self, first: Message, receive: Receive) -> None:
        self._first: Message | None = first
        self._receive = receive
        self._ended = False

    def __aiter__(self) -> "_Parts":
        return self

    async def __anext__(self) -> bytes:
        while not self._ended:
            message = self._first or await self._receive()
            self._first = None
            if message["type"] == "http.disconnect":
                raise ClientDisconnectedError
            self._ended = not message.get("more_body", False)
            body: bytes = message.get("body", b"")
            if body:
                return body
        raise StopAsyncIteration
