"""`veneer provider-keys` on a SQLite file."""

import asyncio
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from veneer.cli import main
from veneer.facts import Principal
from veneer.provider_keys.keeper import ProviderKeyKeeper
from veneer.provider_keys.seals import Seals
from veneer.stores import open_provider_key_store

Run = Callable[..., Any]
KEY = "sk-proj-0123456789abcdefwxyz"
SECRET, NEW = "s" * 64, "n" * 64


@pytest.fixture
def provider_keys(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Run:
    """Give a function that runs `veneer provider-keys` on a store, and returns what it printed."""
    monkeypatch.setenv("VENEER_OWN_KEYS_SECRET", SECRET)
    monkeypatch.setenv("NEW", NEW)
    monkeypatch.setenv("KEY", KEY)

    def run(action: str, *arguments: str, typed: str = "", code: int = 0) -> Any:
        monkeypatch.setattr("sys.stdin", io.StringIO(typed))
        capsys.readouterr()
        store = f"sqlite:///{tmp_path}/k.db"
        found = main(["provider-keys", action, *arguments, "--store", store])
        said = capsys.readouterr()
        assert found == code, said.err
        assert KEY not in said.out + said.err
        if code:
            return said.err
        return json.loads(said.out) if "--json" in arguments else said.out

    return run


def found(folder: Path, secret: str, principal: Principal) -> dict[str, str]:
    async def find() -> dict[str, str]:
        store = open_provider_key_store(f"sqlite:///{folder}/k.db")
        try:
            keeper = ProviderKeyKeeper(store, Seals([secret.encode()]))
            return dict(await keeper.find(principal))
        finally:
            await store.aclose()

    return asyncio.run(find())


def test_a_key_is_kept_shown_by_its_end_and_forgotten(provider_keys: Run, tmp_path: Path) -> None:
    said = provider_keys("set", "--team", "red", "--provider", "openai", typed=f"{KEY}\n")
    assert said == "The key sk-…wxyz of the team 'red' for openai is kept.\n"
    provider_keys("set", "--key", "key_1", "--provider", "openai", "--value", "env:KEY")
    assert found(tmp_path, SECRET, Principal(id="x", team="red")) == {"openai": KEY}
    assert KEY.encode() not in (tmp_path / "k.db").read_bytes()

    lines = provider_keys("list").splitlines()
    assert [line.split()[:4] for line in lines[1:]] == [
        ["-", "key_1", "openai", "sk-…wxyz"],
        ["red", "-", "openai", "sk-…wxyz"],
    ]
    (row,) = provider_keys("list", "--team", "red", "--json")
    assert (row["team"], row["key"], row["shown"]) == ("red", None, "sk-…wxyz")
    assert row["sealed_by"] == Seals([SECRET.encode()]).id

    said = provider_keys("delete", "--team", "red", "--provider", "openai")
    assert said.startswith("The key of the team 'red' for openai is forgotten")
    said = provider_keys("delete", "--team", "red", "--provider", "openai", code=2)
    assert said == "veneer: there is no key of the team 'red' for 'openai'.\n"
    assert len(provider_keys("list", "--json")) == 1


def test_programs_are_told_in_json(provider_keys: Run) -> None:
    place = ("--key", "key_1", "--provider", "openai", "--json")
    kept = provider_keys("set", *place, "--value", "env:KEY")
    assert [kept] == provider_keys("list", "--json")
    assert (kept["team"], kept["key"], kept["provider"]) == (None, "key_1", "openai")
    told = provider_keys("delete", *place)
    assert told == {"team": None, "key": "key_1", "provider": "openai", "deleted": True}
    assert provider_keys("list") == ""


def test_the_secret_is_rotated(provider_keys: Run, tmp_path: Path) -> None:
    provider_keys("set", "--team", "red", "--provider", "a", "--value", "env:KEY")
    secrets = ("--secret", "env:NEW", "--secret", "env:VENEER_OWN_KEYS_SECRET")
    assert provider_keys("reseal", "--json", *secrets) == {"resealed": 1, "failed": 0}
    assert found(tmp_path, NEW, Principal(id="x", team="red")) == {"a": KEY}
    assert "1 keys were sealed under secrets" in provider_keys("reseal", code=2)


def test_a_configuration_says_where_keys_are(provider_keys: Run, tmp_path: Path) -> None:
    provider_keys("set", "--team", "red", "--provider", "a", "--value", "env:KEY")
    config = tmp_path / "veneer.toml"
    config.write_text('[own_keys]\nstore = "sqlite:///k.db"\n')
    assert main(["provider-keys", "list", "--config", str(config)]) == 0


@pytest.mark.parametrize(
    ("arguments", "typed", "sentence"),
    [
        ((KEY,), "", "does not belong on a command line"),
        (("--value", KEY), "", "takes env:NAME or file:PATH"),
        ((), "", "no key on standard input"),
        ((), "two words", "one word of visible ASCII"),
        (("--secret", "env:UNSET"), KEY, "UNSET is not set"),
        (("--secret", "sesame"), KEY, "never the secret itself"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_sentence(
    provider_keys: Run, arguments: tuple[str, ...], typed: str, sentence: str
) -> None:
    said = provider_keys("set", "--team", "t", "--provider", "a", *arguments, typed=typed, code=2)
    assert sentence in said
    assert said.count("\n") == 1
    assert "sesame" not in said


def test_a_store_must_be_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["provider-keys", "list"]) == 2
    assert "no store is named" in capsys.readouterr().err


def test_what_is_no_store_is_said(
    provider_keys: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    del provider_keys
    (tmp_path / "x.db").write_bytes(b"no database" * 100)
    assert main(["provider-keys", "list", "--store", f"sqlite:///{tmp_path}/x.db"]) == 2
    assert "the store does not answer" in capsys.readouterr().err
