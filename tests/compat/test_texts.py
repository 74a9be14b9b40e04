"""Lists in JSON text."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from veneer.compat.texts import is_said, items, with_items

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=6,
)


@given(st.lists(VALUES), st.sampled_from([None, 1, "\t"]), st.booleans())
def test_items_are_found_where_they_stand(values: Any, indent: Any, ascii_only: bool) -> None:  # noqa: FBT001 - hypothesis gives it
    text = json.dumps(values, indent=indent, ensure_ascii=ascii_only).encode(errors="replace")
    spans = items(text)
    assert [json.loads(text[start:end]) for start, end in spans] == json.loads(text)
    assert with_items(text, spans, {}) == text


def test_one_item_is_replaced_and_nothing_else() -> None:
    text = b'[ 1 ,\n{"a":[1, 2]}, 1 ]'
    assert with_items(text, items(text), {1: b"x", 2: b"yy"}) == b"[ 1 ,\nx, yy ]"


def test_lone_surrogates_are_no_hindrance() -> None:
    text = rb'["\ud83d", 5]'
    assert [text[start:end] for start, end in items(text)] == [rb'"\ud83d"', b"5"]


@pytest.mark.parametrize("text", [b"{}", b"[", b"[" * 5000, b"", b"1"])
def test_what_is_no_list_is_refused(text: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the decoder's own words
        items(text)


def test_null_says_nothing() -> None:
    assert [is_said(value) for value in (None, b"", b"null", b"0")] == [False, False, False, True]
