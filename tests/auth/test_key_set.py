"""Key sets: which keys of a document can be used, and for what."""

import sys
from collections.abc import Callable
from typing import Any

import pytest

from tests.auth.tokens import jwk, key_set
from veneer.auth.jose import TokenError
from veneer.auth.key_set import KeySet, pyjwt
from veneer.wiring import ConfigurationError


def found(key_id: str | None, algorithm: str, *jwks: dict[str, Any]) -> int:
    return len(KeySet(key_set(*jwks)).find(key_id, algorithm))


def test_a_key_serves_the_algorithms_of_its_type_only() -> None:
    keys = (jwk("rsa", "r"), jwk("ec", "e"), jwk("ed", "d"))
    assert [found("r", name, *keys) for name in ("RS256", "PS512", "ES256", "EdDSA")] == [
        1,
        1,
        0,
        0,
    ]
    assert [found("e", name, *keys) for name in ("ES256", "ES384", "RS256")] == [1, 0, 0]
    assert [found("d", name, *keys) for name in ("EdDSA", "ES256", "HS256", "none")] == [1, 0, 0, 0]


def test_a_key_that_names_its_algorithm_serves_no_other() -> None:
    assert found("k1", "RS256", jwk(alg="RS256")) == 1
    assert found("k1", "PS256", jwk(alg="RS256")) == 0


def test_keys_are_found_by_their_ids_and_without_one_where_there_is_no_choice() -> None:
    keys = (jwk("rsa", "a"), jwk("rsa-other", "b"), jwk("ec", None))
    assert found("a", "RS256", *keys) == 1
    assert found("c", "RS256", *keys) == 0
    assert found(None, "RS256", *keys) == 0
    assert found(None, "ES256", *keys) == 1


@pytest.mark.parametrize(
    "make",
    [
        lambda: jwk(use="enc"),
        lambda: jwk(key_ops=["encrypt"]),
        lambda: jwk(key_ops="verify"),
        lambda: jwk(alg="HS256"),
        lambda: jwk(kty="oct", k="c2VjcmV0"),
        lambda: jwk(kty=None),
        lambda: jwk(kid=7),
        lambda: jwk(kid="k" * 300),
        lambda: jwk(n="!"),
        lambda: jwk(n=7),
        lambda: jwk("rsa-short"),
        lambda: jwk("ec", x="AAAA"),
        lambda: jwk("ec", crv="secp256k1"),
        lambda: jwk("ed", crv="X25519"),
        lambda: "text",
    ],
)
def test_keys_that_cannot_be_used_are_passed_over(make: Callable[[], Any]) -> None:
    unusable = make()
    assert found("good", "ES256", unusable, jwk("ec", "good")) == 1
    with pytest.raises(TokenError, match="none of its keys"):
        KeySet(key_set(unusable))


def test_a_private_key_in_a_set_is_taken_for_its_public_part() -> None:
    [key] = KeySet(key_set(jwk(d="AQAB", p="AQAB"))).find("k1", "RS256")
    assert "private" not in type(key.key).__name__.lower()


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"[]",
        b"{}",
        b'{"keys": {}}',
        b'{"keys": []}',
        b'{"keys": [], "keys": []}',
        b"\xff",
        b"<html>",
        b'{"keys": [' + b"{}," * 100 + b"{}]}",
    ],
)
def test_what_is_no_key_set_is_refused(document: bytes) -> None:
    with pytest.raises(TokenError):
        KeySet(document)


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jwt", None)
    with pytest.raises(ConfigurationError, match=r"veneer\[jwt\]"):
        pyjwt()
