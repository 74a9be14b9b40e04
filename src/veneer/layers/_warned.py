"""A stream that begins with a warning: a chunk of its own kind, which any client can read."""

from collections.abc import Awaitable
from typing import Any

import msgspec
from starlette.types import Message, Send

from veneer.wire import fields, sse

CODE = "idempotency_ignored_streaming"
MESSAGE = "Idempotency keys are not used for streams: this call runs as if it had none."


class Chunk(msgspec.Struct):
    """What the chunks of a stream have in common."""

    id: str
    object: str
    created: int = 0
    model: str = ""
    choices: list[Any] = []


class _Warning(Chunk):
    warning: dict[str, str] = {}


_chunk = msgspec.json.Decoder(Chunk)


class Warned:
    """Puts a warning before the first event of a stream of chunks, in the name of that stream.

    It has the id of the stream, which clients take from its first chunk. A stream that begins with
    something else, such as an error, has none.
    """

    __slots__ = ("_send", "_splitter")

    def __init__(self, send: Send) -> None:
        self._send = send
        # What finds the first event, until that has come.
        self._splitter: sse.EventSplitter | None = None

    def send(self, message: Message) -> Awaitable[None]:
        """Pass a message on; it is no coroutine of its own, as most events only pass."""
        if message["type"] == "http.response.start":
            kind = fields.get(message.get("headers", ()), b"content-type") or b""
            if fields.is_event_stream(fields.media_type(kind)):
                self._splitter = sse.EventSplitter()
        elif self._splitter is not None:
            message = {**message, "body": self._warned(self._splitter, message)}
        return self._send(message)

    def _warned(self, splitter: sse.EventSplitter, message: Message) -> bytes:
        events = splitter.feed(message.get("body", b""))
        parts: list[bytes] = []
        for event in events:
            data = sse.data_of(event)
            if data and self._splitter is not None:
                self._splitter = None
                # A byte order mark has to stay in front.
                parts.append(b"" if event.startswith(sse.BOM) else _warning(data))
            parts.append(event)
        if self._splitter is None or splitter.overflowed or not message.get("more_body", False):
            self._splitter = None
            parts.append(splitter.rest)
        return b"".join(parts)


def _warning(data: bytes) -> bytes:
    """Return the event that warns in a stream whose first has this data."""
    try:
        first = _chunk.decode(data)
    except (msgspec.DecodeError, RecursionError):
        return b""
    warning = _Warning(
        first.id,
        first.object,
        first.created,
        first.model,
        warning={"code": CODE, "message": MESSAGE},
    )
    return b"data: %b\n\n" % msgspec.json.encode(warning)
