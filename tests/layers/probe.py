"""What stands around the relay in its tests: a layer that watches, and apps that misbehave."""

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tests.asgi import Exchange, http_scope, json_request, read_body
from veneer import facts
from veneer.client import client_of
from veneer.edits import Edits, edits_of
from veneer.facts import Relayed, Usage
from veneer.layer import Layer
from veneer.layers.relay import RelayMiddleware

Edit = Callable[[Edits], object]

SSE = [(b"content-type", b"text/event-stream; charset=utf-8")]
JSON = [(b"content-type", b"application/json")]


class Probe(Layer):
    """A layer above the relay: asks for edits, and notes which facts were there at each message."""

    def __init__(self, app: ASGIApp, edit: Edit | None = None, *, keep: bool = False) -> None:
        super().__init__(app)
        self._edit = edit
        self._keep = keep
        self.seen: list[tuple[Message, Usage | None, Relayed | None]] = []
        self.usage: Usage | None = None
        self.relayed: Relayed | None = None

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Ask for the edits, and look at the facts whenever something goes out."""
        if self._edit is not None:
            self._edit(edits_of(scope))
        if self._keep:
            client_of(scope, receive).keep()

        async def send_and_look(message: Message) -> None:
            self.seen.append((message, facts.get(scope, Usage), facts.get(scope, Relayed)))
            await send(message)

        try:
            await self.app(scope, receive, send_and_look)
        finally:
            self.usage = facts.get(scope, Usage)
            self.relayed = facts.get(scope, Relayed)

    @property
    def before_the_last(self) -> tuple[Usage | None, Relayed | None]:
        """The facts that were there before the last message left."""
        return self.seen[-1][1], self.seen[-1][2]


class Script:
    """An app that answers step by step: bytes are sent, exceptions raised, coroutines awaited.

    It ends its body properly unless `torso` says that it just returns.
    """

    def __init__(
        self,
        *steps: Any,
        status: int = 200,
        headers: Iterable[tuple[bytes, bytes]] = JSON,
        torso: bool = False,
    ) -> None:
        self.steps = steps
        self.status = status
        self.response_headers = list(headers)
        self.torso = torso
        self.request = b""
        self.scope: Scope = {}
        self.cancelled = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer."""
        self.scope = scope
        self.request = await read_body(receive)
        start = {"type": "http.response.start", "status": self.status}
        await send({**start, "headers": self.response_headers})
        try:
            for step in self.steps:
                if isinstance(step, BaseException):
                    raise step
                if isinstance(step, bytes):
                    await send({"type": "http.response.body", "body": step, "more_body": True})
                else:
                    await step()
        except asyncio.CancelledError:
            self.cancelled = True
            raise
        if not self.torso:
            await send({"type": "http.response.body", "body": b""})

    def header(self, name: bytes) -> list[bytes]:
        """Return the values of a field of the request that reached the app."""
        return [value for field, value in self.scope["headers"] if field == name]


def stack(app: ASGIApp, edit: Edit | None = None, **options: Any) -> Probe:
    """Return a probe around the relay around an app."""
    return Probe(RelayMiddleware(app, **options), edit)


def call(
    path: str = "/v1/chat/completions", *, stream: bool | None = None, **more: Any
) -> Exchange:
    """Return a call of the API."""
    body = {"model": "small", "messages": [], **more}
    if stream is not None:
        body["stream"] = stream
    return json_request(body, path)


def upload(path: str = "/v1/audio/transcriptions") -> Exchange:
    """Return a multipart call, which nobody reads."""
    headers = [(b"content-type", b"multipart/form-data; boundary=x"), (b"content-length", b"3")]
    return Exchange(http_scope("POST", path, headers), [b"abc"])
