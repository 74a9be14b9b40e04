"""The admin API of keys, on a real SQLite file: who may ask, what is answered, what is logged."""

import logging
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.asgi import Exchange, http_scope
from veneer import facts
from veneer.admin import AdminKeys
from veneer.dialects import OPENAI, Dialect
from veneer.facts import Principal, RequestId
from veneer.keys.issuer import Issuer
from veneer.keys.peppers import Peppers
from veneer.keys.record import KeyRecord
from veneer.keys.store import KeyStore, StoreUnavailableError
from veneer.stores import open_key_store
from veneer.stores.memory import MemoryKeyStore

PEPPERS = Peppers({"pepper-7": b"7" * 32}, current="pepper-7")
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
ADMIN = Principal(id="root\n", scopes=frozenset({"admin"}))
FULL = Principal(id="alice", scopes=frozenset({"read", "write", "full"}))
FOREIGN = "sk-0123456789abcdef0123"


def api_on(store: KeyStore) -> AdminKeys:
    return AdminKeys(Issuer(store, PEPPERS, clock=lambda: NOW), store)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[KeyStore]:
    store = open_key_store(f"sqlite:///{tmp_path}/keys.db")
    yield store
    await store.aclose()


@pytest.fixture
def api(store: KeyStore) -> AdminKeys:
    return api_on(store)


async def ask(
    api: AdminKeys,
    method: str,
    path: str,
    body: bytes = b"",
    **more: Any,
) -> Exchange:
    principal = more.get("principal", ADMIN)
    exchange = Exchange(http_scope(method, path, query_string=more.get("query", b"")), [body])
    facts.put(exchange.scope, RequestId("req_1"))
    if principal is not None:
        facts.put(exchange.scope, principal)
    await exchange.run(api)
    assert exchange.ended
    return exchange


async def created(api: AdminKeys, body: bytes = b'{"name": "n"}') -> dict[str, Any]:
    exchange = await ask(api, "POST", "/keys", body)
    assert exchange.status == 201
    document: dict[str, Any] = exchange.json()
    return document


def error_of(exchange: Exchange) -> tuple[int, str | None, str | None]:
    error = exchange.json()["error"]
    return exchange.status, error["code"], error["param"]


async def test_a_key_is_created_and_its_secret_shown_once(api: AdminKeys, store: KeyStore) -> None:
    exchange = await ask(
        api,
        "POST",
        "/keys",
        b'{"name": "CI", "team": "ops", "scopes": ["write", "read"], "tags": ["x"],'
        b' "operations": ["embeddings"], "expires_at": "2026-04-01T00:00:00Z"}',
    )
    assert exchange.status == 201
    assert exchange.header("cache-control") == "no-store"
    document = exchange.json()
    secret = document.pop("key")
    assert document == {
        "object": "key",
        "id": document["id"],
        "shown": f"vnr_…{secret[-4:]}",
        "name": "CI",
        "team": "ops",
        "user": None,
        "scopes": ["read", "write"],
        "operations": ["embeddings"],
        "models": None,
        "limits": {},
        "budgets": {},
        "tags": ["x"],
        "created_at": "2026-03-01T12:00:00Z",
        "not_before": None,
        "expires_at": "2026-04-01T00:00:00Z",
        "revoked_at": None,
        "last_used_at": None,
        "rotated_from": None,
    }
    found = await store.find([PEPPERS.digest(secret)[1]])
    assert found is not None
    assert found.id == document["id"]
    shown = await ask(api, "GET", f"/keys/{document['id']}")
    assert (shown.status, shown.json()) == (200, document)
    assert shown.header("cache-control") == "no-store"


async def test_no_answer_has_a_digest_or_the_id_of_a_pepper(
    api: AdminKeys, store: KeyStore
) -> None:
    document = await created(api)
    path = f"/keys/{document['id']}"
    for method, at in (
        ("GET", path),
        ("GET", "/keys"),
        ("POST", f"{path}/rotate"),
        ("POST", f"{path}/revoke"),
    ):
        exchange = await ask(api, method, at)
        assert exchange.status in (200, 201)
        assert b"pepper" not in exchange.body
        assert b"revision" not in exchange.body
        for record in await store.list():
            assert record.digest.encode() not in exchange.body
        assert document["key"].encode() not in exchange.body


async def test_keys_are_listed_in_pages_and_by_team(api: AdminKeys) -> None:
    made = [await created(api, b'{"name": "n", "team": "t%d"}' % (n % 2)) for n in range(5)]
    ids = sorted(key["id"] for key in made)
    exchange = await ask(api, "GET", "/keys", query=b"limit=3")
    page = exchange.json()
    assert [page["object"], page["has_more"]] == ["list", True]
    assert [key["id"] for key in page["data"]] == ids[:3]
    after = f"limit=3&after={ids[2]}".encode()
    page = (await ask(api, "GET", "/keys", query=after)).json()
    assert ([key["id"] for key in page["data"]], page["has_more"]) == (ids[3:], False)
    page = (await ask(api, "GET", "/keys", query=b"team=t1")).json()
    assert {key["id"] for key in page["data"]} == {key["id"] for key in made if key["team"] == "t1"}
    assert (await ask(api, "GET", "/keys", query=b"team=nobody")).json()["data"] == []


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


async def test_a_rotated_key_has_a_successor_and_ends(api: AdminKeys) -> None:
    old = await created(api)
    path = f"/keys/{old['id']}"
    exchange = await ask(api, "POST", f"{path}/rotate", b'{"overlap_seconds": 60}')
    assert (exchange.status, exchange.header("cache-control")) == (201, "no-store")
    new = exchange.json()
    assert new["rotated_from"] == old["id"]
    assert new["key"] != old["key"]
    assert (await ask(api, "GET", path)).json()["expires_at"] == "2026-03-01T12:01:00Z"


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


async def test_a_foreign_key_is_taken_over_and_never_repeated(api: AdminKeys) -> None:
    body = b'{"key": "%b", "name": "old"}' % FOREIGN.encode()
    exchange = await ask(api, "POST", "/keys/import", body)
    assert exchange.status == 201
    assert "key" not in exchange.json()
    again = await ask(api, "POST", "/keys/import", body)
    assert error_of(again) == (400, "invalid_value", "key")
    nameless = await ask(api, "POST", "/keys/import", b'{"key": "%b"}' % FOREIGN.encode())
    assert error_of(nameless)[2] == "name"
    for answer in (exchange, again, nameless):
        assert FOREIGN.encode() not in answer.body


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


async def test_head_is_get_without_a_body(api: AdminKeys) -> None:
    exchange = await ask(api, "HEAD", "/keys")
    assert (exchange.status, exchange.body) == (200, b"")


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


async def test_every_change_is_a_line_and_no_line_has_a_secret(
    api: AdminKeys, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    key = await created(api)
    path = f"/keys/{key['id']}"
    rotated = (await ask(api, "POST", f"{path}/rotate")).json()
    await ask(api, "POST", f"{path}/revoke")
    body = b'{"key": "%b", "name": "old"}' % FOREIGN.encode()
    imported = (await ask(api, "POST", "/keys/import", body)).json()
    await ask(api, "GET", path)
    lines = [record.message for record in caplog.records if record.name == "veneer.audit"]
    by = "by root\\n in req_1"
    assert lines == [
        f"created {key['id']} {by}",
        f"rotated {key['id']} to {rotated['id']} {by}",
        f"revoked {key['id']} {by}",
        f"imported {imported['id']} {by}",
    ]
    for secret in (key["key"], rotated["key"], FOREIGN):
        assert secret not in caplog.text


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


async def test_errors_are_in_the_dialect_of_the_request(api: AdminKeys) -> None:
    exchange = Exchange(http_scope("GET", "/keys"))
    facts.put(exchange.scope, in_other_words(OPENAI))
    await exchange.run(api)
    assert exchange.body == b"other"


def in_other_words(dialect: Dialect) -> Dialect:
    members = {name: getattr(dialect, name) for name in dialect.__struct_fields__}
    return Dialect(**{**members, "body": lambda _: b"other"})


async def test_mounted_elsewhere_its_paths_are_below_the_mount(api: AdminKeys) -> None:
    exchange = Exchange(http_scope("GET", "/ops/keys", root_path="/ops"))
    facts.put(exchange.scope, ADMIN)
    await exchange.run(api)
    assert exchange.status == 200


async def test_a_client_that_leaves_before_its_body_is_whole_changes_nothing(
    api: AdminKeys, store: KeyStore
) -> None:
    exchange = Exchange(http_scope("POST", "/keys"), [])
    facts.put(exchange.scope, ADMIN)
    exchange.disconnect.set()
    await exchange.run(api)
    assert exchange.messages == []
    assert await store.list() == []


async def test_a_websocket_is_refused_and_a_lifespan_left_alone(api: AdminKeys) -> None:
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(message)

    await api({"type": "websocket", "path": "/keys"}, receive, send)
    await api({"type": "lifespan"}, receive, send)
    assert sent == [{"type": "websocket.close", "code": 1008}]
