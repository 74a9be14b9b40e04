"""Sending a request body piece by piece, no faster than the upstream takes it."""

from collections.abc import AsyncIterable, AsyncIterator
from typing import Protocol

from veneer.upstream.transport import BodyMismatch

# What a body of bytes is cut into: large enough to cost little, small enough to notice a stall.
_PIECE = 262_144


class Sink(Protocol):
    """The writing side of a connection."""

    def writelines(self, parts: list[bytes | memoryview]) -> None:
        """Send `parts`."""

    async def writable(self) -> None:
        """Wait until more may be sent."""


async def upload(sink: Sink, body: bytes | AsyncIterable[bytes], length: int | None) -> None:
    """Send `body`: as it is when its `length` is known, else in chunks (RFC 9112 §7.1).

    Raises `BodyMismatch` when it is not of that length, and whatever `body` raises.
    """
    if isinstance(body, bytes):
        view = memoryview(body)
        for start in range(0, len(body), _PIECE):
            sink.writelines([view[start : start + _PIECE]])
            await sink.writable()
    elif length is not None:
        async for data in of_length(body, length):
            sink.writelines([data])
            await sink.writable()
    else:
        async for data in body:
            if data:
                sink.writelines([b"%x\r\n" % len(data), data, b"\r\n"])
                await sink.writable()
        sink.writelines([b"0\r\n\r\n"])


async def of_length(body: AsyncIterable[bytes], length: int) -> AsyncIterator[bytes]:
    """Yield what `body` yields, `length` bytes in all; raise `BodyMismatch` at any other number.

    A surplus byte is never yielded: upstream it would be the beginning of another request.
    """
    left = length
    async for data in body:
        left -= len(data)
        if left < 0:
            break
        if data:
            yield data
    if left:
        kind = "longer" if left < 0 else "shorter"
        raise BodyMismatch(f"the request body was {kind} than the {length} bytes announced")
