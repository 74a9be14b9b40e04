"""Lone surrogates in JSON text."""

import json

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from veneer.wire.surrogates import without_lone_surrogates

CHARACTERS = st.sampled_from(["\ud83d", "\ude00", "\U0001f600", "\\", '"', "u", "d83d", "é"])


@given(st.lists(CHARACTERS, max_size=8).map("".join))
def test_only_lone_halves_are_replaced_and_nothing_moves(text: str) -> None:
    # Halves that happen to meet are a pair, in the text as in every reader of it.
    text = json.loads(json.dumps(text))
    written = json.dumps(text).encode()
    mended = without_lone_surrogates(written)
    assert len(mended) == len(written)
    expected = "".join("\ufffd" if "\ud800" <= c <= "\udfff" else c for c in text)
    assert msgspec.json.decode(mended) == expected


def test_an_escaped_backslash_before_the_letters_of_a_surrogate_stays() -> None:
    text = rb'"\\ud83d \ud83D\uDE00 \uDe00"'
    assert without_lone_surrogates(text) == rb'"\\ud83d \ud83D\uDE00 \ufffd"'
