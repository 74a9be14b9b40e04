"""The admin API of keys: who and what is refused, and how."""

import pytest

from tests.admin.asking import ADMIN, FULL, api_on, ask, created, error_of
from tests.asgi import Exchange, http_scope
from veneer import facts
from veneer.admin import AdminKeys
from veneer.keys.record import KeyRecord
from veneer.keys.store import KeyStore
from veneer.stores.memory import MemoryKeyStore
from veneer.stores.unavailable import StoreUnavailableError


@pytest.mark.parametrize(
    ("query", "param"),
    [
        (b"limit=0", "limit"),
        (b"limit=101", "limit"),
        (b"limit=-1", "limit"),
        (b"limit=", "limit"),
        (b"limit=" + b"9" * 5000, "limit"),
        (b"limit=%D9%A3", "limit"),
        (b"team=", "team"),
        (b"team=%00", "team"),
        (b"after=" + b"x" * 201, "after"),
        (b"order=asc", "order"),
    ],
)
async def test_a_page_that_cannot_be_is_refused(api: AdminKeys, query: bytes, param: str) -> None:
    status, _, named = error_of(await ask(api, "GET", "/keys", query=query))
    assert (status, named) == (400, param)


@pytest.mark.parametrize("seconds", [b"-1", b"31708800", b"999999999999999999", b'"1"', b"1.5"])
async def test_an_overlap_that_cannot_be_is_refused(api: AdminKeys, seconds: bytes) -> None:
    old = await created(api)
    body = b'{"overlap_seconds": %b}' % seconds
    exchange = await ask(api, "POST", f"/keys/{old['id']}/rotate", body)
    status, _, param = error_of(exchange)
    assert (status, param) == (400, "overlap_seconds")


async def test_a_revoked_key_is_revoked_once_and_cannot_be_rotated(api: AdminKeys) -> None:
    key = await created(api)
    path = f"/keys/{key['id']}"
    first = await ask(api, "POST", f"{path}/revoke")
    assert (first.status, first.json()["revoked_at"]) == (200, "2026-03-01T12:00:00Z")
    assert (await ask(api, "POST", f"{path}/revoke", b"{}")).json() == first.json()
    assert error_of(await ask(api, "POST", f"{path}/rotate")) == (400, "invalid_value", "id")
    refused = await ask(api, "POST", f"{path}/revoke", b'{"at": 1}')
    assert error_of(refused) == (400, "unsupported_parameter", "at")


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (b'{"name": ""}', "name"),
        (b'{"name": "\\u0000"}', "name"),
        (b'{"name": 1}', "name"),
        (b"{}", "name"),
        (b'{"name": "n", "scopes": "admin"}', "scopes"),
        (b'{"name": "n", "scopes": ["root"]}', "scopes"),
        (b'{"name": "n", "operations": ["nothing"]}', "operations"),
        (b'{"name": "n", "expires_at": "2026-03-01T11:00:00Z"}', "expires_at"),
        (b'{"name": "n", "expires_at": "tomorrow"}', "expires_at"),
        (b'{"name": "n", "expires_at": "2027-03-01T11:00:00"}', "expires_at"),
        (b'{"name": "n", "digest": "x"}', "digest"),
        (b'{"name": "n", "revoked_at": null}', "revoked_at"),
        (b'{"name": "n", "name": "m"}', "name"),
        (b'{"name": "n", "limits": {"a": "1", "a": "2"}}', "a"),
        (b'{"name": "n", "limits": {"requests": "0/minute"}}', "limits"),
        (b'{"name": "n", "tags": [{"a": [[]]}]}', "tags"),
    ],
)
async def test_a_key_that_cannot_be_is_refused_and_not_made(
    api: AdminKeys, store: KeyStore, body: bytes, param: str
) -> None:
    status, _, named = error_of(await ask(api, "POST", "/keys", body))
    assert (status, named) == (400, param)
    assert await store.list() == []


@pytest.mark.parametrize("body", [b"{" * 60000, b'{"name":' * 8000, b"[" * 60000, b"\0", b"\xff"])
async def test_a_body_that_is_no_object_is_refused(api: AdminKeys, body: bytes) -> None:
    assert error_of(await ask(api, "POST", "/keys", body)) == (400, "invalid_json", None)


async def test_a_body_that_is_too_large_is_refused(api: AdminKeys) -> None:
    exchange = await ask(api, "POST", "/keys", b'{"name": "%b"}' % (b"x" * 70000))
    assert error_of(exchange) == (413, "request_too_large", None)


@pytest.mark.parametrize(
    "key_id", ["key_1", "nul\0", "\ud800", "x" * 300, "' OR 1=1 --", "..", "", "%2e%2e", "ключ"]
)
async def test_a_key_that_is_not_there_is_a_404(api: AdminKeys, key_id: str) -> None:
    await created(api)
    for method, path in (("GET", ""), ("POST", "/rotate"), ("POST", "/revoke")):
        assert (await ask(api, method, f"/keys/{key_id}{path}")).status == 404


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "",
        "/key",
        "/keys/",
        "/keys/a/b",
        "/keys/a/revoke/",
        "/keys/a/b/rotate",
        "//keys",
        "keys",
    ],
)
async def test_what_is_no_path_of_ours_is_a_404(api: AdminKeys, path: str) -> None:
    for method in ("GET", "POST", "DELETE"):
        assert (await ask(api, method, path)).status in (404, 405)


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("PUT", "/keys", "HEAD, GET, POST"),
        ("DELETE", "/keys/key_1", "HEAD, GET"),
        ("GET", "/keys/import", "POST"),
        ("GET", "/keys/key_1/rotate", "POST"),
        ("OPTIONS", "/keys/key_1/revoke", "POST"),
    ],
)
async def test_another_method_is_a_405(api: AdminKeys, method: str, path: str, allow: str) -> None:
    exchange = await ask(api, method, path)
    assert error_of(exchange)[:2] == (405, "method_not_allowed")
    assert exchange.header("allow") == allow


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/keys"),
        ("POST", "/keys"),
        ("POST", "/keys/import"),
        ("GET", "/keys/key_1"),
        ("POST", "/keys/key_1/rotate"),
        ("POST", "/keys/key_1/revoke"),
        ("GET", "/nothing"),
        ("PUT", "/keys"),
    ],
)
async def test_nobody_but_an_admin_is_told_anything(
    api: AdminKeys, store: KeyStore, method: str, path: str
) -> None:
    anonymous = await ask(api, method, path, b'{"name": "n"}', principal=None)
    assert anonymous.status == 401
    assert anonymous.header("www-authenticate") == "Bearer"
    other = await ask(api, method, path, b'{"name": "n"}', principal=FULL)
    assert error_of(other)[:2] == (403, "missing_scope")
    assert await store.list() == []


class Away(MemoryKeyStore):
    """A store that does not answer."""

    async def get(self, key_id: str) -> KeyRecord | None:
        """Say nothing."""
        raise StoreUnavailableError(f"password of {key_id}")

    async def add(self, record: KeyRecord) -> None:
        """Say nothing."""
        raise StoreUnavailableError(record.digest)


@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/keys"), ("GET", "/keys/k"), ("POST", "/keys/k/revoke")]
)
async def test_while_the_store_is_away_the_answer_is_503(method: str, path: str) -> None:
    body = b'{"name": "n"}' if path == "/keys" else b""
    exchange = await ask(api_on(Away()), method, path, body)
    assert error_of(exchange) == (503, "keys_unavailable", None)
    assert exchange.header("retry-after") == "2"
    assert b"password" not in exchange.body


async def test_a_client_that_leaves_before_its_body_is_whole_changes_nothing(
    api: AdminKeys, store: KeyStore
) -> None:
    exchange = Exchange(http_scope("POST", "/keys"), [])
    facts.put(exchange.scope, ADMIN)
    exchange.disconnect.set()
    await exchange.run(api)
    assert exchange.messages == []
    assert await store.list() == []
