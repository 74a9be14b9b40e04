"""Numbers that are read from their text."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from veneer.counts import MAX_COUNT, MAX_QUOTED, count, prompts_in, times


def test_a_member_that_is_not_there_is_no_number() -> None:
    assert count(msgspec.Raw()) is None


@given(st.lists(st.text(max_size=5), min_size=1, max_size=5), st.booleans())
def test_texts_are_counted_without_being_decoded(
    prompts: list[str],
    ascii_only: bool,  # noqa: FBT001 - hypothesis gives it
) -> None:
    assert prompts_in(json.dumps(prompts, ensure_ascii=ascii_only).encode()) == len(prompts)
    assert prompts_in(json.dumps(prompts, indent=2).encode()) == len(prompts)


@given(st.lists(st.lists(st.integers(0, 9), max_size=3), min_size=1, max_size=4))
def test_lists_of_tokens_are_counted_without_being_decoded(prompts: list[list[int]]) -> None:
    assert prompts_in(json.dumps(prompts).encode()) == len(prompts)


@pytest.mark.parametrize("text", [b"", b'"a"', b"[]", b"[1,2,3]", b"[ ]", b"null", b"{}", b"[-1]"])
def test_anything_else_is_one_prompt(text: bytes) -> None:
    assert prompts_in(text) == 1


@pytest.mark.parametrize(
    "text",
    [b"5", b"5.0", b"0.5e1", b'"5"', b'" 5.0 "', b"5." + b"0" * 100, b"5" + b"0" * 50 + b"e-50"],
)
def test_a_factor_is_read_however_it_is_written(text: bytes) -> None:
    assert times(msgspec.Raw(text)) == 5


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"null",
        b"true",
        b"0",
        b"-3",
        b"1.5",
        b'"x"',
        b'"nan"',
        b"[" + b"5," * 50 + b"5]",
        b'{"n":' + b" " * 50 + b"5}",
        b"%d" % (MAX_COUNT + 1),
        b"9" * 400,
        b"5." + b"0" * MAX_QUOTED,
    ],
)
def test_what_is_no_factor_is_one(text: bytes) -> None:
    assert times(msgspec.Raw(text)) == 1
