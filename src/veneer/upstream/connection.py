"""One HTTP/1.1 connection to an upstream, which carries an exchange at a time.

Speed is the reason for its shape: a request costs one future and one write, an event one callback
of the parser; no task, no timer and no lock in the ordinary case.
"""

import asyncio
import math
from typing import Protocol, cast

from veneer.upstream.reader import ResponseReader
from veneer.upstream.request_body import upload
from veneer.upstream.response import H1Response
from veneer.upstream.tls import closed_by_peer
from veneer.upstream.transport import (
    HeaderTimeout,
    MalformedResponse,
    ReadTimeout,
    Request,
    Timeouts,
    TransportError,
    Truncated,
    WriteTimeout,
)
from veneer.upstream.watchdog import Watchdog

# A body up to this size goes out in one write with its head.
_SMALL = 65_536
# Beyond so much of a body that waits for its reader the upstream has to wait, too.
_UNREAD = 65_536


class Owner(Protocol):
    """Where connections come from and go back to."""

    def release(self, connection: "Connection", keepalive: float | None) -> None:
        """Take `connection` back; the upstream promised to keep it for `keepalive` seconds."""

    def lost(self, connection: "Connection") -> None:
        """Hear, once, that `connection` is of no more use."""

    def gone(self, connection: "Connection") -> None:
        """Hear that the socket of `connection` is closed."""


class Connection(asyncio.Protocol):
    """A connection of `owner`, for `loop.create_connection`.

    `closed` says that it is of no more use, `uploading` is what sends the body of the request under
    way where that takes a task, and `expires` is the owner's note.
    """

    def __init__(self, owner: Owner, timeouts: Timeouts, max_header_bytes: int) -> None:
        self.closed = False
        self.expires = math.inf
        self.uploading: asyncio.Task[None] | None = None
        self._owner = owner
        self._loop = asyncio.get_running_loop()
        self._write_timeout = _seconds(timeouts.write)
        self._header_timeout = _seconds(timeouts.response_header)
        self._read_timeout = _seconds(timeouts.read)
        self._watchdog = Watchdog(self._loop, self._expired)
        self._reader = ResponseReader(self, max_header_bytes)
        self._transport: asyncio.Transport
        # `_waiter` until there is a response, `_response` from then until that is whole.
        self._waiter: asyncio.Future[H1Response] | None = None
        self._response: H1Response | None = None
        self._room: asyncio.Future[None] | None = None
        self._write_paused = False
        self._read_paused = False

    def send(self, request: Request, head: bytes) -> asyncio.Future[H1Response]:
        """Send `request`, rendered as `head`; return what its response or failure will resolve."""
        self._reader.begin(request.method)
        waiter = self._waiter = self._loop.create_future()
        body = request.body
        if isinstance(body, bytes) and len(body) <= _SMALL:
            self._transport.write(head + body)
            self._watchdog.limit(
                self._write_timeout if self._write_paused else self._header_timeout
            )
        else:
            self._transport.write(head)
            self.uploading = self._loop.create_task(upload(self, body, request.content_length))
            self.uploading.add_done_callback(self._uploaded)
        return waiter

    def abandon(self, waiter: asyncio.Future[H1Response]) -> None:
        """Drop the exchange that `waiter` stands for: whoever sent it waits no longer.

        Its response may be whole by now, and the connection another's: that is left alone.
        """
        if self._waiter is waiter:
            self.abort()
        elif not waiter.cancelled() and waiter.done() and waiter.exception() is None:
            waiter.result().close()

    def fail(self, error: TransportError) -> None:
        """End the exchange under way, if there is one, with `error`, and close."""
        self._settle(error)
        self.abort()

    def abort(self) -> None:
        """Close at once. May be called twice."""
        if not self.closed:
            self.closed = True
            self._waiter = self._response = None
            self._watchdog.lift()
            self._end_upload()
            self._transport.abort()
            self._owner.lost(self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.Protocol`."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        waiter = self._waiter
        if waiter is None and self._response is None:
            self.abort()  # closed already, or it answers before it is asked
            return
        try:
            self._reader.feed(data)
        except MalformedResponse as error:
            self.fail(error)
            return
        response = self._reader.response
        if response is None:
            return
        if waiter is not None:
            self._answered(waiter, response)
            if self.closed:
                return
        elif response.unread:
            self._watchdog.deadline = math.inf
        if self._reader.complete:
            self._finish(response)
        elif response.unread > _UNREAD and not self._read_paused:
            self._read_paused = True
            self._transport.pause_reading()

    def eof_received(self) -> None:
        """See `asyncio.Protocol`. A connection that idles is out of the pool at once."""
        if self._waiter is None and self._response is None:
            self.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """See `asyncio.Protocol`."""
        if not self.closed:
            if self._reader.until_eof and exc is None and closed_by_peer(self._transport):
                self._settle(None)
                self.abort()
            else:
                self.fail(Truncated(f"the upstream closed the connection early: {exc or 'EOF'}"))
        self._owner.gone(self)

    def pause_writing(self) -> None:
        """See `asyncio.Protocol`."""
        self._write_paused = True

    def resume_writing(self) -> None:
        """See `asyncio.Protocol`."""
        self._write_paused = False
        if self._room is not None and not self._room.done():
            self._room.set_result(None)
        elif self._waiter is not None and self.uploading is None:
            self._watchdog.limit(self._header_timeout)

    def writelines(self, parts: list[bytes | memoryview]) -> None:
        """See `Sink.writelines`."""
        self._transport.writelines(parts)

    async def writable(self) -> None:
        """See `Sink.writable`."""
        while self._write_paused:
            self._room = self._loop.create_future()
            self._watchdog.limit(self._write_timeout)
            try:
                await self._room
            finally:
                self._room = None
            self._watchdog.deadline = math.inf

    def await_body(self) -> asyncio.Future[None]:
        """See `Wire.await_body`."""
        self._watchdog.limit(self._read_timeout)
        return self._loop.create_future()

    def drained(self) -> None:
        """See `Wire.drained`."""
        if self._read_paused:
            self._read_paused = False
            self._transport.resume_reading()

    def _answered(self, waiter: asyncio.Future[H1Response], response: H1Response) -> None:
        """Hand the response over."""
        self._waiter = None
        self._response = response
        self._watchdog.deadline = math.inf
        if self.uploading is not None and not self._end_upload():
            self._reader.reusable = False
        if waiter.done():
            response.close()  # whoever asked is gone
        else:
            waiter.set_result(response)

    def _end_upload(self) -> bool:
        """Let the upload go; return whether all of the body was sent."""
        upload, self.uploading = self.uploading, None
        if upload is None:
            return True
        if not upload.done():
            upload.cancel()
            return False
        return not upload.cancelled() and upload.exception() is None

    def _finish(self, response: H1Response) -> None:
        """Let the whole response go, and be ready for another request or closed."""
        self._response = None
        self._watchdog.deadline = math.inf
        response.finish()
        if self._reader.reusable:
            if self._read_paused:
                self.drained()
            self._owner.release(self, self._reader.keepalive)
        else:
            self.abort()

    def _settle(self, error: TransportError | None) -> None:
        """Tell whoever waits for this exchange how it ended."""
        waiter, self._waiter = self._waiter, None
        response, self._response = self._response, None
        if response is not None:
            response.finish(error)
        elif waiter is not None and not waiter.done() and error is not None:
            waiter.set_exception(error)

    def _uploaded(self, task: asyncio.Task[None]) -> None:
        """Go on to wait for the response, or fail with what the body raised."""
        error = None if task.cancelled() else task.exception()
        waiter = self._waiter
        if self.uploading is not task or waiter is None:
            return
        self.uploading = None
        if task.cancelled():
            waiter.cancel()  # the body itself was: who cancels an upload here lets go of it first
            self.abort()
        elif error is None:
            self._watchdog.limit(self._header_timeout)
        else:
            if not waiter.done():
                waiter.set_exception(error)
            self.abort()

    def _expired(self) -> None:
        """Fail with the timeout of the phase that took too long."""
        if self._waiter is None:
            self.fail(ReadTimeout("the upstream went silent in the middle of its body"))
        elif self._write_paused:
            self.fail(WriteTimeout("the upstream stopped taking the request"))
        else:
            self.fail(HeaderTimeout("the upstream did not answer in time"))


def _seconds(timeout: float | None) -> float:
    return math.inf if timeout is None else timeout
