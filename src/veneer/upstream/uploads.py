"""Uploads: the body of a request on its way to an upstream, in memory or as it comes."""

from collections.abc import AsyncIterator

from starlette.types import Message, Receive, Scope

from veneer.client import BodyTimeoutError, ClientDisconnectedError
from veneer.dialects import Kind
from veneer.errors import Error


class Upload:
    """A body and the length it was announced with, None where it comes in chunks."""

    __slots__ = ("body", "length")

    def __init__(self, body: bytes | AsyncIterator[bytes], length: int | None) -> None:
        self.body = body
        self.length = length


async def read_upload(scope: Scope, receive: Receive) -> Upload | Error:
    """Return the request's body: whole where it came in one message, else streamed.

    A request framed in two ways, or in one that is no number, is refused (RFC 9112 §6.1, §6.3).
    """
    lengths = [value for name, value in scope["headers"] if name == b"content-length"]
    chunked = any(name == b"transfer-encoding" for name, _ in scope["headers"])
    if not lengths and not chunked:
        return Upload(b"", None)
    if len(set(lengths)) + chunked > 1 or not all(value.isdigit() for value in lengths):
        return Error(
            Kind.INVALID_REQUEST,
            "The length of the request body is given in more than one way.",
            headers=((b"connection", b"close"),),
        )
    first = await receive()
    if first["type"] == "http.disconnect":
        raise ClientDisconnectedError
    if not first.get("more_body", False):
        return Upload(first.get("body", b""), None)
    return Upload(_parts(first, receive), int(lengths[0]) if lengths else None)


async def _parts(message: Message, receive: Receive) -> AsyncIterator[bytes]:
    while True:
        if message["type"] == "http.disconnect":
            raise ClientDisconnectedError
        body = message.get("body", b"")
        if body:
            yield body
        if not message.get("more_body", False):
            return
        message = await receive()


__all__ = ["BodyTimeoutError", "Upload", "read_upload"]
