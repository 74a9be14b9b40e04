"""An HTTP/1.1 response whose body is still arriving."""

import asyncio
from typing import Protocol

from veneer.upstream.transport import Headers, Truncated


class Wire(Protocol):
    """What a response needs of the connection that it arrives on."""

    def await_body(self) -> asyncio.Future[None]:
        """Return a future for the response to resolve, and bound the wait for it."""

    def drained(self) -> None:
        """Hear that nothing received is left unread."""

    def abort(self) -> None:
        """Close at once."""


class H1Response:
    """A `Response`: its connection puts the body in, one reader takes it out.

    `unread` is how many bytes wait for that reader.
    """

    __slots__ = ("_chunks", "_error", "_waiter", "_wire", "ended", "headers", "status", "unread")

    def __init__(self, status: int, headers: Headers, wire: Wire) -> None:
        self.status = status
        self.headers = headers
        self.ended = False
        self.unread = 0
        self._chunks: list[bytes] = []
        self._waiter: asyncio.Future[None] | None = None
        self._error: Exception | None = None
        self._wire: Wire | None = wire

    async def read(self) -> bytes:
        """See `Response.read`. One reader at a time: a second raises RuntimeError."""
        if not self._chunks and self._wire is not None:
            if self._waiter is not None:
                raise RuntimeError("this response is being read already")
            self._waiter = self._wire.await_body()
            try:
                await self._waiter
            except (asyncio.CancelledError, GeneratorExit):
                self.close()
                raise
            finally:
                self._waiter = None
        chunks = self._chunks
        if not chunks:
            if self._error is not None:
                raise self._error
            return b""
        data = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        self._chunks = []
        self.unread = 0
        if self._wire is not None:
            self._wire.drained()
        else:
            self.ended = self._error is None
        return data

    async def aclose(self) -> None:
        """See `Response.aclose`. What has not been read is dropped."""
        self.close()

    def close(self) -> None:
        """Do what `aclose` does, which has nothing to wait for."""
        if self._wire is not None or self._chunks:
            wire = self._wire
            self._chunks = []
            self.unread = 0
            self.finish(Truncated("the response was closed before its end"))
            if wire is not None:
                wire.abort()

    def arrived(self, data: bytes) -> None:
        """Take a part of the body in."""
        self._chunks.append(data)
        self.unread += len(data)
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def finish(self, error: Exception | None = None) -> None:
        """Let go of the connection: the body is whole, or will never be because of `error`."""
        self._wire = None
        self._error = error
        self.ended = error is None and not self._chunks
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
