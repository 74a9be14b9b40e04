"""ULIDs and the request ids made of them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from veneer.wire.ids import ALPHABET, LENGTH, decode_ulid, request_id, ulid

TIMES = st.integers(0, 2**48 - 1)
RANDOM = st.binary(min_size=16, max_size=16)


@given(TIMES, RANDOM)
def test_a_ulid_is_read_back(now_ms: int, random: bytes) -> None:
    text = ulid(now_ms, random)
    bits = 0
    for byte in random:
        bits = bits << 5 | byte & 31
    assert len(text) == LENGTH
    assert set(text) <= set(ALPHABET)
    assert decode_ulid(text) == decode_ulid(text.lower()) == (now_ms, bits)


@given(TIMES, TIMES, RANDOM, RANDOM)
def test_ulids_sort_by_time(first: int, second: int, one: bytes, other: bytes) -> None:
    if first < second:
        assert ulid(first, one) < ulid(second, other)


def test_a_known_ulid_has_the_time_of_the_specification() -> None:
    assert ulid(1469918176385, bytes(16)) == "01ARYZ6S410000000000000000"
    assert decode_ulid("01ARYZ6S41TSV4RRFFQ69G5FAV")[0] == 1469918176385
    assert decode_ulid("7ZZZZZZZZZZZZZZZZZZZZZZZZZ") == (2**48 - 1, 2**80 - 1)


@given(st.text(ALPHABET + "ILOUilou-_ \N{LATIN SMALL LETTER LONG S}", min_size=24, max_size=28))
def test_only_26_letters_of_the_alphabet_are_a_ulid(text: str) -> None:
    ours = set(ALPHABET + ALPHABET.lower())
    if len(text) == LENGTH and set(text) <= ours and text[0] in "01234567":
        decode_ulid(text)
    else:
        with pytest.raises(ValueError, match="26 characters"):
            decode_ulid(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "8ZZZZZZZZZZZZZZZZZZZZZZZZZ",
        "01ARYZ6S41TSV4RRFFQ69G5FAI",
        "01ARYZ6S41TSV4RRFFQ69G5FAl",
        "01ARYZ6S41TSV4RRFFQ69G5FAO",
        "01ARYZ6S41TSV4RRFFQ69G5FAu",
        "01ARYZ6S41TSV4RRFFQ69G5FA",
        "01ARYZ6S41TSV4RRFFQ69G5FAVV",
        "01ARYZ6S41TSV4RRFFQ69G5FAV\n",
        "01ARYZ6S41TSV4RRFFQ69G5FA\N{KELVIN SIGN}",
        "01ARYZ6S41TSV4RRFFQ69G5FA\N{ARABIC-INDIC DIGIT ONE}",
    ],
)
def test_a_malformed_ulid_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="26 characters"):
        decode_ulid(text)


@pytest.mark.parametrize("now_ms", [-1, 2**48])
def test_a_time_that_does_not_fit_is_refused(now_ms: int) -> None:
    with pytest.raises(ValueError, match="48"):
        ulid(now_ms, bytes(16))


def test_another_number_of_random_bytes_is_refused() -> None:
    with pytest.raises(ValueError, match="16 random bytes"):
        ulid(0, bytes(10))


def test_a_request_id_is_the_ulid_of_now() -> None:
    made = request_id(clock=lambda: 1469918176.385, entropy=bytes)
    assert made == "req_01ARYZ6S410000000000000000"


def test_request_ids_of_one_moment_differ_in_their_random_part() -> None:
    made = {request_id(clock=lambda: 1.0) for _ in range(100)}
    assert len(made) == 100
    assert len({text[: len("req_") + 10] for text in made}) == 1
