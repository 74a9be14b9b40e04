"""What is seen of a call, and that who looks says the same as who goes through all of it."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.compat.test_functions import CALL, RESULT, TOOLS, USER, WEATHER, call, refused, said
from tests.layers.streams import compact
from tests.wire.test_splice import texts
from veneer.compat.look import look_at
from veneer.compat.refused import RefusedError
from veneer.compat.request import Translated, _translated, translated
from veneer.compat.target import Target
from veneer.dialects import Kind
from veneer.errors import Error

FUNCTIONS_ONLY = Target(legacy_functions=False, functions_only=True)
TARGETS = (
    TOOLS,
    FUNCTIONS_ONLY,
    Target(max_tokens="max_tokens"),
    Target(max_tokens="max_completion_tokens"),
    Target(developer_role=False),
)

WORDS = st.sampled_from(["functions", "function", "developer", '"functions":[]', "tool", "é"])
CONTENT = WORDS | st.none() | st.lists(st.fixed_dictionaries({"type": st.just("text")}), max_size=1)
MESSAGES = st.lists(
    st.one_of(
        st.sampled_from([USER, CALL, RESULT]),
        st.fixed_dictionaries(
            {"role": WORDS},
            optional={"content": CONTENT, "function_call": st.none(), "name": WORDS},
        ),
        CONTENT,
    ),
    min_size=1,
    max_size=4,
)
CALLS = st.fixed_dictionaries(
    {"messages": MESSAGES},
    optional={
        "functions": st.sampled_from([None, [], [WEATHER]]),
        "function_call": st.sampled_from([None, "auto", {"name": "weather"}]),
        "tools": st.sampled_from([None, [{"type": "function", "function": WEATHER}]]),
        "parallel_tool_calls": st.none(),
        "max_tokens": st.integers(1, 5) | st.none(),
        "max_completion_tokens": st.integers(1, 5) | st.none(),
        "metadata": st.dictionaries(WORDS, WORDS, max_size=2),
        "user": WORDS,
    },
)


@given(texts(CALLS), st.sampled_from(TARGETS))
def test_what_is_left_alone_at_a_look_would_not_be_changed(body: bytes, target: Target) -> None:
    found = translated(body, target)
    if isinstance(found, Error):
        with pytest.raises(RefusedError) as refusal:
            _translated(body, target)
        assert refusal.value.error == found
        return
    whole = _translated(body, target)
    assert found.answers == whole.answers
    # White space between messages may change.
    assert json.loads(found.body) == json.loads(whole.body)


@pytest.mark.parametrize(
    ("target", "given", "concerned"),
    [
        (TOOLS, {}, False),
        (TOOLS, {"tools": [{"type": "function", "function": WEATHER}]}, False),
        (TOOLS, {"functions": [WEATHER]}, True),
        (TOOLS, {"function_call": "auto"}, True),
        (TOOLS, {"messages": [CALL]}, True),
        (TOOLS, {"messages": [USER, RESULT]}, True),
        (TOOLS, {"messages": [{"role": "user", "content": '"role":"function"'}]}, False),
        (TOOLS, {"max_tokens": 5}, False),
        (FUNCTIONS_ONLY, {"functions": [WEATHER]}, False),
        (FUNCTIONS_ONLY, {"tools": []}, True),
        (FUNCTIONS_ONLY, {"messages": [{"role": "tool"}]}, True),
        (FUNCTIONS_ONLY, {"messages": [{"role": "assistant", "tool_calls": []}]}, True),
        (TARGETS[2], {"max_tokens": 5}, False),
        (TARGETS[2], {"max_completion_tokens": 5}, True),
        (TARGETS[3], {"max_tokens": 5}, True),
        (TARGETS[4], {"messages": [{"role": "developer"}]}, True),
        (TARGETS[4], {"messages": [{"role": "user", "name": "developer"}]}, False),
    ],
)
def test_a_target_is_concerned_by_what_it_does_not_know(
    target: Target, given: dict[str, Any], *, concerned: bool
) -> None:
    seen = look_at(compact(call() | given))
    assert seen is not None
    assert seen.concerns(target) is concerned


@pytest.mark.parametrize("body", [b"[]", b'{"messages":["x"]}', b'{"messages":[{"role":5}]}'])
def test_what_cannot_be_seen_at_once_is_looked_at_more_closely(body: bytes) -> None:
    assert look_at(body) is None


def test_a_body_nested_too_deeply_cannot_be_seen() -> None:
    assert look_at(b'{"messages":' + b"[" * 100_000) is None


def test_names_that_escapes_hide_are_found() -> None:
    body = compact(call(USER, CALL, RESULT, functions=[WEATHER]))
    hidden = body
    for name in (b"functions", b"function_call"):
        hidden = hidden.replace(b'"%b":' % name, b'"\\u0066%b":' % name[1:])
    assert hidden != body
    assert said(hidden) == said(body) != json.loads(body)


def test_odd_messages_pass_as_they_came() -> None:
    odd: Any
    for odd in ("x", {"role": 5}, {"role": None}, [], 1):
        body = compact(call({"role": "user", "content": "Hi"}, odd))
        assert translated(body, TOOLS) == Translated(body)


@pytest.mark.parametrize(
    "again", [b'"functions":null', b'"function_call":null', b'"messages":[{}]']
)
def test_of_functions_that_stand_twice_none_are_left_to_the_target(again: bytes) -> None:
    body = b'{"messages":[{}],"functions":[],"function_call":"auto",%b}' % again
    assert refused(body).kind is Kind.INVALID_JSON
