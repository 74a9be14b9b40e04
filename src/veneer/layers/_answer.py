"""One answer on its way through the relay: what kind it is, and what is done with its parts."""

from collections.abc import Awaitable, Callable, Iterable
from http import HTTPStatus

from starlette.types import Message, Receive, Scope, Send

from veneer import facts
from veneer.call import Call
from veneer.dialects import Kind
from veneer.edits import Edits
from veneer.errors import Error
from veneer.facts import Relayed, Usage
from veneer.layers._stream import CHUNKED, StreamRelay, edited, usage_of
from veneer.wire import fields
from veneer.wire.usage import usage_in_body

# The operations whose answer is a stream exactly if the request says so.
STREAM_ON_DEMAND = CHUNKED | {"responses"}

NO_BODY = frozenset([HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED])

NO_STREAM = Error(
    Kind.UPSTREAM_INVALID, "The model server answered a streaming call without a stream."
)
UNASKED_STREAM = Error(
    Kind.UPSTREAM_INVALID, "The model server answered with a stream that was not asked for."
)
EMPTY = Error(Kind.UPSTREAM_INVALID, "The model server gave an empty response.")


class Answer:
    """The answer to one call.

    `started` is whether anything of it has gone to the client, `finished` whether all has.
    """

    __slots__ = (
        "_broken",
        "_call",
        "_edits",
        "_held",
        "_max_observed",
        "_observed",
        "_parts",
        "_receive",
        "_scope",
        "_send",
        "_settled",
        "_size",
        "_stream",
        "_take",
        "_usage",
        "_withhold_usage",
        "finished",
        "started",
    )

    def __init__(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        *,
        call: Call,
        edits: Edits,
        max_observed: int,
        withhold_usage: bool,
    ) -> None:
        self._scope = scope
        self._receive = receive
        self._send = send
        self._call = call
        self._edits = edits
        self._max_observed = max_observed
        self._withhold_usage = withhold_usage
        self._held: Message | None = None
        self._parts: list[bytes] = []
        self._size = 0
        self._stream: StreamRelay | None = None
        self._take: Callable[[Message], Awaitable[None]] = self._pass
        self._usage: Usage | None = None
        self._observed = False
        self._broken = False
        self._settled = False
        self.started = False
        self.finished = False

    async def send(self, message: Message) -> None:
        """Take a message from the app below."""
        if message["type"] == "http.response.body":
            await self._take(message)
        elif message["type"] == "http.response.start":
            await self._begin(message)
        elif self._take != self._drop:
            await self._send(message)

    async def break_off(self, error: Error) -> bool:
        """End an answer that cannot be completed; return whether the connection is to be cut.

        A client that has seen nothing gets the error whole; one that reads a stream gets it as the
        last event.
        """
        if self.finished:
            return False
        self._broken = True
        self.settle()
        self.finished = True
        if not self.started:
            self._take = self._drop
            await error(self._scope, self._receive, self._send)
            return False
        if self._stream is None:
            return True
        if self._stream.done:
            await self._send({"type": "http.response.body", "body": self._stream.close()})
            return False
        event = error.event(self._scope, self._call.operation.name)
        last = self._stream.give_up() + event
        await self._send({"type": "http.response.body", "body": last, "more_body": True})
        return True

    def settle(self) -> None:
        """Leave what was learnt, once: before the client can see the end, or when all is over."""
        if self._settled:
            return
        self._settled = True
        stream = self._stream
        usage = self._usage if stream is None else stream.usage
        if usage is not None:
            facts.put(self._scope, usage)
        facts.put(
            self._scope,
            Relayed(
                stream=stream is not None,
                observed=self._observed if stream is None else stream.observed,
                complete=self.finished if stream is None else stream.complete and not self._broken,
                events=0 if stream is None else stream.events,
            ),
        )

    async def _begin(self, message: Message) -> None:
        headers = message.get("headers", ())
        kind = fields.media_type(fields.get(headers, b"content-type") or b"")
        coded = fields.get(headers, b"content-encoding") not in (None, b"identity")
        status = message["status"]
        operation = self._call.operation.name
        if status >= HTTPStatus.BAD_REQUEST or status in NO_BODY or self._scope["method"] == "HEAD":
            await self._forward(message)
        elif operation in STREAM_ON_DEMAND and fields.is_event_stream(kind) != self._call.stream:
            await self._refuse(NO_STREAM if self._call.stream else UNASKED_STREAM)
        elif fields.is_event_stream(kind) and not coded:
            self._stream = StreamRelay(operation, self._edits, withhold_usage=self._withhold_usage)
            self._take = self._take_events
            await self._forward({**message, "headers": unbuffered(headers)})
        elif fields.is_json(kind) and not coded:
            self._held = message
            self._take = self._take_json
        else:
            await self._forward(message)

    async def _take_events(self, message: Message) -> None:
        stream = self._stream
        if stream is None:
            return
        body = stream.feed(message.get("body", b""))
        if message.get("more_body", False):
            if stream.done:
                self.settle()
            if body:
                await self._send({"type": "http.response.body", "body": body, "more_body": True})
        elif stream.complete:
            body += stream.close()
            self.finished = True
            self.settle()
            await self._send({"type": "http.response.body", "body": body})
        elif body:
            await self._send({"type": "http.response.body", "body": body, "more_body": True})

    async def _take_json(self, message: Message) -> None:
        """Hold a body until it is whole, so that a broken one can be answered with an error."""
        self._parts.append(message.get("body", b""))
        self._size += len(self._parts[-1])
        more = message.get("more_body", False)
        if self._size > self._max_observed:
            self._take = self._pass
            await self._release(b"".join(self._parts), more_body=more)
        elif more:
            return
        elif not self._size:
            await self._refuse(EMPTY)
        else:
            await self._release(self._read(b"".join(self._parts)), more_body=False)

    def _read(self, body: bytes) -> bytes:
        """Read the usage of a whole body; return the body with its edits."""
        self._observed = True
        raw = usage_in_body(body)
        self._usage = None if raw is None else usage_of(raw)
        return edited(body, self._edits, self._usage) if self._edits.changes_body else body

    async def _release(self, body: bytes, *, more_body: bool) -> None:
        """Send a body that was held, with its start, whose length is mended."""
        start, self._held = self._held, None
        self._parts.clear()
        if start is None:
            return
        if self._observed and self._edits.changes_body:
            start = {**start, "headers": with_length(start.get("headers", ()), len(body))}
        if not more_body:
            self.finished = True
            self.settle()
        await self._forward(start)
        await self._send({"type": "http.response.body", "body": body, "more_body": more_body})

    async def _pass(self, message: Message) -> None:
        if not message.get("more_body", False):
            self.finished = True
            self.settle()
        await self._send(message)

    async def _forward(self, start: Message) -> None:
        self.started = True
        await self._send(start)

    async def _refuse(self, error: Error) -> None:
        """Answer in the upstream's place, and drop what it still sends."""
        self._take = self._drop
        self.finished = self.started = True
        self.settle()
        await error(self._scope, self._receive, self._send)

    async def _drop(self, message: Message) -> None:
        """Take no notice: the client has its answer."""


def unbuffered(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Return the fields of a stream's start with those that keep proxies from holding it back."""
    kept = [pair for pair in headers if pair[0] not in (b"content-length", b"x-accel-buffering")]
    if fields.get(kept, b"cache-control") is None:
        kept.append((b"cache-control", b"no-cache"))
    kept.append((b"x-accel-buffering", b"no"))
    return kept


def with_length(headers: Iterable[tuple[bytes, bytes]], length: int) -> list[tuple[bytes, bytes]]:
    """Return the fields with another content-length, and without an etag of other bytes."""
    kept = [pair for pair in headers if pair[0] not in (b"content-length", b"etag")]
    kept.append((b"content-length", b"%d" % length))
    return kept
