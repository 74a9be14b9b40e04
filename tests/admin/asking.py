"""How tests ask the admin API of keys, and what they know of it."""

from datetime import UTC, datetime
from typing import Any

from tests.asgi import Exchange, http_scope
from veneer import facts
from veneer.admin import AdminApi, AdminKeys
from veneer.facts import Principal, RequestId
from veneer.keys.issuer import Issuer
from veneer.keys.peppers import Peppers
from veneer.keys.store import KeyStore

PEPPERS = Peppers({"pepper-7": b"7" * 32}, current="pepper-7")
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
ADMIN = Principal(id="root\n", scopes=frozenset({"admin"}))
FULL = Principal(id="alice", scopes=frozenset({"read", "write", "full"}))
FOREIGN = "sk-0123456789abcdef0123"


def api_on(store: KeyStore) -> AdminKeys:
    return AdminKeys(Issuer(store, PEPPERS, clock=lambda: NOW), store)


async def ask(
    api: AdminApi,
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
