"""Operations: what may be asked, in front of an app."""

import asyncio
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.types import Message, Receive, Scope, Send

from tests.asgi import Exchange, Responder, http_scope, json_request
from tests.lint import Lint
from veneer import facts
from veneer.call import Call
from veneer.layers.operations import OperationsMiddleware
from veneer.operations import FIXED, Endpoint


async def test_a_call_that_is_served_passes_with_its_facts() -> None:
    app = Responder(b"{}")
    exchange = await json_request({"model": "a"}).run(OperationsMiddleware(Lint(app)))

    assert exchange.status == 200
    assert facts.get(app.scopes[0], Endpoint) == Endpoint(
        FIXED["chat/completions"], b"chat/completions"
    )
    assert facts.get(app.scopes[0], Call) == Call(FIXED["chat/completions"], "a")
    assert app.bodies == [b'{"model": "a"}']


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("POST", "/nowhere", 404, "unknown_url"),
        ("POST", "//chat/completions", 404, "unknown_url"),
        ("POST", "/v1/files", 404, "operation_not_served"),
        ("GET", "/v1/responses/resp_1", 404, "operation_not_served"),
        ("GET", "/v1/chat/completions", 405, "method_not_allowed"),
    ],
)
async def test_a_call_that_is_not_served_is_refused(
    method: str, path: str, status: int, code: str
) -> None:
    app = Responder(b"{}")
    exchange = await Exchange(http_scope(method, path)).run(OperationsMiddleware(app))

    assert exchange.status == status
    assert exchange.json()["error"]["code"] == code
    assert app.scopes == []


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"[]", [], 400),
        (b'{"stream":1}', [], 400),
        (b"{}", [(b"content-encoding", b"gzip")], 415),
        (b'{"x":"0123456789"}', [], 413),
    ],
)
async def test_a_body_that_cannot_be_read_is_refused(
    body: bytes, headers: list[tuple[bytes, bytes]], status: int
) -> None:
    app = Responder(b"{}")
    exchange = await json_request(body, headers=headers).run(OperationsMiddleware(app, max_body=16))

    assert exchange.status == status
    assert app.scopes == []


async def test_head_is_refused_without_a_body() -> None:
    exchange = await Exchange(http_scope("HEAD", "/nowhere")).run(OperationsMiddleware(Responder()))

    assert exchange.status == 404
    assert exchange.body == b""


async def test_uploads_pass_as_they_come() -> None:
    app = Responder(b"{}")
    scope = http_scope("POST", "/v1/images/edits", [(b"content-type", b"multipart/form-data")])
    exchange = await Exchange(scope, [b"a", b"b", b"c"]).run(
        OperationsMiddleware(Lint(app), max_body=1)
    )

    assert exchange.status == 200
    assert app.bodies == [b"abc"]


async def test_operations_are_allowed_by_name() -> None:
    app = Responder(b"{}")
    layer = OperationsMiddleware(Lint(app), allow=["files", "/rerank", "responses.stored"])
    for path in ("/v1/files/abc/content", "/v1/rerank", "/v1/responses/resp_1"):
        assert (await Exchange(http_scope("GET", path)).run(layer)).status == 200
    body = {"previous_response_id": "resp_1"}
    assert (await json_request(body, "/v1/responses").run(layer)).status == 200


async def test_under_a_mount_the_path_is_the_same() -> None:
    app = Responder(b"{}")
    for mount, path in [("/v1", "/v1/embeddings"), ("/api", "/api/v1/embeddings")]:
        host = Starlette(routes=[Mount(mount, app=OperationsMiddleware(Lint(app)))])
        assert (await json_request({}, path).run(host)).status == 200
    scope = http_scope("GET", "/v1/models/a/b", raw_path=b"/v1/models/a%2Fb")
    host = Starlette(routes=[Mount("/v1", app=OperationsMiddleware(Lint(app)))])
    await Exchange(scope).run(host)

    endpoints = [facts.get(scope, Endpoint) for scope in app.scopes]
    assert [endpoint and endpoint.path for endpoint in endpoints] == [
        b"embeddings",
        b"embeddings",
        b"models/a%2Fb",
    ]


async def test_a_client_that_leaves_in_its_body_is_not_answered() -> None:
    exchange = Exchange(http_scope(), [])
    exchange.disconnect.set()
    await exchange.run(OperationsMiddleware(Responder()))

    assert exchange.messages == []


@pytest.mark.parametrize("size", [0, -1])
def test_a_limit_that_lets_nothing_through_is_refused(size: int) -> None:
    with pytest.raises(ValueError, match="max_body is"):
        OperationsMiddleware(Responder(), max_body=size)


def test_a_name_that_is_no_operation_is_refused() -> None:
    with pytest.raises(ValueError, match="Did you mean 'files'"):
        OperationsMiddleware(Responder(), allow=["file"])


async def open_websocket(layer: OperationsMiddleware) -> list[Message]:
    inbox: asyncio.Queue[Message] = asyncio.Queue()
    inbox.put_nowait({"type": "websocket.connect"})
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    scope: dict[str, Any] = {"type": "websocket", "path": "/v1/realtime"}
    await layer(scope, inbox.get, send)
    return sent


async def test_websockets_are_refused_until_realtime_is_allowed() -> None:
    async def app(_scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})

    assert [m["type"] for m in await open_websocket(OperationsMiddleware(app))] == [
        "websocket.close"
    ]
    allowed = OperationsMiddleware(app, allow=["realtime"])
    assert [m["type"] for m in await open_websocket(allowed)] == ["websocket.accept"]
