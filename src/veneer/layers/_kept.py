"""The way back of a call whose completion is kept: its id is ours, and what it comes to noted."""

import asyncio
from collections.abc import Awaitable
from http import HTTPStatus
from typing import Any

import msgspec
from starlette.types import Message, Scope, Send

from veneer import facts
from veneer.call import Call
from veneer.completions.documents import Node, Status, bare, completed
from veneer.completions.joining import MAX_INDEX, Joining
from veneer.completions.run import Run
from veneer.dialects import Kind
from veneer.errors import BrokenResponseError, Error
from veneer.facts import Relayed
from veneer.layers._last import last_event, used
from veneer.layers._renamed import Renamed
from veneer.prices.credits import Credits
from veneer.wire import fields

# So many bytes of a stream wait until they are joined, all at once.
FOLD = 64 * 1024
DONE = b"data: [DONE]\n\n"
BLANK_LINE = b"\n\n"

INTERRUPTED = Error(Kind.UPSTREAM_INTERRUPTED, "The model server broke off its response.")
BY_REQUEST = Error(Kind.COMPLETION_CANCELLED, "The completion was cancelled by a request.")
LEFT = Error(Kind.COMPLETION_LEFT, "The client left before the completion was whole.")


class Terms(msgspec.Struct, frozen=True):
    """What is kept of a call: up to `limit` bytes of what the model wrote, if `content` is."""

    content: bool
    limit: int
    credits: Credits


class Kept:
    """Passes one answer on and keeps what it comes to; nothing passes once it was cancelled."""

    __slots__ = (
        "_call",
        "_choices",
        "_document",
        "_joining",
        "_known",
        "_last",
        "_parts",
        "_passing",
        "_renamed",
        "_run",
        "_scope",
        "_send",
        "_size",
        "_start",
        "_started",
        "_terms",
        "_whole",
    )

    def __init__(self, scope: Scope, send: Send, call: Call, run: Run, terms: Terms) -> None:
        self._scope = scope
        self._known: dict[type, Any] = scope[facts.SCOPE_KEY]
        self._send = send
        self._call = call
        # Any number may be asked for; of more than those, nothing is kept either.
        self._choices = min(call.choices, MAX_INDEX)
        self._run = run
        self._terms = terms
        self._renamed = Renamed(run.head.id)
        # What joins the answer's chunks, where it is a stream.
        self._joining: Joining | None = None
        self._parts: list[bytes] = []
        self._size = 0
        self._last = BLANK_LINE
        # The start of a plain answer, until its body has come.
        self._start: Message | None = None
        self._started = self._passing = self._whole = False
        self._document: bytes | None = None

    def send(self, message: Message) -> Awaitable[None]:
        """Take a message; it is no coroutine of its own, as most events only pass."""
        if self._run.cancelled:
            return asyncio.sleep(0)
        if self._joining is not None and not self._passing:
            return self._take_events(message)
        if self._start is not None:
            return self._take_json(self._start, message)
        if message["type"] == "http.response.start" and self._holds(message):
            return asyncio.sleep(0)
        if message["type"] == "http.response.body" and not message.get("more_body", False):
            self._whole = True
        return self._send(message)

    def result(self, *, left: bool) -> bytes | None:
        """Return the document of a call that is over and was not kept, None where there is none.

        `left` is whether its client has gone. What had no answer has no id that anybody knows.
        """
        run = self._run
        if run.cancelled:
            joined = self._joined()
            error = self._told(BY_REQUEST)
            document = run.head.cancelled(joined, self._choices, error)
            usage = joined.get("usage") or self._used()
            self._document = self._encoded({**document, "usage": usage} if usage else document)
            return self._document
        if run.ended or self._joining is None or self._passing:
            return None
        if left:
            error = self._told(LEFT)
            return self._encoded(run.head.cancelled(self._joined(), self._choices, error))
        error = self._joining.error or self._told(INTERRUPTED)
        return self._encoded(run.head.ended(self._joined(), "failed", error))

    async def end(self) -> None:
        """Give the client of a call that was cancelled the end of its answer.

        Raises `BrokenResponseError` where that has begun, and is no stream: it has no other end.
        """
        if self._joining is None and self._started:
            if not self._whole:
                raise BrokenResponseError
            return
        if self._joining is None and not self._call.stream:
            await self._end_plain()
            return
        if not self._started:
            kind = (b"content-type", b"text/event-stream; charset=utf-8")
            headers = [kind, (b"cache-control", b"no-cache")]
            await self._send({"type": "http.response.start", "status": 200, "headers": headers})
        begun = not self._last.endswith(BLANK_LINE)
        joined = self._joined()
        unfinished = [] if self._joining is None else self._joining.unfinished
        if not joined.get("choices"):
            unfinished = [*range(self._choices)]
        usage = None if "usage" in joined else self._used()
        last = last_event(self._run.head, joined, unfinished, usage)
        body = (BLANK_LINE if begun else b"") + last + DONE
        await self._send({"type": "http.response.body", "body": body})

    async def _end_plain(self) -> None:
        body = self._document or b"{}"
        headers = [(b"content-type", b"application/json"), _length_of(body)]
        await self._send({"type": "http.response.start", "status": 200, "headers": headers})
        await self._send({"type": "http.response.body", "body": body})

    def _holds(self, start: Message) -> bool:
        """Begin with an answer; return whether its start waits for its body."""
        headers = start.get("headers", ())
        kind = fields.media_type(fields.get(headers, b"content-type") or b"")
        self._started = True
        if start["status"] != HTTPStatus.OK:
            return False
        if fields.is_event_stream(kind):
            self._joining = Joining(self._terms.limit)
        elif fields.is_json(kind):
            self._started = False
            self._start = start
            return True
        return False

    async def _take_json(self, start: Message, message: Message) -> None:
        """Pass a plain answer on with its id and its document kept, if it is whole."""
        self._start, self._started = None, True
        body = message.get("body", b"")
        document = None
        self._whole = not message.get("more_body", False)
        if self._whole:
            body, document = self._read(body)
        if document is not None:
            headers = [each for each in start["headers"] if each[0] != b"content-length"]
            start = {**start, "headers": [*headers, _length_of(body)]}
            message = {**message, "body": body}
            await self._run.keep(document)
        await self._send(start)
        await self._send(message)

    def _read(self, body: bytes) -> tuple[bytes, bytes | None]:
        """Return a plain answer under its id, and its document, None for what is no completion."""
        read = completed(body, self._run.head.id)
        if read is None:
            return body, None
        body, document = read
        if not self._terms.content or len(body) > self._terms.limit:
            document = msgspec.json.encode(bare(msgspec.json.decode(document)))
        return body, document

    def _take_events(self, message: Message) -> Awaitable[None]:
        body = message.get("body", b"")
        if body:
            self._last = body
            self._parts.append(body)
            self._size += len(body)
            if self._size > FOLD:
                self._fold()
            message = {**message, "body": self._renamed.feed(body)}
        # A client that has this message may take its answer for whole.
        if not message.get("more_body", False) or Relayed in self._known:
            return self._send_last(message)
        return self._send(message)

    async def _send_last(self, message: Message) -> None:
        self._passing = True
        await self._run.keep(self._end_of_stream())
        await self._send(message)

    def _end_of_stream(self) -> bytes:
        """Return the document of a stream that has come to its end, proper or not."""
        joined, joining = self._joined(), self._joining
        error = None if joining is None else joining.error
        relayed: Relayed | None = self._known.get(Relayed)
        whole = joining is not None and (joining.done or joining.finished)
        if error is None and not (whole if relayed is None else relayed.complete):
            error = self._told(INTERRUPTED)
        status: Status = "completed" if error is None else "failed"
        return self._encoded(self._run.head.ended(joined, status, error))

    def _fold(self) -> None:
        parts, self._parts = self._parts, []
        self._size = 0
        if self._joining is not None:
            self._joining.feed(b"".join(parts))

    def _joined(self) -> Node:
        self._fold()
        return {} if self._joining is None else self._joining.completion()

    def _encoded(self, document: Node) -> bytes:
        joining = self._joining
        if not self._terms.content or (joining is not None and joining.overflowed):
            document = bare(document)
        return msgspec.json.encode(document)

    def _used(self) -> Node | None:
        return used(self._known, self._call.operation.name, self._terms.credits)

    def _told(self, error: Error) -> Node:
        """Return an error as documents have it."""
        failure = error.in_dialect(self._scope)[1]
        return {"code": failure.form.code, "type": failure.form.type, "message": failure.said}


def _length_of(body: bytes) -> tuple[bytes, bytes]:
    return b"content-length", b"%d" % len(body)
