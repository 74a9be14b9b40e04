"""`[admin]`: the API for keys and budgets, at the path that the configuration says."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from tests.asgi import Exchange, Responder, http_scope, json_request
from veneer.config import build, parse
from veneer.config.auth import open_access
from veneer.keys.issuer import Issuer, KeyFields
from veneer.stack import Stack
from veneer.wiring import ConfigurationError


@pytest.fixture(autouse=True)
def pepper(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a pepper where the configuration looks for it."""
    monkeypatch.setenv("VENEER_PEPPER", "p" * 64)


def configured(folder: Path) -> dict[str, dict[str, object]]:
    return {
        "upstream": {"url": "http://127.0.0.1:9/v1"},
        "auth": {"store": f"sqlite:///{folder}/keys.db"},
        "admin": {"path": "/admin"},
    }


async def new_key(folder: Path, *scopes: str) -> str:
    access = open_access(parse(configured(folder)).auth)
    assert access is not None
    issuer = Issuer(access.store, access.peppers)
    issued = await issuer.create(KeyFields(name="made", scopes=frozenset(scopes)))
    await access.store.aclose()
    return issued.token


async def asked(stack: Stack, key: str) -> Exchange:
    headers = [(b"authorization", b"Bearer " + key.encode())]
    return await json_request({"name": "new"}, "/admin/keys", headers=headers).run(stack)


async def test_an_admin_key_makes_keys_and_no_other_does(tmp_path: Path) -> None:
    stack = build(parse(configured(tmp_path)))
    async with stack.lifespan():
        made = await asked(stack, await new_key(tmp_path, "admin"))
        refused = await asked(stack, await new_key(tmp_path, "write"))
        unknown = await Exchange(http_scope("GET", "/admin/keys")).run(stack)
    assert made.status == 201
    assert made.json()["key"].startswith("vnr_")
    assert refused.status == 403
    assert unknown.status == 401


async def test_without_a_path_there_is_no_such_api(tmp_path: Path) -> None:
    stack = build(parse(configured(tmp_path) | {"admin": {}}))
    async with stack.lifespan():
        exchange = await asked(stack, await new_key(tmp_path, "full"))
    assert exchange.status == 404


def test_an_api_without_a_store_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"\[admin\] path needs keys in a store"):
        build(parse({"upstream": {"url": "http://localhost/v1"}, "admin": {"path": "/admin"}}))


def test_a_path_that_cannot_be_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"\[admin\] The path"):
        build(parse(configured(tmp_path) | {"admin": {"path": "admin/"}}))


ANSWER = b'{"usage":{"prompt_tokens":5,"completion_tokens":3,"total_tokens":8}}'


def priced(folder: Path, ledger: str) -> dict[str, Any]:
    return configured(folder) | {
        "prices": {"models": [{"model": "m", "input": "1", "output": "2"}]},
        "cost": {"ledger": ledger},
        "budgets": [{"limit": "20", "partition": "key"}],
    }


class Caller:
    """Asks a stack with keys of its store."""

    def __init__(self, stack: Stack, admin: str, key: str) -> None:
        self._stack = stack
        self._admin = admin
        self._key = key

    async def admin(self, method: str, path: str, document: Any = None, query: str = "") -> Any:
        """Return what the admin API answers."""
        headers = [(b"authorization", b"Bearer " + self._admin.encode())]
        scope = http_scope(method, f"/admin{path}", headers, query_string=query.encode())
        body = b"" if document is None else json.dumps(document).encode()
        exchange = await Exchange(scope, [body]).run(self._stack)
        assert exchange.status == 200, exchange.body
        return exchange.json()

    async def call(self) -> Exchange:
        """Return what a call gets."""
        headers = [(b"authorization", b"Bearer " + self._key.encode())]
        return await json_request({"model": "m", "messages": [{}]}, headers=headers).run(
            self._stack
        )


async def spent_is(amount: str, caller: Caller, path: str, query: str = "") -> dict[str, Any]:
    """Return the only line, once so much is spent: a call has its answer before its row is read."""
    async with asyncio.timeout(30):
        while True:
            line: dict[str, Any]
            [line] = (await caller.admin("GET", path, query=query))["data"]
            if line["spent"] == amount:
                return line
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
async def test_a_limit_set_by_an_admin_holds_the_next_call_and_is_taken_back(
    tmp_path: Path, kind: str
) -> None:
    url = "memory://" if kind == "memory" else f"sqlite:///{tmp_path}/ledger.db"
    stack = build(parse(priced(tmp_path, url)), Responder(ANSWER))
    keys = await new_key(tmp_path, "admin"), await new_key(tmp_path, "write")
    async with stack.lifespan():
        caller = Caller(stack, *keys)
        assert (await caller.call()).status == 200
        budget = await spent_is("0.000011", caller, "/budgets")
        assert (budget["name"], budget["limit"]) == ("month", "20")
        setting = {"partition": budget["partition"], "limit": "0.000011"}
        await caller.admin("PUT", "/budgets/month", setting)
        refused = await caller.call()
        assert refused.status == 429
        assert refused.json()["error"]["code"] == "insufficient_quota"
        query = f"key={budget['partition']['key']}"
        await caller.admin("DELETE", "/budgets/month", query=query)
        assert (await caller.call()).status == 200
        usage = await spent_is("0.000022", caller, "/usage", "by=key")
    assert (usage["key"], usage["calls"]) == (budget["partition"]["key"], 2)
    if kind == "sqlite":
        again = build(parse(priced(tmp_path, url)), Responder(ANSWER))
        async with again.lifespan():
            [line] = (await Caller(again, *keys).admin("GET", "/budgets"))["data"]
        assert line["spent"] == "0.000022"


async def test_where_nothing_has_a_price_there_are_no_budgets_to_ask_for(tmp_path: Path) -> None:
    stack = build(parse(configured(tmp_path)))
    key = await new_key(tmp_path, "admin")
    headers = [(b"authorization", b"Bearer " + key.encode())]
    async with stack.lifespan():
        exchange = await Exchange(http_scope("GET", "/admin/budgets", headers)).run(stack)
    assert exchange.status == 404
