"""The admin layer: which requests go to the API, and a key's life over HTTP in a whole stack."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from starlette.middleware import Middleware

from tests.asgi import Exchange, Responder, http_scope
from tests.lint import Lint
from veneer import facts
from veneer.admin import AdminKeys
from veneer.auth.stored import StoredKeys
from veneer.facts import Principal
from veneer.keys.issuer import Issuer, KeyFields
from veneer.keys.peppers import Peppers
from veneer.layers.admin import AdminMiddleware
from veneer.layers.auth import AuthMiddleware
from veneer.layers.errors import ErrorMiddleware
from veneer.layers.headers import HeadersMiddleware
from veneer.layers.operations import OperationsMiddleware
from veneer.stack import Stack
from veneer.stores import open_key_store
from veneer.wiring import ConfigurationError

ADMIN = Principal(id="root", scopes=frozenset({"admin"}))


async def ask(layer: AdminMiddleware, path: str, **more: Any) -> None:
    exchange = Exchange(http_scope("GET", path, **more))
    facts.put(exchange.scope, ADMIN)
    await exchange.run(layer)
    assert exchange.status == 200


def layered(path: str = "/admin") -> tuple[AdminMiddleware, Responder, Responder]:
    api, app = Responder(b"api"), Responder(b"app")
    return AdminMiddleware(Lint(app), api=Lint(api), path=path), api, app


@pytest.mark.parametrize(
    ("path", "below"), [("/admin", ""), ("/admin/", "/"), ("/admin/keys/key_1", "/keys/key_1")]
)
async def test_what_is_below_the_path_goes_to_the_api_as_if_mounted(path: str, below: str) -> None:
    layer, api, app = layered()
    await ask(layer, path)
    [scope] = api.scopes
    assert (scope["root_path"], scope["path"]) == ("/admin", "/admin" + below)
    assert app.scopes == []


@pytest.mark.parametrize("path", ["/", "", "/administration", "/v1/admin/keys", "admin", "/Admin"])
async def test_everything_else_passes_as_it_came(path: str) -> None:
    layer, api, app = layered()
    await ask(layer, path)
    assert api.scopes == []
    assert (app.scopes[0]["root_path"], app.scopes[0]["path"]) == ("", path)


@pytest.mark.parametrize("path", ["/outer/ops/admin/keys", "/ops/admin/keys"])
async def test_a_mounted_stack_and_a_path_of_ones_own_go_together(path: str) -> None:
    layer, api, _ = layered("/ops/admin")
    await ask(layer, path, root_path="/outer")
    [scope] = api.scopes
    assert (scope["root_path"], scope["path"]) == ("/outer/ops/admin", "/outer/ops/admin/keys")


@pytest.mark.parametrize(
    "path", ["", "/", "admin", "/admin/", "//", "/a//b", "/a/*", "/%61", "/.."]
)
def test_a_path_that_cannot_be_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match="path of the admin API"):
        AdminMiddleware(Responder(), api=Responder(), path=path)


def test_without_anybody_who_says_who_calls_a_stack_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="Principal"):
        Stack([Middleware(AdminMiddleware, api=Responder())], Responder())


async def test_a_websocket_below_the_path_is_the_apis_too() -> None:
    called: list[str] = []

    def named(name: str) -> Any:
        async def app(_scope: Any, _receive: Any, _send: Any) -> None:
            called.append(name)

        return app

    async def nothing(*_: Any) -> Any:
        return {}

    layer = AdminMiddleware(named("app"), api=named("api"))
    for path in ("/admin/keys", "/v1/realtime"):
        await layer({"type": "websocket", "path": path, "headers": []}, nothing, nothing)
    assert called == ["api", "app"]


async def test_an_api_that_keeps_something_open_is_held_open() -> None:
    used: list[str] = []

    class Api(Responder):
        @asynccontextmanager
        async def lifespan(self) -> AsyncIterator[None]:
            """Tell when it is in use."""
            used.append("entered")
            yield
            used.append("left")

    layer = AdminMiddleware(Responder(), api=Api())
    async with layer.lifespan():
        assert used == ["entered"]
    assert used == ["entered", "left"]
    async with AdminMiddleware(Responder(), api=Responder()).lifespan():
        """One that does not keeps nobody waiting."""


class Service:
    """A whole stack on a store of its own, and an admin's key to it."""

    def __init__(self, stack: Stack, admin_key: str, verifier: StoredKeys) -> None:
        self._stack = Lint(stack)
        self._admin_key = admin_key
        self._verifier = verifier

    async def admin(self, method: str, path: str, document: Any = None) -> Exchange:
        """Ask the admin API, then learn what has changed, as the next poll would."""
        exchange = await self.call(self._admin_key, method, f"/admin{path}", document)
        await self._verifier.refresh()
        return exchange

    async def call(self, key: str | None, method: str, path: str, document: Any = None) -> Exchange:
        """Ask anything with a key."""
        headers = [(b"host", b"veneer.test"), (b"content-type", b"application/json")]
        if key is not None:
            headers.append((b"authorization", f"Bearer {key}".encode()))
        body = b"" if document is None else json.dumps(document).encode()
        return await Exchange(http_scope(method, path, headers), [body]).run(self._stack)

    async def status(self, key: str) -> int:
        """Return what a call of the API itself gets."""
        call = {"model": "small", "input": "x"}
        return (await self.call(key, "POST", "/v1/embeddings", call)).status


@asynccontextmanager
async def service(tmp_path: Path) -> AsyncIterator[Service]:
    store = open_key_store(f"sqlite:///{tmp_path}/keys.db")
    peppers = Peppers({"1": b"1" * 32}, current="1")
    issuer = Issuer(store, peppers)
    verifier = StoredKeys(store, peppers)
    admin = await issuer.create(KeyFields(name="admin", scopes=frozenset({"admin"})))
    stack = Stack(
        [
            Middleware(HeadersMiddleware),
            Middleware(ErrorMiddleware),
            Middleware(AuthMiddleware, verifier=verifier, admin=("/admin", "/admin/*")),
            Middleware(AdminMiddleware, api=AdminKeys(issuer, store)),
            Middleware(OperationsMiddleware),
        ],
        Responder(b"{}"),
    )
    async with stack.lifespan():
        yield Service(stack, admin.token, verifier)
    await store.aclose()


async def test_a_key_is_created_used_rotated_and_revoked_over_http(tmp_path: Path) -> None:
    async with service(tmp_path) as at:
        created = await at.admin("POST", "/keys", {"name": "CI", "team": "ops"})
        assert created.status == 201
        first = created.json()
        assert await at.status(first["key"]) == 200

        rotated = await at.admin("POST", f"/keys/{first['id']}/rotate", {"overlap_seconds": 60})
        assert rotated.status == 201
        second = rotated.json()
        assert [await at.status(key["key"]) for key in (first, second)] == [200, 200]

        assert (await at.admin("POST", f"/keys/{first['id']}/revoke")).status == 200
        assert [await at.status(key["key"]) for key in (first, second)] == [401, 200]

        listed = (await at.admin("GET", "/keys", None)).json()
        assert {key["id"] for key in listed["data"]} > {first["id"], second["id"]}


async def test_a_key_that_is_no_admins_is_refused_above_and_a_strange_one_too(
    tmp_path: Path,
) -> None:
    async with service(tmp_path) as at:
        key = (await at.admin("POST", "/keys", {"name": "n", "scopes": ["full"]})).json()["key"]
        for path in ("/admin", "/admin/keys", "/admin/nothing"):
            assert (await at.call(key, "GET", path)).status == 403
            assert (await at.call(None, "GET", path)).status == 401
            assert (await at.call("vnr_nonsense", "GET", path)).status == 401


async def test_an_admins_key_is_for_the_admin_api_alone(tmp_path: Path) -> None:
    async with service(tmp_path) as at:
        made = await at.admin("POST", "/keys", {"name": "n", "scopes": ["admin"]})
        assert await at.status(made.json()["key"]) == 403
        unknown = await at.admin("GET", "/nothing")
        assert (unknown.status, unknown.json()["error"]["code"]) == (404, "unknown_url")
        assert unknown.header("x-request-id") == unknown.json()["error"]["request_id"]


@pytest.mark.parametrize(
    "path", ["/admin//keys", "/admin/../admin/keys", "//admin/keys", "/v1/admin"]
)
async def test_no_way_around_leads_to_keys(tmp_path: Path, path: str) -> None:
    async with service(tmp_path) as at:
        full = (await at.admin("POST", "/keys", {"name": "n", "scopes": ["full"]})).json()["key"]
        exchange = await at.call(full, "GET", path)
        assert exchange.status in (403, 404)
        assert b"shown" not in exchange.body
