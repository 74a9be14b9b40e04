"""ULIDs and the request ids made of them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from veneer.wire.ids import ALPHABET, completion_id, request_id, ulid

TIMES = st.integers(0, 2**48 - 1)
RANDOM = st.binary(min_size=16, max_size=16)


def decoded(text: str) -> tuple[int, int]:
    """Return the milliseconds and the random bits of a ULID, digit by digit as it is specified."""
    value = 0
    for letter in text:
        value = value * 32 + ALPHABET.index(letter)
    return value >> 80, value & (1 << 80) - 1


@given(TIMES, RANDOM)
def test_a_ulid_is_read_back(now_ms: int, random: bytes) -> None:
    text = ulid(now_ms, random)
    bits = 0
    for byte in random:
        bits = bits << 5 | byte & 31
    assert len(text) == 26
    assert set(text) <= set(ALPHABET)
    assert decoded(text) == (now_ms, bits)


@given(TIMES, TIMES, RANDOM, RANDOM)
def test_ulids_sort_by_time(first: int, second: int, one: bytes, other: bytes) -> None:
    if first < second:
        assert ulid(first, one) < ulid(second, other)


def test_a_known_ulid_has_the_time_of_the_specification() -> None:
    assert ulid(1469918176385, bytes(16)) == "01ARYZ6S410000000000000000"
    assert ulid(2**48 - 1, b"\xff" * 16) == "7ZZZZZZZZZZZZZZZZZZZZZZZZZ"


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


def test_the_id_of_a_completion_is_one_too() -> None:
    made = completion_id(clock=lambda: 1469918176.385, entropy=bytes)
    assert made == "cmp_01ARYZ6S410000000000000000"


def test_request_ids_of_one_moment_differ_in_their_random_part() -> None:
    made = {request_id(clock=lambda: 1.0) for _ in range(100)}
    assert len(made) == 100
    assert len({text[: len("req_") + 10] for text in made}) == 1
