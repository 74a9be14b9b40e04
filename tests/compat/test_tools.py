"""Calls that speak of tools, for a target that knows only functions."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.compat.test_functions import CALL, RESULT, USER, WEATHER, call, refused, said
from tests.layers.streams import compact
from veneer.compat.functions import messages_with_tools, with_tools
from veneer.compat.target import Target
from veneer.compat.tools import messages_with_functions, with_functions

FUNCTIONS = Target(legacy_functions=False, functions_only=True)
TOOL = {"type": "function", "function": WEATHER}
CITY = {"name": "city", "arguments": "{}"}


def calls(*functions: Any) -> dict[str, Any]:
    """Return a message that calls these."""
    return {
        "role": "assistant",
        "content": "Let me see",
        "tool_calls": [
            {"id": f"c{place}", "type": "function", "function": function}
            for place, function in enumerate(functions)
        ],
    }


def result(call_id: str, content: Any) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": call_id, "content": content}


def test_tools_are_said_as_functions() -> None:
    body = call(tools=[TOOL], tool_choice="auto", parallel_tool_calls=False)
    assert said(body, FUNCTIONS) == call(functions=[WEATHER], function_call="auto")


@pytest.mark.parametrize(
    ("choice", "function_call"),
    [
        ("none", "none"),
        ("required", {"name": "weather"}),
        ({"type": "function", "function": {"name": "weather"}}, {"name": "weather"}),
    ],
)
def test_the_choice_of_a_tool_is_that_of_a_function(choice: Any, function_call: Any) -> None:
    body = said(call(tools=[TOOL], tool_choice=choice), FUNCTIONS)
    assert body["function_call"] == function_call
    assert "tool_choice" not in body


def test_several_calls_become_one_message_each_with_its_result() -> None:
    body = call(
        USER,
        calls(CALL["function_call"], CITY),
        result("c1", [{"type": "text", "text": "Ro"}, {"type": "text", "text": "me"}]),
        result("c0", None),
        USER,
    )
    assert said(body, FUNCTIONS)["messages"] == [
        USER,
        {**CALL, "content": "Let me see"},
        {"role": "function", "name": "weather", "content": ""},
        {"role": "assistant", "content": None, "function_call": CITY},
        {"role": "function", "name": "city", "content": "Rome"},
        USER,
    ]


def test_a_call_may_have_no_result_and_a_result_any_content() -> None:
    body = call(calls(CITY), USER, calls(CITY), result("c0", {"odd": 1}))
    messages = said(body, FUNCTIONS)["messages"]
    assert [message["role"] for message in messages] == [
        "assistant",
        "user",
        "assistant",
        "function",
    ]
    assert messages[-1]["content"] == {"odd": 1}


def test_functions_of_clients_are_left_as_they_are() -> None:
    body = call(CALL, RESULT, functions=[WEATHER], function_call="auto")
    assert said(body, FUNCTIONS) == body


def test_what_says_nothing_is_not_said() -> None:
    assert said(call(tools=None, tool_choice=None, parallel_tool_calls=True), FUNCTIONS) == call()


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"tools": [TOOL], "functions": [WEATHER]}, "functions"),
        ({"tools": [TOOL], "function_call": "auto"}, "function_call"),
        ({"tools": []}, "tools"),
        ({"tools": {}}, "tools"),
        ({"tools": [1]}, "tools[0]"),
        ({"tools": [TOOL, {"type": "custom"}]}, "tools[1].type"),
        ({"tools": [{"type": "function"}]}, "tools[0].function"),
        ({"tools": [{"type": "function", "function": {}}]}, "tools[0].function.name"),
        ({"tools": [TOOL, TOOL], "tool_choice": "required"}, "tool_choice"),
        ({"tools": [TOOL], "tool_choice": {"type": "allowed_tools"}}, "tool_choice"),
        ({"tools": [TOOL], "tool_choice": {"type": "function"}}, "tool_choice.function"),
        ({"tool_choice": "auto"}, "tool_choice"),
        ({"messages": [result("c0", "")]}, "messages[0].role"),
        ({"messages": [calls(CITY), result("c1", "")]}, "messages[1].role"),
        ({"messages": [calls(CITY), result("c0", ""), result("c0", "")]}, "messages[2].role"),
        ({"messages": [{"role": "assistant", "tool_calls": 1}]}, "messages[0].tool_calls"),
        ({"messages": [calls({})]}, "messages[0].tool_calls[0].function.name"),
        ({"messages": [calls(1)]}, "messages[0].tool_calls[0].function"),
    ],
)
def test_what_cannot_be_said_is_refused_at_its_member(more: Any, param: str) -> None:
    assert refused({**call(), **more}, FUNCTIONS).param == param


NAMES = st.text("abcxyz_", min_size=1, max_size=4)
TEXTS = st.text(max_size=8)


@st.composite
def conversations(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Return messages as a client writes them that knows functions."""
    messages: list[dict[str, Any]] = []
    for _ in range(draw(st.integers(0, 4))):
        messages.append({"role": draw(st.sampled_from(["user", "system"])), "content": draw(TEXTS)})
        if draw(st.booleans()):
            name = draw(NAMES)
            called = {"name": name, "arguments": draw(TEXTS)}
            messages.append({"role": "assistant", "content": None, "function_call": called})
            messages.append({"role": "function", "name": name, "content": draw(TEXTS)})
    return messages


@given(conversations())
def test_messages_come_back_as_they_were(messages: list[dict[str, Any]]) -> None:
    there = messages_with_tools(compact(messages))
    roles = {message["role"] for message in json.loads(there)}
    assert "function" not in roles
    assert json.loads(messages_with_functions(there)) == messages


FUNCTION = st.fixed_dictionaries({"name": NAMES}, optional={"description": TEXTS})


@given(
    st.lists(FUNCTION, min_size=1, max_size=4),
    st.sampled_from([None, "none", "auto", {"name": "f"}]),
)
def test_functions_come_back_as_they_were(functions: list[Any], choice: Any) -> None:
    body = call(functions=functions, **({} if choice is None else {"function_call": choice}))
    members = {name: compact(value) for name, value in body.items()}
    there = with_tools(compact(body), members, Target())
    members = {name: compact(value) for name, value in json.loads(there).items()}
    assert json.loads(with_functions(there, members)) == body
