"""Reading idempotency keys: the two forms of one key, and what is none."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from veneer.dialects import Kind
from veneer.errors import Error
from veneer.idempotency.key import MAX_KEY, read_key

VISIBLE = "".join(map(chr, range(0x21, 0x7F)))
PRINTABLE = " " + VISIBLE
BARE = "".join(char for char in VISIBLE if char not in '",')


def quoted(key: str) -> bytes:
    """Write a key as RFC 9651 §4.1.6 does."""
    escaped = key.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'.encode()


@pytest.mark.parametrize(
    ("value", "key"),
    [
        (b"abc", "abc"),
        (b'"abc"', "abc"),
        (b" \tabc\t ", "abc"),
        (b' "abc" ', "abc"),
        (b"8e03978e-40d5-43e8-bc93-6894a57f9324", "8e03978e-40d5-43e8-bc93-6894a57f9324"),
        (b"a;b=c", "a;b=c"),
        (b"a\\b", "a\\b"),
        (b'"a\\\\b"', "a\\b"),
        (b'"a\\"b"', 'a"b'),
        (b'"a, b"', "a, b"),
        (b'" a"', " a"),
        (b"'abc'", "'abc'"),
        (b"?", "?"),
        (b"x" * 256, "x" * 256),
        (b'"' + b"\\\\" * 256 + b'"', "\\" * 256),
    ],
)
def test_a_key_is_read(value: bytes, key: str) -> None:
    assert read_key([value]) == key


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ([], "given once, not 0 times"),
        ([b"a", b"a"], "given once, not 2 times"),
        ([b"a", b"b", b"c"], "given once, not 3 times"),
        ([b""], "is empty"),
        ([b" \t "], "is empty"),
        ([b'""'], "is empty"),
        ([b"x" * 257], "has 257 characters; the most is 256"),
        ([b'"' + b"x" * 257 + b'"'], "has 257 characters"),
        ([b"x" * 1_000_000], "has 1000000 characters"),
        ([b"a b"], "is malformed"),
        ([b"a,b"], "is malformed"),
        ([b"abc, abc"], "is malformed"),
        ([b'"abc", "abc"'], "is malformed"),
        ([b'"abc"; p=1'], "is malformed"),
        ([b'"abc";p'], "is malformed"),
        ([b'"abc'], "is malformed"),
        ([b'abc"'], "is malformed"),
        ([b'"'], "is malformed"),
        ([b'"a"b"'], "is malformed"),
        ([b'"a\\"'], "is malformed"),
        ([b'"a\\b"'], "is malformed"),
        ([b"a\0b"], "is malformed"),
        ([b"a\r\nb"], "is malformed"),
        ([b"a\n"], "is malformed"),
        ([b'"a\n"'], "is malformed"),
        ([b'"a"\n'], "is malformed"),
        ([b"a\x7f"], "is malformed"),
        ([b"a\tb"], "is malformed"),
        ([b'"a\tb"'], "is malformed"),
        (["schlüssel".encode()], "is malformed"),
        ([b'"\xff"'], "is malformed"),
        ([b'"' + b"\\" * 1_000_001], "is malformed"),
    ],
)
def test_what_is_no_key_is_refused_in_a_sentence(values: list[bytes], sentence: str) -> None:
    error = read_key(values)
    assert isinstance(error, Error)
    length = "is empty" in sentence or "characters" in sentence
    assert error.kind is (Kind.OUT_OF_RANGE if length else Kind.INVALID_VALUE)
    assert "The Idempotency-Key " in error.message
    assert sentence in error.message


@given(st.text(BARE, min_size=1, max_size=MAX_KEY))
def test_a_bare_key_and_the_same_in_quotes_are_one_key(key: str) -> None:
    assert read_key([key.encode()]) == read_key([quoted(key)]) == key


@given(st.text(PRINTABLE, min_size=1, max_size=MAX_KEY))
def test_every_string_of_up_to_256_characters_is_a_key(key: str) -> None:
    assert read_key([quoted(key)]) == key


@given(st.text(PRINTABLE, min_size=MAX_KEY + 1, max_size=MAX_KEY * 2))
def test_no_longer_string_is(key: str) -> None:
    assert isinstance(read_key([quoted(key)]), Error)


@given(st.binary(max_size=300) | st.text('a\\" ,;', max_size=20).map(str.encode))
def test_any_value_is_a_key_that_can_be_written_or_an_error(value: bytes) -> None:
    key = read_key([value])
    if isinstance(key, str):
        assert 1 <= len(key) <= MAX_KEY
        assert key.isascii()
        assert key.isprintable()
        assert read_key([quoted(key)]) == key
        assert value.strip(b" \t") in (key.encode(), quoted(key))
    else:
        assert value.decode("latin-1") not in key.message or len(value) < 40
