"""A request and its response: uvicorn's, with a response that is written in as few parts as it has.

uvicorn writes the header by itself, and judges each of its fields with two patterns. A small answer
then is two segments, for which the client wakes up twice, and a dozen fields cost more than all
else that uvicorn does for a call.
"""

import re
from http import HTTPStatus
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

# RFC 9110 §5: names are tokens, values have no control character but tabs.
_are_fields = re.compile(
    rb"(?:[!#$%&'*+\-.^_`|~0-9A-Za-z]++: [^\x00-\x08\x0a-\x1f\x7f]*+\r\n)*+\Z"
).match

# A header goes with as many bytes of a body as are cheaper to copy than to send by themselves.
SMALL = 65536

# RFC 9110 §6.4.1: these have no content, and no framing.
BODILESS = frozenset([HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED])


class Cycle(RequestResponseCycle):
    """Writes a header whose content has a known length with the first part of it, others at once.

    The first may wait, as no server sends a header before there is a body (ASGI, "Response Start");
    a stream's clients want to know that it has begun.
    """

    # The header that waits for the first part of the body.
    _head = b""

    async def send(self, message: Any) -> None:
        """Write a message of the app; after a disconnect it goes nowhere."""
        if self.flow.write_paused and not self.disconnected:
            await self.flow.drain()
        if self.disconnected:
            return
        kind, begun = message["type"], self.response_started or self._head
        if kind == "http.response.start" and not begun:
            self._begin(message["status"], message.get("headers", ()))
        elif kind == "http.response.body" and begun:
            if not self.response_complete:
                self._go_on(message.get("body", b""), more=message.get("more_body", False))
        else:
            raise RuntimeError(f"the app sent {kind!r} out of turn")

    async def send_500_response(self) -> None:
        """Answer for an app that failed before anything was written, whatever it had begun."""
        self._head = b""
        await super().send_500_response()

    def _begin(self, status: int, headers: Any) -> None:
        fields: list[bytes] = []
        closing = not self.keep_alive
        closes = chunked = False
        length: int | None = None
        for name, value in (*self.default_headers, *headers):
            lowered = name.lower()
            fields += (lowered, b": ", value, b"\r\n")
            if lowered == b"content-length":
                length = int(value)
            elif lowered == b"transfer-encoding" and value.lower() == b"chunked":
                chunked = True
            elif lowered == b"connection" and _says_close(value):
                closes = True
        block = b"".join(fields)
        # A value with a line of its own would be two fields.
        if _are_fields(block) is None or block.count(b"\n") * 4 != len(fields):
            raise RuntimeError("the app sent a header field that is none")
        framing = b"" if chunked else self._frame(status, length)
        self.chunked_encoding = chunked or bool(framing)
        close = b"connection: close\r\n" if closing and not closes else b""
        self.keep_alive = not (closing or closes)
        self._head = b"%b%b%b%b\r\n" % (STATUS_LINE[status], block, close, framing)
        if self.chunked_encoding:
            self._write(b"")

    def _frame(self, status: int, length: int | None) -> bytes:
        """Return what the header lacks to tell where the body ends."""
        self.expected_content_length = length or 0
        if length is not None or self._is_bodiless(status):
            return b""
        return b"transfer-encoding: chunked\r\n"

    def _is_bodiless(self, status: int) -> bool:
        return status in BODILESS or self.scope["method"] == "HEAD"

    def _go_on(self, body: bytes, *, more: bool) -> None:
        if self.scope["method"] == "HEAD":
            self.expected_content_length = 0
            body = b""
        elif self.chunked_encoding:
            chunk = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
            body = chunk if more else chunk + b"0\r\n\r\n"
        else:
            self.expected_content_length -= len(body)
            if self.expected_content_length < 0:
                raise RuntimeError("the app sent more than its content-length")
        self._write(body)
        if more:
            return
        if self.expected_content_length:
            raise RuntimeError("the app sent less than its content-length")
        self.response_complete = True
        self.message_event.set()
        if not self.keep_alive:
            self.transport.close()
        self.on_response()

    def _write(self, part: bytes) -> None:
        if self._head:
            self.response_started = True
            # Before this, the app may still ask for the body of a client that waits to be asked.
            self.waiting_for_100_continue = False
            if len(part) <= SMALL:
                part = self._head + part
            else:
                self.transport.write(self._head)
            self._head = b""
        if part:
            self.transport.write(part)


def _says_close(value: bytes) -> bool:
    return b"close" in map(bytes.strip, value.lower().split(b","))
