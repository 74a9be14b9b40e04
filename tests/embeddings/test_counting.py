"""The tokens of an input, as they are counted before a call is made."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from veneer.embeddings.counting import Tokens, tokens_of
from veneer.embeddings.inputs import MAX_COMMAS, TooManyItemsError
from veneer.quotas.media import MediaTokens

COSTS = MediaTokens(image_low=10, image_high=100)
IMAGE = {"type": "image_url", "image_url": {"url": "http://x/1.png"}}
LOW = {"type": "image_url", "image_url": {"url": "http://x/1.png", "detail": "low"}}
BARE = {"type": "input_image", "image_url": "http://x/1.png", "detail": "low"}
VIDEO = {"type": "video_url", "video_url": {"url": "http://x/1.mp4"}}
TEXT = {"type": "text", "text": "abcde"}


def count(given: Any) -> Tokens:
    return tokens_of(json.dumps(given, ensure_ascii=False).encode(), COSTS)


@pytest.mark.parametrize(
    ("given", "tokens"),
    [
        ("", Tokens()),
        ("abcd", Tokens(1)),
        ("abcde", Tokens(2)),
        ("ääää", Tokens(2)),
        (["abcd", "abcde"], Tokens(3)),
        ([7, 8, 9], Tokens(3)),
        ([[7, 8], [9]], Tokens(3)),
        ([], Tokens()),
        ([TEXT], Tokens(2)),
        ([TEXT, IMAGE, LOW, BARE], Tokens(2, 120)),
        ([[TEXT, IMAGE], "abcd"], Tokens(3, 100)),
        ([{"type": "text"}, {"type": ["image_url"]}, {}], Tokens()),
        ([{"type": "image_url"}], Tokens(0, 100)),
    ],
)
def test_each_form_of_input_is_counted(given: Any, tokens: Tokens) -> None:
    assert count(given) == tokens


def test_a_video_counts_by_its_text() -> None:
    assert count([VIDEO]) == Tokens(0, 0, len(json.dumps(VIDEO, separators=(",", ":"))) // 4 + 1)


@pytest.mark.parametrize("given", [None, True, 5, 0.5, {}, TEXT, [None], [True], [[["a"]]]])
def test_what_is_no_input_is_told(given: Any) -> None:
    with pytest.raises(ValueError, match="it is no text"):
        count(given)


def test_a_list_that_is_too_long_is_not_taken_apart() -> None:
    with pytest.raises(TooManyItemsError):
        tokens_of(b"[" + b"1," * (MAX_COMMAS + 1) + b"1]", COSTS)
    assert tokens_of(b'"' + b"," * (MAX_COMMAS + 3) + b'"', COSTS).text == MAX_COMMAS // 4 + 1


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists, max_leaves=9))
def test_nothing_that_is_json_counts_less_than_nothing(given: Any) -> None:
    try:
        found = count(given)
    except ValueError:
        return
    assert found.total == found.text >= 0
    assert found.image == found.video == 0
