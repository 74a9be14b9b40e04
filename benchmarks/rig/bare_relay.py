"""What a relay costs in Python at the least: a protocol, a parser, nothing that makes a proxy.

No timeouts, limits, errors, back-pressure or header hygiene: never to be used, only to be compared
with.
"""

import asyncio
from collections.abc import Callable
from typing import cast
from urllib.parse import urlsplit

import httptools
from starlette.types import Message, Receive, Scope, Send

Fields = list[tuple[bytes, bytes]]

DROPPED = frozenset([b"connection", b"transfer-encoding", b"keep-alive", b"date", b"server"])


class Exchange(asyncio.Protocol):
    """A connection to the upstream: one exchange at a time, its messages put into `arrived`."""

    def __init__(self) -> None:
        self.idle: Callable[[], None] | None = None
        self.closed = False
        self._headers: Fields = []
        self._messages: list[Message] = []
        self._waiter: asyncio.Future[None] | None = None
        self._parser = httptools.HttpResponseParser(self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Be of no more use."""
        del exc
        self.closed = True

    def write(self, data: bytes) -> None:
        """Send a request."""
        self._transport.write(data)

    async def messages(self) -> list[Message]:
        """Return what has arrived, as ASGI messages; wait for some."""
        if not self._messages:
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        messages, self._messages = self._messages, []
        return messages

    def data_received(self, data: bytes) -> None:
        """Parse."""
        self._parser.feed_data(data)
        if self._messages and self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a field."""
        name = name.lower()
        if name not in DROPPED:
            self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        """Begin the response."""
        status = self._parser.get_status_code()
        start = {"type": "http.response.start", "status": status, "headers": self._headers}
        self._messages.append(start)
        self._headers = []

    def on_body(self, data: bytes) -> None:
        """Pass a part of the body on."""
        self._messages.append({"type": "http.response.body", "body": data, "more_body": True})

    def on_message_complete(self) -> None:
        """End the response; be ready for another."""
        last = self._messages[-1] if self._messages else None
        if last is not None and last["type"] == "http.response.body":
            last["more_body"] = False
        else:
            self._messages.append({"type": "http.response.body"})
        if self.idle is not None:
            self.idle()


class BareRelay:
    """Forwards requests to an origin and streams its answers back."""

    def __init__(self, origin: str) -> None:
        where = urlsplit(origin).netloc
        self._where = where.partition(":")[0], int(where.partition(":")[2])
        self._host = b"host: %b\r\n" % where.encode()
        self._idle: list[Exchange] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Forward one request."""
        if scope["type"] != "http":
            raise RuntimeError("this app has no lifespan")
        message = await receive()
        body = message["body"]
        while message["more_body"]:
            message = await receive()
            body += message["body"]
        fields = [
            b"%b: %b\r\n" % pair
            for pair in scope["headers"]
            if pair[0] not in DROPPED and pair[0] != b"host"
        ]
        head = b"%b %b HTTP/1.1\r\n" % (scope["method"].encode(), scope["raw_path"])
        exchange = self._idle.pop() if self._idle else await self._connect()
        while exchange.closed:
            exchange = self._idle.pop() if self._idle else await self._connect()
        exchange.write(b"".join([head, self._host, *fields, b"\r\n", body]))
        more = True
        while more:
            for part in await exchange.messages():
                await send(part)
                more = part.get("more_body", True)

    async def _connect(self) -> Exchange:
        loop = asyncio.get_running_loop()
        _, exchange = await loop.create_connection(Exchange, *self._where)
        exchange.idle = lambda: self._idle.append(exchange)
        return exchange
