"""One answer on its way through the relay: what kind it is, and what is done with its parts."""

from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from http import HTTPStatus

import msgspec
from starlette.types import Message, Receive, Scope, Send

from veneer import facts
from veneer.call import Call
from veneer.dialects import Kind
from veneer.edits import Edits
from veneer.errors import Error
from veneer.facts import Answered, Relayed, Route, Usage
from veneer.layers._body import BodyRelay
from veneer.layers._stream import CHUNKED, StreamRelay
from veneer.wire import fields

# The operations whose answer is a stream exactly if the request says so.
STREAM_ON_DEMAND = CHUNKED | {"responses"}

FIRST_ERROR = 400
NO_BODY = frozenset([HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED])

# Failures that a router has tried others for, where it could.
UPSTREAMS = frozenset([Kind.UPSTREAM_INVALID, Kind.UPSTREAM_INTERRUPTED])

NO_STREAM = Error(
    Kind.UPSTREAM_INVALID, "The model server answered a streaming call without a stream."
)
UNASKED_STREAM = Error(
    Kind.UPSTREAM_INVALID, "The model server answered with a stream that was not asked for."
)
EMPTY = Error(Kind.UPSTREAM_INVALID, "The model server gave an empty response.")


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked of the upstream, and what becomes of its answer.

    `limit` (bytes) bounds what is held of it. `withhold_usage` is for a stream whose usage we asked
    for ourselves.
    """

    call: Call
    edits: Edits
    limit: int
    withhold_usage: bool = False


class Answer:
    """The answer to one call.

    `started` is whether anything of it has gone to the client, `finished` whether all has.
    """

    __slots__ = (
        "_asked",
        "_body",
        "_broken",
        "_operation",
        "_receive",
        "_scope",
        "_send",
        "_settled",
        "_stream",
        "_take",
        "_told",
        "finished",
        "started",
    )

    def __init__(self, scope: Scope, receive: Receive, send: Send, asked: Asked) -> None:
        self._scope = scope
        self._receive = receive
        self._send = send
        self._asked = asked
        self._operation = asked.call.operation.name
        self._body: BodyRelay | None = None
        self._stream: StreamRelay | None = None
        # A function, not a method of this object, which would keep itself and its call alive.
        self._take: Callable[[Answer, Message], Awaitable[None]] = Answer._pass
        self._broken = False
        self._settled = False
        # Whether a stream's client has got the event that ends it.
        self._told = False
        self.started = False
        self.finished = False

    def send(self, message: Message) -> Awaitable[None]:
        """Take a message from the app below.

        It is no coroutine of its own, as most events only pass.
        """
        kind = message["type"]
        if kind == "http.response.body":
            stream = self._stream
            if stream is None:
                return self._take(self, message)
            if self.finished:
                return self._drop(message)
            events = self._take_events(stream, message)
            if events is None or stream.done:
                return self._send_end(stream, events)
            return self._send(events)
        if kind == "http.response.start":
            return self._begin(message)
        return self._drop(message) if self._take is Answer._drop else self._send(message)

    async def _send_end(self, stream: StreamRelay, events: Message | None) -> None:
        """Send events of which one may be the last, and remember that it has gone out."""
        if events is not None:
            await self._send(events)
            self._told = stream.done

    async def break_off(self, error: Error) -> bool:
        """End an answer that cannot be completed; return whether the connection is to be cut.

        A client that has seen nothing gets the error whole; one that reads a stream gets it as the
        last event, unless the upstream has told it of an error already.
        """
        if self.finished:
            return False
        self._broken = True
        self.settle()
        self.finished = True
        if not self.started:
            self._take = Answer._drop
            await firm(self._scope, error)(self._scope, self._receive, self._send)
            return False
        stream = self._stream
        if stream is None or stream.failed:
            return True
        if self._told:
            await self._send({"type": "http.response.body", "body": b""})
            return False
        last = stream.give_up() + error.event(self._scope, self._operation, stream.events)
        await self._send({"type": "http.response.body", "body": last, "more_body": True})
        return True

    def settle(self) -> None:
        """Leave what was learnt, once: before the client can see the end, or when all is over."""
        if self._settled:
            return
        self._settled = True
        stream = self._stream
        seen = stream or self._body
        known, answered = self._scope[facts.SCOPE_KEY], self._asked.edits.answered
        if seen is not None and seen.usage is not None:
            known[Usage] = seen.usage
        if answered is not None:
            known[Answered] = answered
        ended = self.finished or (stream is not None and stream.done)
        whole = ended and (stream is None or not stream.failed)
        known[Relayed] = Relayed(
            stream=stream is not None,
            observed=seen is not None and seen.observed,
            complete=whole and not self._broken,
            events=0 if stream is None else stream.events,
        )

    async def _begin(self, message: Message) -> None:
        headers = message.get("headers", ())
        kind = fields.media_type(fields.get(headers, b"content-type") or b"")
        coded = fields.get(headers, b"content-encoding") not in (None, b"identity")
        status = message["status"]
        route = self._scope[facts.SCOPE_KEY].get(Route)
        if route is not None:
            self._asked.edits.answered_by(route)
        on_demand = self._operation in STREAM_ON_DEMAND
        if status >= FIRST_ERROR or self._scope["method"] == "HEAD":
            await self._forward(message)
        elif status in NO_BODY:
            await (self._refuse(EMPTY) if on_demand else self._forward(message))
        elif on_demand and fields.is_event_stream(kind) != self._asked.call.stream:
            await self._refuse(NO_STREAM if self._asked.call.stream else UNASKED_STREAM)
        elif coded:
            await self._forward(message)
        elif fields.is_event_stream(kind):
            asked = self._asked
            self._stream = StreamRelay(
                self._operation,
                asked.edits,
                limit=asked.limit,
                withhold_usage=asked.withhold_usage,
            )
            await self._forward({**message, "headers": unbuffered(headers)})
        elif fields.is_json(kind) or (on_demand and not kind):
            body = self._body = BodyRelay(self._asked.edits, limit=self._asked.limit)
            self._take = partial(Answer._take_json, body=body, start=message)
        else:
            await self._forward(message)

    def _take_events(self, stream: StreamRelay, message: Message) -> Message | None:
        """Return what goes to the client now: the message itself where nothing of it changes."""
        chunk = message.get("body", b"")
        body = stream.feed(chunk)
        if message.get("more_body", False):
            if stream.done:
                self.settle()
            if body is chunk:
                return message
        else:
            body += stream.close()
            self.finished = stream.complete
            if stream.done or self.finished:
                self.settle()
        if not body and not self.finished:
            return None
        return {"type": "http.response.body", "body": body, "more_body": not self.finished}

    async def _take_json(self, message: Message, *, body: BodyRelay, start: Message) -> None:
        """Hold an answer until it is whole, or too much to hold."""
        more = message.get("more_body", False)
        body.feed(message.get("body", b""))
        if not body.overflowed:
            if more:
                return
            if not body.size:
                await self._refuse(EMPTY)
                return
        self._take = partial(Answer._pass_by, body=body) if body.overflowed else Answer._pass
        content = body.give_up() if body.overflowed else body.close()
        if body.edited:
            start = {**start, "headers": with_length(start.get("headers", ()), len(content))}
        if not more:
            if body.overflowed:
                body.pass_end()
            self.finished = True
            self.settle()
        self.started = True
        await self._send(start)
        await self._send({"type": "http.response.body", "body": content, "more_body": more})

    async def _pass_by(self, message: Message, *, body: BodyRelay) -> None:
        """Pass on what is too much to be held."""
        body.pass_by(message.get("body", b""))
        if not message.get("more_body", False):
            body.pass_end()
        await self._pass(message)

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
        self._take = Answer._drop
        self._broken = self.finished = self.started = True
        self.settle()
        await firm(self._scope, error)(self._scope, self._receive, self._send)

    async def _drop(self, message: Message) -> None:
        """Take no notice: the client has its answer."""


def firm(scope: Scope, error: Error) -> Error:
    """Return an error of the upstream's as it is told of a call that was tried often enough."""
    route = facts.get(scope, Route)
    tried = error.kind in UPSTREAMS and route is not None and route.tries > 1
    return msgspec.structs.replace(error, retry=False) if tried else error


def unbuffered(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Return the fields of a stream's start with those that keep proxies from holding it back."""
    kept = [pair for pair in headers if pair[0] not in (b"content-length", b"x-accel-buffering")]
    if fields.get(kept, b"cache-control") is None:
        kept.append((b"cache-control", b"no-cache, no-transform"))
    kept.append((b"x-accel-buffering", b"no"))
    return kept


def with_length(headers: Iterable[tuple[bytes, bytes]], length: int) -> list[tuple[bytes, bytes]]:
    """Return the fields with another content-length, and without an etag of other bytes."""
    kept = [pair for pair in headers if pair[0] not in (b"content-length", b"etag")]
    kept.append((b"content-length", b"%d" % length))
    return kept
