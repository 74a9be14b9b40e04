"""The inputs of completions and embeddings."""

from typing import Any

import pytest

from veneer.demo.error import DemoError
from veneer.demo.prompt import Prompt, read_prompts


def test_a_text_a_list_of_texts_and_lists_of_tokens_are_read() -> None:
    assert read_prompts("hello you", "p") == [Prompt("hello you", 3)]
    assert read_prompts(["a", "b"], "p") == [Prompt("a", 1), Prompt("b", 1)]
    assert read_prompts([5, 7], "p") == [Prompt("5 7", 2)]
    assert read_prompts([[5], [7, 8]], "p") == [Prompt("5", 1), Prompt("7 8", 2)]


@pytest.mark.parametrize(
    ("prompts", "param"),
    [
        ("", "p"),
        ([], "p"),
        (["a"] * 2_049, "p"),
        (["a", ""], "p[1]"),
        ([[1], []], "p[1]"),
        (["a", 1], "p[1]"),
        ([1, "a"], "p[0]"),
        (["a", [1]], "p[1]"),
    ],
)
def test_what_is_no_input_is_refused_by_its_place(prompts: Any, param: str) -> None:
    with pytest.raises(DemoError) as refused:
        read_prompts(prompts, "p")
    assert refused.value.param == param
