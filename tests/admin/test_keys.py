"""The admin API of keys: what is answered, and what is logged."""

import logging
from typing import Any

import pytest

from tests.admin.asking import ADMIN, FOREIGN, PEPPERS, ask, created, error_of
from tests.asgi import Exchange, http_scope
from veneer import facts
from veneer.admin import AdminKeys
from veneer.dialects import OPENAI, Dialect
from veneer.keys.store import KeyStore


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


async def test_a_rotated_key_has_a_successor_and_ends(api: AdminKeys) -> None:
    old = await created(api)
    path = f"/keys/{old['id']}"
    exchange = await ask(api, "POST", f"{path}/rotate", b'{"overlap_seconds": 60}')
    assert (exchange.status, exchange.header("cache-control")) == (201, "no-store")
    new = exchange.json()
    assert new["rotated_from"] == old["id"]
    assert new["key"] != old["key"]
    assert (await ask(api, "GET", path)).json()["expires_at"] == "2026-03-01T12:01:00Z"


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


async def test_head_is_get_without_a_body(api: AdminKeys) -> None:
    exchange = await ask(api, "HEAD", "/keys")
    assert (exchange.status, exchange.body) == (200, b"")


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


async def test_a_websocket_is_refused_and_a_lifespan_left_alone(api: AdminKeys) -> None:
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(message)

    await api({"type": "websocket", "path": "/keys"}, receive, send)
    await api({"type": "lifespan"}, receive, send)
    assert sent == [{"type": "websocket.close", "code": 1008}]
