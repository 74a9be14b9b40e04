"""An answer on its way to a client that speaks of functions where the target speaks of tools."""

from collections.abc import Awaitable, Callable
from http import HTTPStatus

from starlette.types import Message, Send

from veneer.compat.answers import Translator
from veneer.compat.request import Answers
from veneer.compat.stream import StreamTranslation
from veneer.wire import fields
from veneer.wire.framing import with_length, without_length

# A plain answer beyond this, in bytes, passes as it is.
MAX_ANSWER = 16 * 1024 * 1024


class TranslatedAnswer:
    """Translates a stream event by event, and a plain answer when it is whole."""

    def __init__(self, answers: Answers, send: Send) -> None:
        self._translator = Translator(answers)
        self._send = send
        self._start: Message = {}
        self._parts: list[bytes] = []
        self._size = 0
        self._stream = StreamTranslation(self._translator)
        self._take: Callable[[Message], Awaitable[None]] = send

    async def send(self, message: Message) -> None:
        """Take a message from the app below."""
        if message["type"] == "http.response.start":
            await self._begin(message)
        elif message["type"] == "http.response.body":
            await self._take(message)
        else:
            await self._send(message)

    async def _begin(self, start: Message) -> None:
        headers = start.get("headers", ())
        kind = fields.media_type(fields.get(headers, b"content-type") or b"")
        coded = fields.get(headers, b"content-encoding") not in (None, b"identity")
        if start["status"] != HTTPStatus.OK or coded:
            await self._send(start)
        elif fields.is_event_stream(kind):
            self._take = self._translate
            await self._send({**start, "headers": without_length(headers)})
        else:
            self._start = start
            self._take = self._hold

    async def _translate(self, message: Message) -> None:
        more = message.get("more_body", False)
        body = self._stream.feed(message.get("body", b""))
        if not more:
            body += self._stream.close()
        if body or not more:
            await self._send({"type": "http.response.body", "body": body, "more_body": more})

    async def _hold(self, message: Message) -> None:
        more = message.get("more_body", False)
        self._parts.append(message.get("body", b""))
        self._size += len(self._parts[-1])
        if more and self._size <= MAX_ANSWER:
            return
        self._take = self._send
        text = b"".join(self._parts)
        self._parts.clear()
        body = text if more else self._translator.whole(text)
        start = self._start
        if body != text:
            start = {**start, "headers": with_length(start.get("headers", ()), len(body))}
        await self._send(start)
        await self._send({"type": "http.response.body", "body": body, "more_body": more})
