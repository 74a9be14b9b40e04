"""A user's tokenizer: it sees what the model reads, within bounds; its faults are not hidden."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.quotas.calls import call_of
from veneer.demo import tokens
from veneer.quotas.counted import LONGEST, counted
from veneer.quotas.estimate import Estimate, bound

CHAT = "chat/completions"


def shown(path: str, body: Any, **options: Any) -> tuple[list[str], Estimate]:
    """Return the texts that a tokenizer is shown, each one token, and the estimate."""
    texts: list[str] = []

    def tokenizer(text: str) -> int:
        texts.append(text)
        return 1

    estimate = counted(tokenizer, **options)(*call_of(path, body))
    return sorted(texts), estimate


@pytest.mark.parametrize(
    ("path", "body", "texts", "around"),
    [
        (CHAT, {"messages": []}, [], 3),
        (CHAT, {"messages": [{"role": "user", "content": "é\n"}]}, ["user", "é\n"], 6),
        (CHAT, {"messages": [{"content": None, "name": "bo"}]}, ["bo"], 7),
        (
            CHAT,
            {"messages": [{"content": [{"text": "a"}, {"refusal": "b"}]}], "tools": [1]},
            ["[1]", "a", "b"],
            6,
        ),
        (CHAT, {"messages": [{"tool_calls": [{"x": 1}]}]}, ['[{"x": 1}]'], 6),
        ("responses", {"input": "a"}, ["a"], 6),
        ("responses", {"input": "a", "instructions": "b"}, ["a", "b"], 9),
        ("responses", {"input": [{"role": "user", "content": "a"}]}, ["a", "user"], 6),
        ("responses", {"input": [{"output": "a"}, {"arguments": "{}"}]}, ["a", "{}"], 9),
        ("embeddings", {"input": "a"}, ["a"], 0),
        ("embeddings", {"input": ["a", "b"]}, ["a", "b"], 0),
        ("embeddings", {"input": [1, 2, 3]}, [], 3),
        ("embeddings", {"input": [[1, 2], [3]]}, [], 3),
        ("embeddings", {}, [], 0),
        ("completions", {"prompt": None, "suffix": "s"}, ["s"], 0),
        ("completions", {"prompt": ["a"]}, ["a"], 0),
    ],
)
def test_the_texts_are_counted_and_what_stands_around_them(
    path: str, body: Any, texts: list[str], around: int
) -> None:
    seen, estimate = shown(path, body)
    assert seen == sorted(texts)
    assert estimate.input_tokens == around + len(texts)
    assert estimate.output_tokens == bound()(*call_of(path, body)).output_tokens


def test_the_demo_models_own_count_is_exact() -> None:
    body = {"messages": [{"role": "", "content": "A sentence of several words."}] * 3}
    estimate = counted(tokens.count)(*call_of(CHAT, body))
    assert estimate.input_tokens == 3 + 3 * (3 + tokens.count("A sentence of several words."))


def test_media_cost_what_they_are_taken_to_cost() -> None:
    image = {"type": "image_url", "image_url": {"url": "x" * LONGEST, "detail": "low"}}
    parts = [{"type": "text", "text": "a"}, image]
    _, estimate = shown(CHAT, {"messages": [{"content": parts}]})
    assert estimate.input_tokens == 3 + 3 + 1 + 85


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (CHAT, {"messages": [{"content": "x" * LONGEST}]}),
        (CHAT, {"messages": "x"}),
        (CHAT, {"messages": ["x"]}),
        (CHAT, {"messages": [{"content": [{"text": 5}]}]}),
        (CHAT, b'{"messages":%b%b}' % (b"[" * 500, b"]" * 500)),
        ("responses", {"input": 5}),
        ("embeddings", {"input": {"a": 1}}),
        ("embeddings", {"input": [1.5]}),
    ],
)
def test_what_cannot_be_counted_is_bounded(path: str, body: Any) -> None:
    seen, estimate = shown(path, body)
    assert seen == []
    assert estimate == bound()(*call_of(path, body))


def test_how_much_is_counted_can_be_said() -> None:
    body = {"messages": [{"content": "x" * 100}]}
    assert shown(CHAT, body, longest=10)[0] == []
    assert shown(CHAT, body, longest=1000)[0] == ["x" * 100]


def test_other_operations_cost_nothing() -> None:
    assert shown("moderations", {"input": "a"}) == ([], Estimate())


class BrokenTokenizerError(Exception):
    """What a tokenizer may raise."""


def broken(_text: str) -> int:
    raise BrokenTokenizerError


@pytest.mark.parametrize(
    ("tokenizer", "error"),
    [
        (broken, BrokenTokenizerError),
        (lambda _text: -1, ValueError),
        (lambda _text: 1.5, TypeError),
        (lambda _text: None, TypeError),
        (lambda _text: "5", TypeError),
    ],
)
def test_a_broken_tokenizer_is_its_owners_to_mend(tokenizer: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        counted(tokenizer)(*call_of(CHAT, {"messages": [{"content": "a"}]}))


MEMBERS = st.sampled_from(
    ["messages", "input", "prompt", "content", "output", "role", "name", "tool_calls", "text"]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.floats(-2, 2) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(MEMBERS, inner, max_size=4),
    max_leaves=15,
)


@given(
    st.dictionaries(MEMBERS, JSON, max_size=5),
    st.sampled_from([CHAT, "completions", "responses", "embeddings"]),
)
def test_no_body_is_too_odd_to_be_counted(body: dict[str, Any], path: str) -> None:
    estimate = counted(len)(*call_of(path, json.dumps(body).encode()))
    assert estimate.input_tokens >= 0
