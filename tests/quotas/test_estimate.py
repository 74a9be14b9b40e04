"""Estimates: never below the truth where they are to be a bound, and never an error."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.quotas.calls import call_of
from veneer.call import MAX_BODY
from veneer.counts import MAX_COUNT
from veneer.demo.chat_messages import Message, read_messages
from veneer.demo.prompt import read_prompts
from veneer.demo.responses_input import Item, read_input
from veneer.demo.tokens import count_json
from veneer.operations import FIXED
from veneer.quotas.estimate import ESTIMATED, FRAME, Estimate, Estimator, bound, openai_formula

CHAT = "chat/completions"


def estimate(estimator: Estimator, path: str, body: Any) -> Estimate:
    return estimator(*call_of(path, body))


def test_an_estimate_is_the_sum_of_both_sides() -> None:
    assert Estimate(2, 3).total == 5
    assert Estimate().total == 0


@pytest.mark.parametrize(
    ("path", "body", "text", "output"),
    [
        (CHAT, {"messages": ["x"], "max_tokens": 7}, 5, 7),
        (CHAT, {"messages": ["x"], "max_tokens": 7, "n": 3}, 5, 21),
        (CHAT, {"messages": ["x"], "n": 3}, 5, 3 * 1024),
        (CHAT, {"messages": ["x"], "n": -3, "max_tokens": "5"}, 5, 1024),
        (CHAT, {"messages": ["x"], "tools": [1], "x": "y" * 99}, 8, 1024),
        ("completions", {"prompt": ["a", "b"]}, 10, 32),
        ("completions", {"prompt": "a", "max_tokens": 5, "n": 2, "best_of": 4}, 3, 20),
        ("responses", {"input": "a", "instructions": "b"}, 6, 1024),
        ("responses", {"input": "a", "max_output_tokens": 5}, 3, 5),
        ("embeddings", {"input": ["a"], "max_tokens": 5}, 5, 0),
    ],
)
def test_the_bound_is_the_bytes_of_the_text_and_the_cap(
    path: str, body: Any, text: int, output: int
) -> None:
    assert estimate(bound(), path, body) == Estimate(text + FRAME, output)


def test_what_is_taken_for_a_call_without_a_cap_can_be_said() -> None:
    assert estimate(bound(default_output=9), CHAT, {"messages": []}).output_tokens == 9
    assert estimate(openai_formula(default_output=9), CHAT, {"messages": []}).total == 9
    for make in (bound, openai_formula):
        with pytest.raises(ValueError, match="default_output is -1"):
            make(default_output=-1)


@pytest.mark.parametrize("make", [bound, openai_formula])
def test_only_operations_of_texts_cost_tokens(make: Any) -> None:
    for path, operation in FIXED.items():
        total = estimate(make(), path, {"input": "abc", "prompt": "abc", "messages": ["a"]}).total
        assert (total > 0) is (operation.name in ESTIMATED)


@pytest.mark.parametrize(
    ("body", "total"),
    [
        ({"messages": ["x" * 396], "max_tokens": 50}, 100),
        ({"messages": ["x" * 397], "max_tokens": 50}, 101),
        ({"messages": ["x" * 396], "max_tokens": 150}, 150),
        ({"messages": ["x" * 396], "max_tokens": 150, "n": 2}, 300),
        ({"messages": ["x" * 396]}, 100),
    ],
)
def test_openais_formula_is_the_larger_of_cap_and_characters(body: Any, total: int) -> None:
    found = estimate(openai_formula(), CHAT, body)
    assert found.total == total
    assert found.input_tokens == (len(body["messages"][0]) + 4 + 3) // 4


def test_an_absurd_cap_is_no_cap_and_a_large_one_is_bounded() -> None:
    huge = {"messages": [], "max_tokens": 10**30, "n": 10**30}
    assert estimate(bound(), CHAT, huge).output_tokens == 1024
    most = {"prompt": [[1]] * 5, "max_tokens": MAX_COUNT, "best_of": MAX_COUNT}
    assert estimate(bound(), "completions", most).output_tokens == 5 * MAX_COUNT**2


TEXT = st.text(max_size=60) | st.text('aé中\U0001f600\\" \n\t\x00/', max_size=60)


def told(body: dict[str, Any], *, ascii_only: bool, spaced: bool) -> bytes:
    separators = (", ", ": ") if spaced else (",", ":")
    return json.dumps(body, ensure_ascii=ascii_only, separators=separators).encode()


@given(
    st.lists(st.tuples(TEXT, TEXT, st.booleans()), min_size=1, max_size=4),
    st.booleans(),
    st.booleans(),
)
@example(said=[("", "", False)], ascii_only=False, spaced=False)
def test_the_bound_of_a_chat_is_never_below_the_models_count(
    said: list[tuple[str, str, bool]],
    ascii_only: bool,  # noqa: FBT001 - hypothesis gives it
    spaced: bool,  # noqa: FBT001 - hypothesis gives it
) -> None:
    messages: list[dict[str, Any]] = [
        {"role": "user", "content": [{"type": "text", "text": text}] if parts else text}
        | ({"name": name} if name else {})
        for text, name, parts in said
    ]
    tools = [{"type": "function", "function": {"name": text}} for text, _, _ in said]
    body = told({"messages": messages, "tools": tools}, ascii_only=ascii_only, spaced=spaced)
    truth = read_messages(msgspec.convert(messages, list[Message])).tokens + count_json(tools)
    assert estimate(bound(), CHAT, body).input_tokens >= truth


@given(TEXT, TEXT, st.lists(TEXT, max_size=4), st.booleans(), st.booleans())
@example(text="", instructions="", items=[], ascii_only=False, spaced=False)
def test_the_bound_of_a_response_is_never_below_the_models_count(
    text: str,
    instructions: str,
    items: list[str],
    ascii_only: bool,  # noqa: FBT001 - hypothesis gives it
    spaced: bool,  # noqa: FBT001 - hypothesis gives it
) -> None:
    several = [{"role": "user", "content": item} for item in items]
    for given_input in (text, several):
        body = told(
            {"input": given_input, "instructions": instructions},
            ascii_only=ascii_only,
            spaced=spaced,
        )
        truth = read_input(msgspec.convert(given_input, str | list[Item]), instructions).tokens
        assert estimate(bound(), "responses", body).input_tokens >= truth


@given(
    st.lists(TEXT.filter(bool), min_size=1, max_size=4)
    | st.lists(st.lists(st.integers(0, 9), min_size=1), min_size=1, max_size=4)
    | st.lists(st.integers(0, 9), min_size=1),
    st.booleans(),
)
def test_the_bound_of_prompts_is_never_below_the_models_count(
    prompts: Any,
    ascii_only: bool,  # noqa: FBT001 - hypothesis gives it
) -> None:
    truth = sum(prompt.tokens for prompt in read_prompts(prompts, "input"))
    for path, member in (("embeddings", "input"), ("completions", "prompt")):
        body = told({member: prompts}, ascii_only=ascii_only, spaced=False)
        assert estimate(bound(), path, body).input_tokens >= truth


MEMBERS = st.sampled_from(
    [
        "messages",
        "input",
        "prompt",
        "content",
        "output",
        "image_url",
        "input_image",
        "input_audio",
        "file",
        "input_file",
        "file_data",
        "file_id",
        "detail",
        "data",
        "url",
        "type",
        "text",
        "result",
        "n",
        "max_tokens",
        "name",
    ]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | TEXT | MEMBERS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(MEMBERS, inner, max_size=4),
    max_leaves=15,
)


@given(
    st.dictionaries(MEMBERS, JSON, max_size=5),
    st.sampled_from(sorted(path for path, op in FIXED.items() if op.name in ESTIMATED)),
)
def test_no_body_is_too_odd_to_be_estimated(body: dict[str, Any], path: str) -> None:
    text = json.dumps(body, ensure_ascii=False).encode(errors="replace")
    before = bytes(text)
    for make in (bound, openai_formula):
        found = make()(*call_of(path, text))
        assert found.input_tokens >= 0
        assert found.output_tokens >= 0
    assert text == before


@pytest.mark.parametrize("depth", [500, 100_000])
@pytest.mark.parametrize("path", [CHAT, "responses"])
def test_a_deep_body_is_estimated_by_its_bytes_or_never_read(path: str, depth: int) -> None:
    call, _ = call_of(path, {"messages": [], "input": []})
    deep = b"[" * depth + b"]" * depth
    body = b'{"messages":%b,"input":%b,"x":"image_url","y":"input_image"}' % (deep, deep)
    found = bound()(msgspec.structs.replace(call, input_bytes=len(deep)), body)
    assert found.input_tokens == len(deep) + FRAME


def test_a_body_as_large_as_may_be_is_estimated() -> None:
    call, _ = call_of(CHAT, {"messages": []})
    body = b"{" * MAX_BODY + b'"image_url"'
    assert bound()(msgspec.structs.replace(call, input_bytes=9), body) == Estimate(9 + FRAME, 1024)
