"""Seals: what is sealed opens for whom it belongs to, and says nothing to others."""

import base64
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from veneer.provider_keys.seals import Seals, UnsealedError

OLD, NEW = b"o" * 32, b"n" * 32
TEXTS = st.text(max_size=20)


@given(TEXTS, st.lists(TEXTS, max_size=3), st.lists(TEXTS, max_size=3))
def test_a_secret_opens_with_the_words_that_it_was_sealed_with(
    secret: str, belongs: list[str], others: list[str]
) -> None:
    seals = Seals([NEW])
    seal, sealed = seals.seal(secret, *belongs)
    assert seals.open(seal, sealed, *belongs) == secret
    if others != belongs:
        with pytest.raises(UnsealedError, match="changed, or is another's"):
            seals.open(seal, sealed, *others)


def test_two_secrets_that_are_the_same_look_different() -> None:
    seals = Seals([NEW])
    assert seals.seal("a", "t") != seals.seal("a", "t")


@pytest.mark.parametrize("at", [0, 12, -1])
def test_what_was_changed_does_not_open(at: int) -> None:
    seals = Seals([NEW])
    seal, sealed = seals.seal("sk-secret", "t")
    raw = bytearray(base64.b64decode(sealed))
    raw[at] ^= 1
    with pytest.raises(UnsealedError) as caught:
        seals.open(seal, base64.b64encode(raw).decode(), "t")
    assert caught.value.__cause__ is None
    assert "sk-secret" not in str(caught.value)


@pytest.mark.parametrize("sealed", ["", "!", "AAAA", base64.b64encode(bytes(28)).decode(), "é"])
def test_what_is_no_sealed_text_does_not_open(sealed: str) -> None:
    seals = Seals([NEW])
    with pytest.raises(UnsealedError):
        seals.open(seals.id, sealed)


def test_the_first_secret_seals_and_all_open() -> None:
    seal, sealed = Seals([OLD]).seal("a", "t")
    both = Seals([NEW, OLD])
    assert both.open(seal, sealed, "t") == "a"
    assert both.seal("a", "t")[0] == both.id == Seals([NEW]).id != seal
    with pytest.raises(UnsealedError, match=f"{seal} .* not among"):
        Seals([NEW]).open(seal, sealed, "t")


def test_nothing_shows_a_secret() -> None:
    assert "nnnn" not in repr(Seals([NEW])) + Seals([NEW]).id


@pytest.mark.parametrize(
    ("secrets", "sentence"),
    [([], "give one"), ([b"short"], "has 5 bytes"), ([NEW, NEW], "are the same")],
)
def test_secrets_that_cannot_be_are_refused(secrets: list[bytes], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        Seals(secrets)


def test_a_missing_package_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.ciphers.aead", None)
    with pytest.raises(ValueError, match=r"install veneer\[byok\]"):
        Seals([NEW])
