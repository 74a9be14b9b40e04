"""Strict reading of tokens."""

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.auth.tokens import part
from veneer.auth.jose import Token, TokenError, number, read_object, read_token

values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=10,
)
objects = st.dictionaries(st.text(max_size=5), values, max_size=5)


@given(objects)
def test_an_object_is_read_as_it_was_written(members: dict[str, object]) -> None:
    assert read_object(json.dumps(members).encode()) == members


@given(objects)
def test_a_token_is_read_as_it_was_written(claims: dict[str, object]) -> None:
    text = f"{part({'alg': 'RS256', 'typ': 'JWT', 'x': 1})}.{part(claims)}.{part(b'signature')}"
    signed = text.rpartition(".")[0].encode()
    assert read_token(text) == Token("RS256", None, "JWT", claims, signed, b"signature")


@given(st.text(max_size=60) | st.from_regex(r"[\w-]{0,9}\.[\w-]{0,9}\.[\w-]{0,9}", fullmatch=True))
def test_anything_else_is_refused_without_being_repeated(text: str) -> None:
    with pytest.raises(TokenError) as caught:
        read_token(text)
    assert len(text) < 20 or text not in str(caught.value)


@given(st.binary(max_size=60))
def test_bytes_are_an_object_or_refused(data: bytes) -> None:
    with contextlib.suppress(TokenError):
        assert isinstance(read_object(data), dict)


@pytest.mark.parametrize(
    "data",
    [
        b'{"a": 1, "a": 1}',
        b'{"a": {"b": 1, "\\u0062": 2}}',
        b'{"a": NaN}',
        b'{"a": -Infinity}',
        b"[" * 100_000,
        b'{"a": ' + b"9" * 5000 + b"}",
        b"\xef\xbb\xbf{}",
    ],
)
def test_what_two_readers_could_read_in_two_ways_is_refused(data: bytes) -> None:
    with pytest.raises(TokenError):
        read_object(data)


@pytest.mark.parametrize("tail", ["=", "==", "A", " ", "\n", "+", "/"])
def test_a_part_is_written_in_one_way_only(tail: str) -> None:
    good = f"{part({'alg': 'RS256'})}.{part({})}.{part(b'abc')}"
    read_token(good)
    with pytest.raises(TokenError):
        read_token(good + tail)
    with pytest.raises(TokenError, match="stray bits"):
        read_token(good[:-1])


def test_numbers_are_finite_or_absent() -> None:
    assert number({}, "exp") is None
    assert number({"exp": 5}, "exp") == 5.0
    wrongs: tuple[object, ...] = (None, True, "5", [], float("inf"), float("nan"), 10**400)
    for wrong in wrongs:
        with pytest.raises(TokenError):
            number({"exp": wrong}, "exp")
