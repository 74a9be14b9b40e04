"""The auth layer and WebSockets: guarded before they are accepted."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from starlette.types import Message, Receive, Scope, Send

from veneer import facts
from veneer.auth.verifier import Denial
from veneer.facts import Principal
from veneer.layers.auth import AuthMiddleware

CREDENTIALS = ("authorization", "sec-websocket-protocol")
WRITER = Principal(id="writer", scopes=frozenset({"write"}))
READER = Principal(id="reader", scopes=frozenset({"read"}))


class Keys:
    """Knows two keys, and whether it is open."""

    def __init__(self) -> None:
        self.open = False

    async def verify(self, credential: str) -> Principal | Denial:
        """Look it up."""
        assert self.open
        return {"writer": WRITER, "reader": READER}.get(credential, Denial.UNKNOWN)

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        """Be open inside."""
        self.open = True
        yield


class Realtime:
    """An app that accepts every WebSocket and remembers its scope."""

    def __init__(self) -> None:
        self.scopes: list[Scope] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Accept, then close."""
        self.scopes.append(scope)
        assert (await receive())["type"] == "websocket.connect"
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.close"})


def guarded(app: Realtime) -> AuthMiddleware:
    return AuthMiddleware(app, verifier=Keys(), credentials=CREDENTIALS, public=["/open"])


async def connect(
    app: Realtime | AuthMiddleware,
    *headers: tuple[bytes, bytes],
    path: str = "/v1/realtime",
    **more: Any,
) -> list[Message]:
    """Return what the server is sent for a handshake."""
    layer = guarded(app) if isinstance(app, Realtime) else app
    offered = [v.decode().split(", ") for n, v in headers if n == b"sec-websocket-protocol"]
    scope = {
        "type": "websocket",
        "path": path,
        "root_path": "",
        "headers": list(headers),
        "subprotocols": offered[0] if offered else [],
        **more,
    }
    inbox: list[Message] = [{"type": "websocket.connect"}]
    sent: list[Message] = []

    async def receive() -> Message:
        return inbox.pop(0)

    async def send(message: Message) -> None:
        assert not inbox, "nothing may be sent before the handshake was received"
        sent.append(message)

    await layer(scope, receive, send)
    return sent


async def test_a_known_key_is_let_in_without_its_credential() -> None:
    app = Realtime()
    sent = await connect(app, (b"host", b"x"), (b"authorization", b"Bearer writer"))
    assert [message["type"] for message in sent] == ["websocket.accept", "websocket.close"]
    [scope] = app.scopes
    assert facts.get(scope, Principal) is WRITER
    assert scope["headers"] == [(b"host", b"x")]


async def test_the_first_handshake_starts_the_layer_and_the_next_finds_it_started() -> None:
    app = Realtime()
    layer = guarded(app)
    for _ in range(2):
        await connect(layer, (b"authorization", b"Bearer writer"))
    assert len(app.scopes) == 2


async def test_a_browser_may_show_its_key_as_a_subprotocol() -> None:
    app = Realtime()
    offer = b"realtime, openai-insecure-api-key.writer"
    await connect(app, (b"sec-websocket-protocol", offer))
    [scope] = app.scopes
    assert scope["subprotocols"] == ["realtime"]
    assert scope["headers"] == [(b"sec-websocket-protocol", b"realtime")]
    assert facts.get(scope, Principal) is WRITER


async def test_others_are_closed_before_they_are_accepted() -> None:
    app = Realtime()
    closed = [{"type": "websocket.close", "code": 1008}]
    assert await connect(app) == closed
    assert await connect(app, (b"authorization", b"Bearer wrong")) == closed
    assert await connect(app, (b"authorization", b"Basic wrong")) == closed
    assert await connect(app, (b"authorization", b"Bearer reader")) == closed
    assert app.scopes == []


async def test_a_server_that_can_send_it_gets_the_whole_refusal() -> None:
    start, body = await connect(
        Realtime(),
        (b"authorization", b"Bearer wrong"),
        extensions={"websocket.http.response": {}},
    )
    assert start["type"] == "websocket.http.response.start"
    assert start["status"] == 401
    assert (b"www-authenticate", b"Bearer") in start["headers"]
    assert body["type"] == "websocket.http.response.body"
    assert json.loads(body["body"])["error"]["code"] == "invalid_api_key"


async def test_public_paths_are_left_alone() -> None:
    app = Realtime()
    headers = [(b"authorization", b"Bearer wrong")]
    await connect(app, *headers, path="/open")
    assert app.scopes[0]["headers"] == headers
