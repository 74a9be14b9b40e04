"""The demo model's tokens."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from veneer.demo.error import DemoError
from veneer.demo.tokens import CONTEXT_TOKENS, check_context, count, count_json, pieces


def test_a_token_is_up_to_four_characters_with_the_space_before_them() -> None:
    assert pieces("Hello,  brave\nworld ") == ["Hell", "o,", "  brav", "e", "\nworl", "d", " "]


@settings(deadline=None)
@given(st.text())
def test_the_pieces_join_to_the_text(text: str) -> None:
    assert "".join(pieces(text)) == text
    assert all(pieces(text))
    assert count(text) == len(pieces(text))


def test_json_is_counted_as_it_is_written() -> None:
    assert count_json({"a": 1}) == count('{"a":1}')


def test_a_request_beyond_the_context_is_refused() -> None:
    check_context(CONTEXT_TOKENS, "input")
    with pytest.raises(DemoError, match="131072"):
        check_context(CONTEXT_TOKENS + 1, "input")
