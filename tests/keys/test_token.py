"""Tokens: their format, their checksum, and what is shown of them."""

import re
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from veneer.keys.token import (
    ALPHABET,
    DEFAULT_PREFIX,
    checked_prefix,
    checksum,
    is_possible,
    is_well_formed,
    new_token,
    shown,
)

PREFIXES = st.from_regex(r"[A-Za-z](_?[A-Za-z0-9]){0,31}", fullmatch=True).filter(str.isascii)
RANDOM = st.text(ALPHABET, min_size=30, max_size=30)


def number(digits: str) -> int:
    """Read digits of base 62."""
    value = 0
    for digit in digits:
        value = value * 62 + ALPHABET.index(digit)
    return value


def test_a_new_token_has_the_prefix_thirty_random_characters_and_a_checksum() -> None:
    assert re.fullmatch("vnr_[0-9A-Za-z]{36}", new_token())
    assert re.fullmatch("al_live_[0-9A-Za-z]{36}", new_token("al_live"))


def test_new_tokens_differ() -> None:
    assert len({new_token() for _ in range(200)}) == 200


def test_a_token_of_githubs_own_has_the_checksum_that_is_expected_here() -> None:
    assert is_well_formed("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", "ghp")


@given(RANDOM)
def test_the_checksum_is_the_crc_of_the_random_part_in_base_62(random: str) -> None:
    assert len(checksum(random)) == 6
    assert number(checksum(random)) == zlib.crc32(random.encode())


@given(PREFIXES)
def test_a_new_token_is_well_formed_under_its_prefix(prefix: str) -> None:
    token = new_token(prefix)
    assert is_well_formed(token, prefix)
    assert is_possible(token, prefix)
    assert shown(token) == f"{prefix}_…{token[-4:]}"


@given(st.integers(4, 39), st.sampled_from(ALPHABET))
def test_one_changed_character_is_noticed(place: int, character: str) -> None:
    token = new_token()
    changed = token[:place] + character + token[place + 1 :]
    assert is_well_formed(changed) == (changed == token)
    assert is_possible(changed) == (changed == token)


@given(st.text())
def test_whatever_is_shown_as_a_key_is_judged_without_an_error(text: str) -> None:
    assert not is_well_formed(text)
    is_possible(text)
    is_possible(f"{DEFAULT_PREFIX}_{text}")
    shown(text)


@pytest.mark.parametrize("token", ["sk-proj-abcdef", "x", "a" * 512, "al_live_" + "0" * 36])
def test_a_foreign_token_has_no_checksum(token: str) -> None:
    assert is_possible(token)


@pytest.mark.parametrize(
    "token", ["", "a b", "a\n", "sk-é", "a" * 513, "sk-a\x00", "vnr_", "vnr_short", "vnr_a-b"]
)
def test_what_nobody_can_have_been_given_is_not_possible(token: str) -> None:
    assert not is_possible(token)


@pytest.mark.parametrize(
    ("token", "expected"),
    [
        ("sk-proj-abcdefghijklmnop", "sk-…mnop"),
        ("sk-short", "…"),
        ("abcdefghijklmnopqrstuvwx", "…uvwx"),
        ("", "…"),
    ],
)
def test_of_a_foreign_token_little_is_shown(token: str, expected: str) -> None:
    assert shown(token) == expected


@pytest.mark.parametrize(
    "prefix", ["", "1a", "_a", "a_", "a__b", "a-b", "é", "a" * 33, "a b", "a\n"]
)
def test_an_impossible_prefix_is_refused_with_what_to_write_instead(prefix: str) -> None:
    with pytest.raises(ValueError, match="acme_live"):
        checked_prefix(prefix)
    with pytest.raises(ValueError, match="acme_live"):
        new_token(prefix)
