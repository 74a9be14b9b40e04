"""Heartbeats: comments that keep an idle stream alive through proxies and impatient clients.

Belongs to the client's connection, so it stands above whatever records answers. Adds bytes of its
own only where an event has just ended, and only to streams of events; reads and writes no facts.
"""

import asyncio
from collections.abc import Awaitable, Coroutine
from inspect import CORO_CLOSED, getcoroutinestate
from types import CoroutineType
from typing import Any

import msgspec
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from veneer import facts
from veneer.call import Call
from veneer.dialects import OPENAI, Dialect, Failure, Form
from veneer.layer import Layer
from veneer.operations import endpoint_of
from veneer.quotas.fields import quota_fields
from veneer.wire import fields, sse

# An error body beyond this is no envelope; it is not kept.
MAX_ERROR_BODY = 64 * 1024

# The last bytes that went out which tell whether an event has ended, or an id begun.
ENOUGH = 4

FAILED = "The server had an error while processing your request."

EARLY_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),
]


class HeartbeatMiddleware(Layer):
    """Sends `: keep-alive` when a stream has been silent for `interval` seconds.

    After an `id` field the comment has a single line end, for openai-python takes a blank line
    there for an event. With `early_start`, a streaming call whose upstream has not answered after
    that many seconds is begun with status 200 and a comment; an error that comes later becomes an
    error event.
    """

    def __init__(
        self, app: ASGIApp, *, interval: float = 15.0, early_start: float | None = None
    ) -> None:
        if interval <= 0 or (early_start is not None and early_start <= 0):
            raise ValueError("interval and early_start are seconds: give more than 0.")
        super().__init__(app)
        self._interval = interval
        self._early_start = early_start

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and keep its stream alive."""
        stream = _Stream(scope, send, self._interval, self._early_start)
        try:
            await self.below(scope, receive, stream.send)
        finally:
            if stream.timer is not None:
                await stream.close()


class _Stream:
    """One response on its way out, with a timer beside it."""

    __slots__ = (
        "_beat",
        "_begun_early",
        "_early_start",
        "_error",
        "_ids",
        "_interval",
        "_last",
        "_loop",
        "_outgoing",
        "_plain",
        "_scope",
        "_send",
        "_streaming",
        "_tail",
        "timer",
    )

    def __init__(
        self, scope: Scope, send: Send, interval: float, early_start: float | None
    ) -> None:
        self._scope = scope
        self._send = send
        self._interval = interval
        self._early_start = early_start
        self._loop = asyncio.get_running_loop()
        self.timer: asyncio.TimerHandle | None = None
        if early_start is not None:
            self.timer = self._loop.call_later(early_start, self._begin)
        self._beat: asyncio.Task[None] | None = None
        self._begun_early = False
        # Whether the response is a stream of events, or known to be none.
        self._streaming = self._plain = False
        self._error: bytearray | None = None
        # The last bytes that went out: the part as it came, and more before it where it is short.
        self._tail = b"\n\n"
        self._outgoing: Coroutine[Any, Any, None] | None = None
        self._ids = False
        self._last = 0.0

    def send(self, message: Message) -> Awaitable[None]:
        """Pass a message on, after a heartbeat under way.

        An event of a stream, of which there are many, costs no coroutine here: that of its sending
        is looked at when a heartbeat is due.
        """
        if self._plain:
            return self._send(message)
        if (
            self._streaming
            and self._beat is None
            and self._error is None
            and message["type"] == "http.response.body"
        ):
            self._note(message.get("body", b""))
            self._streaming = message.get("more_body", False)
            return self._sent(message)
        if message["type"] == "http.response.start" and not self._begun_early:
            if self.timer is not None:
                self.timer.cancel()
            if not is_stream(message):
                self._plain = True
                return self._send(message)
        return self._send_alone(message)

    def _sent(self, message: Message) -> Coroutine[Any, Any, None]:
        """Return what sends a message, and remember it: no heartbeat begins before it has ended."""
        sending = self._send(message)
        outgoing = sending if isinstance(sending, CoroutineType) else awaited(sending)
        self._outgoing = outgoing
        return outgoing

    async def _send_alone(self, message: Message) -> None:
        # Another may begin between the end of the first and our waking up; and one that has ended
        # may still stand here, for the loop has not called `forget` yet.
        while (beat := self._beat) is not None and not beat.done():
            await asyncio.wait({beat})
        if message["type"] == "http.response.start":
            await self._send_start(message)
            return
        if self._streaming and message["type"] == "http.response.body":
            if self._error is None:
                self._note(message.get("body", b""))
            elif message.get("more_body", False):
                self._collect(message.get("body", b""))
                return
            else:
                self._collect(message.get("body", b""))
                message = {**message, "body": self._error_event(bytes(self._error))}
            self._streaming = message.get("more_body", False)
        await self._sent(message)

    async def close(self) -> None:
        """Stop the timer, and a heartbeat that has not got through."""
        self._streaming = False
        if self.timer is not None:
            self.timer.cancel()
        if self._beat is not None:
            self._beat.cancel()
            await asyncio.wait({self._beat})

    async def _send_start(self, message: Message) -> None:
        if self._begun_early:
            self._error = None if is_stream(message) else bytearray()
            return
        await self._send(message)
        if endpoint_of(self._scope) is not None:
            self._streaming = True
            self._last = self._loop.time()
            self.timer = self._loop.call_later(self._interval, self._tick)

    def _note(self, body: bytes) -> None:
        """Remember when bytes went out, how they ended, and whether events have ids."""
        self._last = self._loop.time()
        if len(body) < ENOUGH:
            body = self._tail[-ENOUGH:] + body
        # Not `in`: for bytes, that raises and drops an exception first.
        if body.find(b"id:") >= 0 or self._tail[-1:] != b"\n":
            self._ids = self._ids or b"\nid:" in self._tail[-ENOUGH:] + body
        self._tail = body

    def _collect(self, body: bytes) -> None:
        """Keep the body of an error that came after the stream was begun."""
        if self._error is not None and len(self._error) <= MAX_ERROR_BODY:
            self._error += body

    def _tick(self) -> None:
        """Send a heartbeat if one is due, and come again when the next may be."""
        if not self._streaming:
            return
        wait = self._last + self._interval - self._loop.time()
        if wait <= 0:
            wait = self._interval
            boundary = self._tail.endswith((b"\n\n", b"\n\r\n"))
            if boundary and self._beat is None and not self._is_sending():
                comment = sse.KEEP_ALIVE_LINE if self._ids else sse.KEEP_ALIVE
                self._start_beat({"type": "http.response.body", "body": comment, "more_body": True})
        self.timer = self._loop.call_later(wait, self._tick)

    def _is_sending(self) -> bool:
        """Whether a message of the app's is on its way out, held up by a slow client."""
        outgoing = self._outgoing
        return outgoing is not None and getcoroutinestate(outgoing) != CORO_CLOSED

    def _begin(self) -> None:
        """Begin the response in the app's place, once the call is known to want a stream."""
        call = facts.get(self._scope, Call)
        if call is None and self._early_start is not None:
            self.timer = self._loop.call_later(self._early_start, self._begin)
        if call is None or not call.stream:
            return
        self._begun_early = self._streaming = True
        self._last = self._loop.time()
        headers = [*EARLY_HEADERS, *quota_fields(self._scope)]
        self._start_beat(
            {"type": "http.response.start", "status": 200, "headers": headers},
            {"type": "http.response.body", "body": sse.KEEP_ALIVE, "more_body": True},
        )
        self.timer = self._loop.call_later(self._interval, self._tick)

    def _start_beat(self, *messages: Message) -> None:
        async def send_all() -> None:
            for message in messages:
                await self._send(message)

        def forget(beat: asyncio.Task[None]) -> None:
            if self._beat is beat:
                self._beat = None
            if not beat.cancelled():
                beat.exception()

        self._last = self._loop.time()
        self._beat = self._loop.create_task(send_all())
        self._beat.add_done_callback(forget)

    def _error_event(self, body: bytes) -> bytes:
        """Return the event that says what an error response would have said."""
        call = facts.get(self._scope, Call)
        operation = "" if call is None else call.operation.name
        dialect = facts.get(self._scope, Dialect) or OPENAI
        try:
            error = _envelope.decode(body).error
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            error = {}
        form = Form(200, _text(error, "type") or "server_error", _text(error, "code"))
        message = _text(error, "message") or FAILED
        failure = Failure(
            form,
            message,
            _text(error, "param"),
            _text(error, "request_id"),
            suggestion=_text(error, "suggestion"),
        )
        return dialect.event(failure, operation)


def is_stream(start: Message) -> bool:
    """Whether a response is a stream of events."""
    for name, value in start.get("headers", ()):
        if name == b"content-type":
            return fields.is_event_stream(fields.media_type(value))
    return False


async def awaited(sending: Awaitable[None]) -> None:
    """Await what a server returns from its `send` in place of a coroutine."""
    await sending


class _Envelope(msgspec.Struct):
    error: dict[str, Any]


_envelope = msgspec.json.Decoder(_Envelope)


def _text(error: dict[str, Any], name: str) -> str | None:
    """Return a member of an error as text; some servers write a number as their code."""
    value = error.get(name)
    return str(value) if isinstance(value, (str, int)) else None
