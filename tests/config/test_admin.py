"""`[admin]`: the API for keys, at the path that the configuration says."""

from pathlib import Path

import pytest

from tests.asgi import Exchange, http_scope, json_request
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
