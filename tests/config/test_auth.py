"""What `[auth]` describes, and what is said of what it cannot."""

import hashlib
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.asgi import Responder, json_request
from veneer import ConfigurationError
from veneer.auth.verifier import Denial
from veneer.config import build, load, parse
from veneer.config.auth import asks_for_keys, build_verifier, open_store, read_peppers
from veneer.config.auth_tables import AuthTable
from veneer.facts import Principal
from veneer.wiring import chain

PEPPER = "p" * 32
JWT = {"issuer": "https://id.example.com", "audience": "api", "jwks_url": "https://id.example.com/"}


@pytest.fixture(autouse=True)
def _secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VENEER_PEPPER", PEPPER)
    monkeypatch.setenv("KEY", "sk-static-1")


def refused(auth: dict[str, Any]) -> str:
    """Return what is said of an `[auth]` that cannot be."""
    with pytest.raises(ConfigurationError) as caught:
        build(parse({"auth": auth}), Responder())
    return str(caught.value)


async def test_static_keys_are_asked_for_and_taken_out() -> None:
    digest = hashlib.sha256(b"sk-static-2").hexdigest()
    keys = [{"id": "a", "secret": "env:KEY", "team": "t"}, {"id": "b", "digest": digest}]
    stack = build(parse({"auth": {"keys": keys}}), Responder(b"{}"))
    assert (await json_request({"model": "m", "messages": [{}]}).run(stack)).status == 401
    for key in ("sk-static-1", "sk-static-2"):
        shown = json_request(
            {"model": "m", "messages": [{}]}, headers=[(b"x-api-key", key.encode())]
        )
        assert (await shown.run(stack)).status == 200


def test_auth_stands_below_errors_and_above_operations() -> None:
    stack = build(parse({"auth": {"keys": [{"id": "a", "secret": "env:KEY"}]}}), Responder())
    names = [type(part).__name__ for part in chain(stack)]
    place = names.index("AuthMiddleware")
    assert (names[place - 1], names[place + 1]) == ("ErrorMiddleware", "MeMiddleware")
    assert names[place + 2] == "OperationsMiddleware"


async def test_the_fields_of_a_static_key_are_its_principal_s() -> None:
    key = {
        "id": "a",
        "secret": "env:KEY",
        "team": "t",
        "user": "u",
        "scopes": ["read", "admin"],
        "operations": ["embeddings"],
        "tags": ["x"],
        "limits": {"rpm": "5/minute"},
    }
    verifier = build_verifier(parse({"auth": {"keys": [key]}}).auth)
    assert verifier is not None
    assert await verifier.verify("sk-static-1") == Principal(
        id="a",
        name="a",
        team="t",
        user="u",
        scopes=frozenset({"read", "admin"}),
        operations=frozenset({"embeddings"}),
        tags=("x",),
        limits={"rpm": "5/minute"},
    )


def test_a_limit_of_a_static_key_that_is_none_is_refused() -> None:
    key = {"id": "a", "secret": "env:KEY", "limits": {"requests": "5/fortnight"}}
    assert refused({"keys": [key]}).startswith(
        "[[auth.keys]] 'a': limits has 'requests': '5/fortnight' is no limit: give rates such as"
    )


def test_a_tag_of_a_static_key_that_a_client_could_give_is_refused() -> None:
    keys = [{"id": "a", "secret": "env:KEY", "tags": ["client:night"]}]
    assert "[[auth.keys]] 'a': tags has 'client:night'" in refused({"keys": keys})


async def test_all_kinds_of_keys_may_be_configured_together(tmp_path: Path) -> None:
    auth = {
        "store": f"sqlite:///{tmp_path}/k.db",
        "keys": [{"id": "a", "secret": "env:KEY"}],
        "jwt": {**JWT, "claims": {"team": ["org", "team"], "scope_names": {"llm": "write"}}},
    }
    verifier = build_verifier(parse({"auth": auth}).auth)
    assert verifier is not None
    assert isinstance(await verifier.verify("sk-static-1"), Principal)


async def test_the_store_of_a_stack_is_closed_with_it(tmp_path: Path) -> None:
    """An engine that is left open warns, and warnings fail tests."""
    verifier = build_verifier(parse({"auth": {"store": f"sqlite:///{tmp_path}/k.db"}}).auth)
    stack = build(parse({}), Responder(), verifier=verifier)
    async with stack.lifespan():
        assert verifier is not None
        assert await verifier.verify("sk-unknown") is Denial.UNKNOWN
    assert (tmp_path / "k.db").exists()


async def test_public_paths_and_credentials_are_as_configured() -> None:
    keys = [{"id": "a", "secret": "env:KEY"}]
    auth = {"keys": keys, "public": ["/v1/models"], "credentials": ["x-key"]}
    stack = build(parse({"auth": auth}), Responder(b"{}"))
    shown = json_request({"model": "m", "messages": [{}]}, headers=[(b"x-api-key", b"sk-static-1")])
    assert (await shown.run(stack)).status == 401
    shown = json_request({"model": "m", "messages": [{}]}, headers=[(b"x-key", b"sk-static-1")])
    assert (await shown.run(stack)).status == 200


def test_a_store_is_opened_only_where_one_is_named() -> None:
    with pytest.raises(ConfigurationError, match=r"^\[auth\] store is not set"):
        open_store(AuthTable())


def test_tokens_name_the_extra_that_they_need(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jwt", None)
    assert "'veneer[jwt]'" in refused({"jwt": JWT})


def test_nothing_configured_asks_for_no_key() -> None:
    config = parse({"auth": {"prefix": "acme"}})
    assert not asks_for_keys(config.auth)
    assert build_verifier(config.auth) is None


def test_relative_paths_start_where_the_file_lies(tmp_path: Path) -> None:
    path = tmp_path / "veneer.toml"
    for given, found in (
        ("sqlite:///k.db", f"sqlite:///{tmp_path}/k.db"),
        ("sqlite:////abs/k.db", "sqlite:////abs/k.db"),
        ("file:url", f"file:{tmp_path}/url"),
        ("postgresql://h/d", "postgresql://h/d"),
    ):
        path.write_text(
            f'[auth]\nstore = "{given}"\n[[auth.peppers]]\nid = "1"\nsecret = "file:pepper"\n'
        )
        auth = load(path).auth
        assert auth.store == found
        assert auth.peppers[0].secret == f"file:{tmp_path}/pepper"


def test_the_last_pepper_is_current_unless_another_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("NEW", "n" * 32)
    peppers = [{"id": "a", "secret": "env:VENEER_PEPPER"}, {"id": "b", "secret": "env:NEW"}]
    assert read_peppers(parse({"auth": {"peppers": peppers}}).auth).current == "b"
    named = {"peppers": peppers, "current_pepper": "a"}
    assert read_peppers(parse({"auth": named}).auth).current == "a"


@pytest.mark.parametrize(
    ("auth", "sentence"),
    [
        ({"store": "memory://"}, "[auth] store cannot be memory://"),
        ({"store": "mysql://h/d"}, "[auth] store: No store has a URL that begins 'mysql'"),
        ({"store": "postgresql://u:hush@h/d"}, "[auth] store has a password in it"),
        ({"store": "postgresql://h/d?password=hush"}, "[auth] store has a password in it"),
        ({"store": "postgresql://[u:hush@h/d"}, "[auth] store has a password in it"),
        (
            {"store": ["postgresql://u:hush@h/d"]},
            "[auth] store must be a string that is not empty.",
        ),
        ({"store": "env:UNSET"}, "[auth] store: the environment variable UNSET is not set"),
        ({"keys": [{"id": "a"}]}, "[[auth.keys]] 'a' needs either a secret"),
        ({"keys": [{"id": "a", "digest": "hush"}]}, "[[auth.keys]] The digest of the key 'a' is"),
        ({"keys": [{"id": "a", "secret": "hush"}]}, "[[auth.keys]] number 1 secret must be env:"),
        ({"keys": [{"secret": "env:KEY"}]}, "[[auth.keys]] number 1 needs 'id'"),
        ({"keys": [{"id": "a", "secret": "env:KEY", "tem": "x"}]}, "did you mean 'team'?"),
        ({"keys": {"id": "a"}}, "[[auth.keys]] is a list of tables"),
        ({"keys": [{"id": "a", "secret": "env:KEY", "scopes": ["x"]}]}, "scopes must be a list"),
        (
            {"keys": [{"id": "a", "secret": "env:KEY", "operations": ["nope"]}]},
            "[auth] The key 'a' is held to the operation 'nope'",
        ),
        ({"keys": [{"id": "a", "secret": "env:UNSET"}]}, "secret of 'a': the environment"),
        (
            {"keys": [{"id": "a", "secret": "env:KEY"}], "public": ["docs"]},
            "[auth] public has 'docs'",
        ),
        (
            {"keys": [{"id": "a", "secret": "env:KEY"}], "trusted_proxies": ["x"]},
            "[auth] trusted_proxies has 'x'",
        ),
        (
            {"keys": [{"id": "a", "secret": "env:KEY"}], "credentials": ["a b"]},
            "[auth] credentials has 'a b'",
        ),
        ({"store": "sqlite:///k.db", "prefix": "a b"}, "[auth] The prefix of keys, 'a b'"),
        (
            {"store": "sqlite:///k.db", "peppers": [{"id": "1", "secret": "env:KEY"}]},
            "[[auth.peppers]] The pepper '1' has 11 bytes",
        ),
        (
            {"store": "sqlite:///k.db", "peppers": [{"id": "1", "secret": "env:UNSET"}]},
            "[[auth.peppers]] '1': the environment variable UNSET is not set: make one with",
        ),
        (
            {"store": "sqlite:///k.db", "peppers": [{"id": "1", "secret": "env:KEY"}] * 2},
            "[[auth.peppers]] has the id '1' twice",
        ),
        (
            {"store": "sqlite:///k.db", "current_pepper": "2"},
            "[[auth.peppers]] The current pepper, '2', is not among",
        ),
        ({"jwt": {"issuer": "https://x"}}, "[auth.jwt] needs all of issuer, audience and jwks_url"),
        ({"jwt": {**JWT, "jwks_url": "http://x.example/"}}, "[auth.jwt] "),
        ({"jwt": {**JWT, "algorithms": ["HS256"]}}, "[auth.jwt] algorithms has 'HS256'"),
        ({"jwt": {**JWT, "claims": {"team": []}}}, "[auth.jwt.claims] team must be"),
    ],
)
def test_what_cannot_be_is_said_with_its_table_and_without_secrets(
    auth: dict[str, Any], sentence: str
) -> None:
    said = refused(auth)
    assert sentence in said
    assert "\n" not in said
    assert "hush" not in said
    assert "sk-static" not in said
