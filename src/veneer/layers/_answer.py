"""One answer on its way through the relay: what kind it is, and what is done with its parts."""

from collections.abc import Awaitable
from functools import partial
from http import HTTPStatus

import msgspec
from starlette.types import Message, Receive, Scope, Send

from veneer import facts
from veneer.call import Call
from veneer.edits import Edits
from veneer.errors import Error
from veneer.facts import Answered, Relayed, Route, Usage
from veneer.layers._body import BodyRelay
from veneer.layers._stream import CHUNKED, StreamRelay
from veneer.layers._unfit import EMPTY, NO_STREAM, UNASKED_STREAM, firm
from veneer.quotas.settlement import FIRST_ERROR
from veneer.wire import fields
from veneer.wire.framing import form_of, unbuffered, with_length

# The operations whose answer is a stream exactly if the request says so.
STREAM_ON_DEMAND = CHUNKED | {"responses"}

NO_BODY = frozenset([HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED])


class Asked(msgspec.Struct, frozen=True):
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
        "_refused",
        "_scope",
        "_send",
        "_settled",
        "_stream",
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
        self._broken = False
        # Whether it was answered by us, and nothing of it matters any more.
        self._refused = False
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
                return self._take(message)
            if self.finished:
                return self._drop(message)
            chunk = message.get("body", b"")
            events = stream.feed(chunk)
            if events is chunk and message.get("more_body") and not stream.done:
                return self._send(message)
            return self._send_events(stream, message, events)
        if kind == "http.response.start":
            return self._begin(message)
        return self._drop(message) if self._refused else self._send(message)

    async def _send_events(self, stream: StreamRelay, message: Message, events: bytes) -> None:
        """Send the events that a message of a stream has come to, and remember if it was told all.

        They go as the message itself where nothing of it changes.
        """
        more = message.get("more_body", False)
        if not more:
            events += stream.close()
            self.finished = stream.complete
        if stream.done or self.finished:
            self.settle()
        if more and events is message.get("body", b""):
            await self._send(message)
        elif events or self.finished:
            await self._send(
                {"type": "http.response.body", "body": events, "more_body": not self.finished}
            )
        else:
            return
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
            self._refused = True
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
        kind, coded = form_of(headers)
        streams = fields.is_event_stream(kind)
        status = message["status"]
        route = self._scope[facts.SCOPE_KEY].get(Route)
        if route is not None:
            self._asked.edits.answered_by(route)
        on_demand = self._operation in STREAM_ON_DEMAND
        if status >= FIRST_ERROR or self._scope["method"] == "HEAD":
            await self._forward(message)
        elif status in NO_BODY:
            await (self._refuse(EMPTY) if on_demand else self._forward(message))
        elif on_demand and streams != self._asked.call.stream:
            await self._refuse(UNASKED_STREAM if streams else NO_STREAM)
        elif coded:
            await self._forward(message)
        elif streams:
            asked, say = self._asked, self._asked.edits.error
            self._stream = StreamRelay(
                self._operation,
                asked.edits,
                limit=asked.limit,
                withhold_usage=asked.withhold_usage,
                error=None if say is None else partial(say, self._scope),
            )
            await self._forward({**message, "headers": unbuffered(headers)})
        elif fields.is_json(kind) or (on_demand and not kind):
            self._body = BodyRelay(self._asked.edits, message, limit=self._asked.limit)
        else:
            await self._forward(message)

    async def _take(self, message: Message) -> None:
        """Take a part of an answer that is no stream."""
        if self._refused:
            return
        more = message.get("more_body", False)
        body = self._body
        if body is None or self.finished:
            await self._pass(message, more=more)
            return
        content = body.take(message.get("body", b""), more=more)
        if content is None:
            return
        if not body.size:
            await self._refuse(EMPTY)
            return
        if self.started:
            await self._pass(message, more=more)
            return
        if not more:
            self.finished = True
            self.settle()
        self.started = True
        start = body.start
        if body.edited:
            start = {**start, "headers": with_length(start.get("headers", ()), len(content))}
        await self._send(start)
        await self._send({"type": "http.response.body", "body": content, "more_body": more})

    async def _pass(self, message: Message, *, more: bool) -> None:
        if not more:
            self.finished = True
            self.settle()
        await self._send(message)

    async def _forward(self, start: Message) -> None:
        self.started = True
        await self._send(start)

    async def _refuse(self, error: Error) -> None:
        """Answer in the upstream's place, and drop what it still sends."""
        self._refused = self._broken = self.finished = self.started = True
        self.settle()
        await firm(self._scope, error)(self._scope, self._receive, self._send)

    async def _drop(self, message: Message) -> None:
        """Take no notice: the client has its answer."""
