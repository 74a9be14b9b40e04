"""The caller, in handlers of Starlette and FastAPI."""

from typing import Annotated, Any

import pytest
from fastapi import Depends, FastAPI
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.types import ASGIApp

from tests.asgi import Exchange, http_scope
from veneer.auth.dependency import principal, principal_of
from veneer.auth.static import StaticKeys, digest_of
from veneer.facts import Principal
from veneer.layers.auth import AuthMiddleware

KEYS = StaticKeys([(digest_of("k"), Principal(id="alice", scopes=frozenset({"read"})))])
KEY = (b"x-api-key", b"k")
AUTH = Middleware(AuthMiddleware, verifier=KEYS, public=["/open"])


async def get(app: ASGIApp, path: str, *headers: tuple[bytes, bytes]) -> Exchange:
    return await Exchange(http_scope("GET", path, headers)).run(app)


async def test_a_fastapi_handler_depends_on_it() -> None:
    app = FastAPI()
    app.add_middleware(AuthMiddleware, verifier=KEYS, public=["/open"])

    async def me(caller: Annotated[Principal, Depends(principal)]) -> dict[str, Any]:
        return {"id": caller.id}

    app.get("/me")(me)
    app.get("/open")(me)
    answer = await get(app, "/me", KEY)
    assert (answer.status, answer.json()) == (200, {"id": "alice"})
    assert (await get(app, "/me")).status == 401
    answer = await get(app, "/open", KEY)
    assert answer.status == 401, "on a public path nobody is asked who they are"
    assert answer.header("www-authenticate") == "Bearer"


async def test_a_starlette_handler_asks_for_it() -> None:
    async def me(request: Request) -> PlainTextResponse:
        assert await principal(request) is principal_of(request)
        return PlainTextResponse(principal_of(request).id)

    app = Starlette(routes=[Route("/me", me)], middleware=[AUTH])
    assert (await get(app, "/me", KEY)).body == b"alice"


def test_without_the_layer_it_says_what_is_missing() -> None:
    with pytest.raises(RuntimeError, match="put AuthMiddleware around this app"):
        principal_of(Request(http_scope()))


async def test_on_a_public_path_it_is_an_error_for_the_client() -> None:
    seen: list[BaseException] = []

    async def me(request: Request) -> PlainTextResponse:
        with pytest.raises(HTTPException) as caught:
            await principal(request)
        seen.append(caught.value)
        return PlainTextResponse("nobody")

    app = Starlette(routes=[Route("/open", me)], middleware=[AUTH])
    assert (await get(app, "/open")).body == b"nobody"
    assert len(seen) == 1
