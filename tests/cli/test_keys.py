"""`veneer keys` on a SQLite file."""

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from veneer.cli import main
from veneer.keys.token import is_well_formed

Run = Callable[..., Any]
FOREIGN = "sk-foreign-0123456789abcdef"


class Terminal(io.StringIO):
    """Where a person types."""

    def isatty(self) -> bool:
        """Say that somebody does."""
        return True


@pytest.fixture
def keys(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Run:
    """Give a function that runs `veneer keys` on a store and returns what it printed."""
    monkeypatch.setenv("VENEER_PEPPER", "p" * 64)

    def run(action: str, *arguments: str, code: int = 0) -> Any:
        capsys.readouterr()
        store = f"sqlite:///{tmp_path}/k.db"
        found = main(["keys", action, *arguments, "--store", store])
        said = capsys.readouterr()
        assert found == code, said.err
        if code:
            assert said.out == ""
            assert said.err.count("\n") == 1
            return said.err
        return json.loads(said.out) if "--json" in arguments else said.out

    return run


def test_a_key_is_shown_once_alone_on_standard_output(keys: Run) -> None:
    token = keys("create", "--name", "ci").strip()
    assert is_well_formed(token)
    assert token not in keys("list") + keys("list", "--json")[0]["id"]
    assert keys("list", "--json")[0]["shown"].endswith(token[-4:])


def test_every_field_can_be_given(keys: Run) -> None:
    made = keys(
        *("create", "--json", "--name", "ci", "--team", "t", "--user", "u"),
        *("--scopes", "read,write", "--operations", "embeddings", "--operations", "models"),
        *(
            "--models",
            "gpt-*, llama",
            "--tags",
            "a,b",
            "--limit",
            "rpm=5/minute",
            "--budget",
            "day=10",
        ),
        *("--not-before", "2020-01-01T01:00:00+01:00", "--expires-at", "2999-01-01T00:00:00Z"),
    )
    secret = made.pop("secret")
    assert made == keys("show", made["id"], "--json")
    assert secret not in json.dumps(made)
    assert "digest" not in made
    expected = {
        "team": "t",
        "user": "u",
        "scopes": ["read", "write"],
        "operations": ["embeddings", "models"],
        "models": ["gpt-*", "llama"],
        "tags": ["a", "b"],
        "limits": {"rpm": "5/minute"},
        "budgets": {"day": "10"},
        "not_before": "2020-01-01T00:00:00Z",
        "expires_at": "2999-01-01T00:00:00Z",
        "state": "live",
    }
    assert {name: made[name] for name in expected} == expected
    shown = keys("show", made["id"])
    assert "limits        rpm=5/minute\n" in shown
    assert "models        gpt-*,llama\n" in shown


def test_a_list_is_a_table_of_all_pages_or_of_a_team(
    keys: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("veneer.cli.keys.PAGE", 2)
    assert keys("list") == ""
    assert keys("list", "--json") == []
    for number in range(5):
        keys("create", "--quiet", "--name", f"n{number}", "--team", "ab"[number % 2])
    heading, *rows = keys("list").splitlines()
    assert heading.split()[:4] == ["ID", "KEY", "NAME", "TEAM"]
    assert [row.split()[2] for row in rows] == ["n0", "n1", "n2", "n3", "n4"]
    assert len({row.index("write") for row in rows}) == 1
    assert [key["name"] for key in keys("list", "--json", "--team", "b")] == ["n1", "n3"]


def test_a_rotation_leaves_both_for_an_overlap(keys: Run) -> None:
    old = keys("create", "--json", "--name", "ci", "--team", "t")
    new = keys("rotate", old["id"], "--overlap", "2h", "--json")
    assert new["secret"] != old["secret"]
    assert (new["team"], new["rotated_from"]) == ("t", old["id"])
    assert keys("show", old["id"], "--json")["expires_at"] is not None
    assert is_well_formed(keys("rotate", new["id"], "--quiet").strip())


def test_a_key_can_be_revoked_without_the_pepper(
    keys: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = keys("create", "--json", "--name", "ci")
    monkeypatch.delenv("VENEER_PEPPER")
    assert f"{made['id']} (vnr_…{made['secret'][-4:]}) is revoked." in keys("revoke", made["id"])
    assert keys("revoke", made["id"], "--json")["state"] == "revoked"
    assert " revoked " in keys("list")
    monkeypatch.setenv("VENEER_PEPPER", "p" * 64)
    assert made["id"] in keys("rotate", made["id"], code=2)


def test_a_key_is_taken_over_from_where_it_is(
    keys: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{FOREIGN}\n"))
    assert keys("import", "--name", "old", "--json")["shown"] == "sk-…cdef"
    (tmp_path / "key").write_text(FOREIGN)
    said = keys("import", "--name", "again", "--secret", f"file:{tmp_path / 'key'}", code=2)
    assert "in the store already" in said
    monkeypatch.setattr("sys.stdin", Terminal())
    monkeypatch.setattr("getpass.getpass", lambda prompt: f"{prompt[:3]}-typed-0123456789abcdef")
    assert keys("import", "--name", "typed", "--json")["shown"] == "Key-…cdef"
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    assert "no key on standard input" in keys("import", "--name", "x", code=2)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["import", "--name", "x", FOREIGN], "does not belong on a command line"),
        (["import", "--name", "x", "--secret", FOREIGN], "never the key itself"),
        (["create", "--name", "x", "--pepper", FOREIGN], "never the secret itself"),
        (["create", "--name", "x", "--pepper", "env:UNSET"], "UNSET is not set: make one with"),
        (["create", "--name", ""], "name must be 1 to 200 printable characters"),
        (["create", "--name", "x", "--scopes", "all"], "'all'"),
        (["create", "--name", "x", "--operations", "nope"], "'nope'"),
        (["create", "--name", "x", "--limit", "rpm"], "--limit takes KEY=VALUE, not 'rpm'."),
        (["create", "--name", "x", "--limit", "rpm=many"], "limits has 'rpm': 'many' is no limit"),
        (["create", "--name", "x", "--expires-in", "soon"], "'soon' is no length of time"),
        (["create", "--name", "x", "--expires-in", "999999999w"], "999999999w"),
        (["create", "--name", "x", "--expires-in", "500000w"], "too far away"),
        (["create", "--name", "x", "--expires-at", "2020-01-01"], "is no time: give one with"),
        (["create", "--name", "x", "--expires-at", "2020-01-01T00:00Z"], "has passed already"),
        (["show", "key_none"], "there is no key 'key_none' in this store"),
        (["revoke", "key_none"], "there is no key 'key_none'"),
        (["rotate", "key_none"], "there is no key 'key_none'"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_sentence(
    arguments: list[str], sentence: str, keys: Run
) -> None:
    said = keys(*arguments, code=2)
    assert sentence in said
    assert FOREIGN not in said


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "no store is named: give --store sqlite:///veneer.db, or --config"),
        (["--store", "memory://"], "store cannot be memory://"),
        (["--store", "postgresql://u:hush@h/d"], "store has a password in it"),
        (["--store", "postgresql://127.0.0.1:9/d"], "the store does not answer: "),
        (["--store", "sqlite:////none/k.db"], "The folder /none for the SQLite store"),
        (["--config", "/none/veneer.toml"], "/none/veneer.toml cannot be read"),
    ],
)
def test_a_store_that_cannot_be_used_is_said(
    arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["keys", "list", *arguments]) == 2
    said = capsys.readouterr().err
    assert sentence in said
    assert said.count("\n") == 1
    assert "hush" not in said


def test_a_reader_that_leaves_is_no_error(tmp_path: Path) -> None:
    arguments = ["keys", "list", "--store", f"sqlite:///{tmp_path}/k.db", "--json"]
    theirs, ours = os.pipe()
    os.close(theirs)
    done = subprocess.run(
        [sys.executable, "-m", "veneer", *arguments],
        stdout=ours,
        stderr=subprocess.PIPE,
        check=False,
    )
    os.close(ours)
    assert (done.returncode, done.stderr) == (141, b"")


def test_a_configuration_names_store_pepper_and_prefix(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "pepper").write_text("q" * 64)
    (tmp_path / "veneer.toml").write_text(
        '[auth]\nstore = "sqlite:///k.db"\nprefix = "acme"\n'
        '[[auth.peppers]]\nid = "a"\nsecret = "file:pepper"\n'
        '[upstream]\nurl = "http://x"\napi_key = "env:NOT_NEEDED_HERE"\n'
    )
    config = ["--config", str(tmp_path / "veneer.toml")]
    assert main(["keys", "create", "--name", "x", "--quiet", *config]) == 0
    said = capsys.readouterr()
    assert said.out.startswith("acme_")
    assert said.err == ""
    assert (tmp_path / "k.db").is_file()
