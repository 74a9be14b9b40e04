"""A raw driver of ASGI apps: messages in, messages out, disconnects where a test wants them."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tests.lint import Lint


def http_scope(
    method: str = "POST",
    path: str = "/v1/chat/completions",
    headers: Iterable[tuple[bytes, bytes]] = (),
    **more: Any,
) -> Scope:
    """Return the scope of a request as uvicorn would make it."""
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "server": ("127.0.0.1", 8000),
        "client": ("127.0.0.1", 50000),
        "scheme": "http",
        "method": method,
        "root_path": "",
        "path": path,
        "raw_path": path.encode(errors="replace"),
        "query_string": b"",
        "headers": list(headers),
        "state": {},
        **more,
    }


class Exchange:
    """One request to an app, and what it answers."""

    def __init__(self, scope: Scope, parts: Iterable[bytes] = (b"",)) -> None:
        self.scope = scope
        self.messages: list[Message] = []
        self.disconnect = asyncio.Event()
        self.sent = asyncio.Event()
        chunks = list(parts)
        self._inbox: list[Message] = [
            {"type": "http.request", "body": chunk, "more_body": index < len(chunks) - 1}
            for index, chunk in enumerate(chunks)
        ]

    async def receive(self) -> Message:
        """Deliver the body, then wait for the disconnect."""
        if self._inbox:
            return self._inbox.pop(0)
        await self.disconnect.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        """Take a message from the app, as a server does: in silence after a disconnect."""
        if not self.disconnect.is_set():
            self.messages.append(message)
        self.sent.set()

    async def run(self, app: ASGIApp) -> "Exchange":
        """Call the app, with the protocol's rules checked on the way."""
        await Lint(app)(self.scope, self.receive, self.send)
        return self

    @property
    def status(self) -> int:
        """The status of the response."""
        return int(self.messages[0]["status"])

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        """The fields of the response."""
        return list(self.messages[0]["headers"])

    def header(self, name: str) -> str | None:
        """Return the value of the first field of that name."""
        for key, value in self.headers:
            if key == name.lower().encode():
                return value.decode("latin-1")
        return None

    @property
    def body(self) -> bytes:
        """All of the response's body so far."""
        return b"".join(message.get("body", b"") for message in self.messages[1:])

    @property
    def ended(self) -> bool:
        """Whether the response was ended properly."""
        if not self.messages or self.messages[-1]["type"] == "http.response.start":
            return False
        return not self.messages[-1].get("more_body", False)

    def json(self) -> Any:
        """Return the body, decoded."""
        return json.loads(self.body)

    async def until(self, text: bytes) -> None:
        """Wait until the body so far contains this."""
        async with asyncio.timeout(5):
            while text not in self.body:
                self.sent.clear()
                await self.sent.wait()


def json_request(body: Any, path: str = "/v1/chat/completions", **more: Any) -> Exchange:
    """Return an exchange that posts JSON; bytes go as they are."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = [
        (b"host", b"veneer.test"),
        (b"content-type", b"application/json"),
        (b"content-length", str(len(data)).encode()),
        *more.pop("headers", ()),
    ]
    return Exchange(http_scope("POST", path, headers, **more), [data])


@asynccontextmanager
async def running(app: ASGIApp, exchange: Exchange) -> AsyncIterator["asyncio.Task[Exchange]"]:
    """Run an exchange beside the test; it is cancelled if the test leaves it unfinished."""
    task = asyncio.create_task(exchange.run(app))
    try:
        yield task
    finally:
        if not task.done():
            task.cancel()
            await asyncio.wait({task})


class Responder:
    """An app that answers with given messages and remembers what it was asked."""

    def __init__(
        self,
        *parts: bytes,
        status: int = 200,
        content_type: str | None = "application/json",
        headers: Iterable[tuple[bytes, bytes]] = (),
    ) -> None:
        self.parts = parts
        self.status = status
        self.response_headers = list(headers)
        if content_type is not None:
            self.response_headers.append((b"content-type", content_type.encode()))
        self.scopes: list[Scope] = []
        self.bodies: list[bytes] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Read the whole request, then answer."""
        if scope["type"] != "http":
            return
        self.scopes.append(scope)
        self.bodies.append(await read_body(receive))
        start = {
            "type": "http.response.start",
            "status": self.status,
            "headers": self.response_headers,
        }
        await send(start)
        parts = self.parts or (b"",)
        for index, part in enumerate(parts):
            more = index < len(parts) - 1
            await send({"type": "http.response.body", "body": part, "more_body": more})


async def read_body(receive: Receive) -> bytes:
    """Return the whole body of a request."""
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body", False):
            return bytes(body)
