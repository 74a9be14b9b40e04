"""Keys of callers' own, as configured."""

import inspect
from pathlib import Path
from typing import Any

import pytest

from veneer.config import build, load, parse
from veneer.config.own_keys import open_store, read_seals
from veneer.config.router_tables import OwnKeysTable
from veneer.layers.own_keys import OwnKeysMiddleware
from veneer.provider_keys.remembered import RememberedProviderKeys
from veneer.provider_keys.seals import Seals
from veneer.wiring import ConfigurationError, chain

A = {"name": "a", "url": "http://127.0.0.1:9/v1", "own_keys": True}
B = {"name": "b", "url": "http://127.0.0.1:9/v1"}
AUTH = {"keys": [{"id": "k", "digest": "0" * 64}]}
SECRET = "s" * 32


@pytest.fixture(autouse=True)
def secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VENEER_OWN_KEYS_SECRET", SECRET)
    monkeypatch.setenv("SHORT", "short-secret")


def test_the_layer_asks_for_the_keys_of_targets_that_take_some(tmp_path: Path) -> None:
    (tmp_path / "new.key").write_text("n" * 32)
    (tmp_path / "veneer.toml").write_text(
        """
        auth.keys = [{ id = "k", digest = "%s" }]
        [own_keys]
        store = "sqlite:///keys.db"
        secret = ["file:new.key", "env:VENEER_OWN_KEYS_SECRET"]
        refresh = 3
        grace = 7
        [[targets]]
        name = "a"
        url = "http://127.0.0.1:9/v1"
        own_keys = true
        platform = false
        [[targets]]
        name = "b"
        url = "http://127.0.0.1:9/v1"
        """
        % ("0" * 64)
    )
    config = load(tmp_path / "veneer.toml")
    assert config.own_keys.store == f"sqlite:///{tmp_path}/keys.db"
    layer = next(each for each in chain(build(config)) if isinstance(each, OwnKeysMiddleware))
    assert layer._targets == {"a"}
    keys = layer._keys
    assert isinstance(keys, RememberedProviderKeys)
    assert (keys._max_age, keys._grace) == (3, 7)
    assert read_seals(config.own_keys).id == Seals([b"n" * 32]).id
    assert "nnn" not in repr(config)


def test_defaults_are_those_of_what_remembers() -> None:
    parameters = inspect.signature(RememberedProviderKeys).parameters
    assert OwnKeysTable().refresh == parameters["max_age"].default
    assert OwnKeysTable().grace == parameters["grace"].default


def test_without_targets_that_take_any_nobody_asks() -> None:
    stack = build(parse({"auth": AUTH, "targets": [B]}))
    assert not any(isinstance(each, OwnKeysMiddleware) for each in chain(stack))


@pytest.mark.parametrize(
    ("tables", "sentence"),
    [
        ({"own_keys": {}}, r"^\[\[targets\]\] 'a' has own_keys, and nothing says where"),
        ({"targets": [B]}, r"^\[own_keys\] store is set, and no target takes keys"),
        ({"auth": {}}, r"^\[own_keys\] store is set, and callers are asked for no key"),
        ({"own_keys": {"store": "memory://"}}, r"^\[own_keys\] store cannot be memory://"),
        ({"own_keys": {"store": "mysql://x"}}, r"^\[own_keys\] store: No store has a URL"),
        ({"own_keys": {"store": "postgresql://u:sesame@h/d"}}, "has a password in it"),
        (
            {"own_keys": {"store": "sqlite:///x.db", "secret": "env:UNSET"}},
            r"^\[own_keys\] secret: the environment variable UNSET is not set",
        ),
        (
            {"own_keys": {"store": "sqlite:///x.db", "secret": "env:SHORT"}},
            r"^\[own_keys\] secret: The secret that keys are sealed under has 12 bytes",
        ),
    ],
)
def test_what_cannot_be_is_said_with_its_table(tables: dict[str, Any], sentence: str) -> None:
    config = {"auth": AUTH, "targets": [A], "own_keys": {"store": "sqlite:///x.db"}, **tables}
    with pytest.raises(ConfigurationError, match=sentence) as caught:
        build(parse(config))
    assert "sesame" not in str(caught.value)
    assert "short-secret" not in str(caught.value)


def test_a_secret_stands_in_no_file() -> None:
    with pytest.raises(ConfigurationError, match="never the secret itself") as caught:
        parse({"own_keys": {"secret": SECRET}})
    assert SECRET not in str(caught.value)


def test_without_a_store_there_is_none_to_open() -> None:
    with pytest.raises(ConfigurationError, match=r"^\[own_keys\] store is not set"):
        open_store(OwnKeysTable())
