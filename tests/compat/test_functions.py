"""Calls that speak of functions, for a target that knows only tools."""

import json
from typing import Any

import pytest

from tests.layers.streams import compact
from veneer.compat.request import Translated, translated
from veneer.compat.target import Target
from veneer.dialects import Kind
from veneer.errors import Error

TOOLS = Target()
WEATHER = {"name": "weather", "parameters": {"type": "object", "properties": {}}}
USER = {"role": "user", "content": "Rain?"}
CALL = {
    "role": "assistant",
    "content": None,
    "function_call": {"name": "weather", "arguments": '{"in": "Rome"}'},
}
RESULT = {"role": "function", "name": "weather", "content": "sun"}


def said(body: Any, target: Target = TOOLS) -> Any:
    """Return the body that the target gets."""
    found = translated(body if isinstance(body, bytes) else compact(body), target)
    assert isinstance(found, Translated), found
    return json.loads(found.body)


def refused(body: Any, target: Target = TOOLS) -> Error:
    """Return the error that a call gets."""
    found = translated(body if isinstance(body, bytes) else compact(body), target)
    assert isinstance(found, Error)
    assert found.message.isprintable()
    return found


def call(*messages: Any, **more: Any) -> dict[str, Any]:
    return {"model": "m", "messages": list(messages) or [USER], **more}


def test_functions_are_said_as_tools_one_call_at_a_time() -> None:
    body = compact(call(functions=[WEATHER], function_call="auto", n=1))
    found = translated(body, TOOLS)
    assert isinstance(found, Translated)
    assert found.answers == "functions"
    assert json.loads(found.body) == call(
        tools=[{"type": "function", "function": WEATHER}],
        tool_choice="auto",
        parallel_tool_calls=False,
        n=1,
    )


def test_models_that_refuse_it_are_not_asked_for_one_call_at_a_time() -> None:
    target = Target(parallel_tool_calls=False)
    assert "parallel_tool_calls" not in said(call(functions=[WEATHER]), target)


@pytest.mark.parametrize(
    ("choice", "tool_choice"),
    [
        ("none", "none"),
        ("auto", "auto"),
        ({"name": "weather"}, {"type": "function", "function": {"name": "weather"}}),
    ],
)
def test_the_choice_of_a_function_is_that_of_a_tool(choice: Any, tool_choice: Any) -> None:
    body = said(call(functions=[WEATHER], function_call=choice))
    assert body["tool_choice"] == tool_choice
    assert "function_call" not in body


def test_calls_and_results_get_ids_from_their_places() -> None:
    body = said(call(USER, CALL, RESULT, USER, CALL, {**RESULT, "content": None}))
    first, result, _, second, empty = body["messages"][1:]
    assert first == {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": "call_1", "type": "function", "function": CALL["function_call"]}],
    }
    assert result == {"role": "tool", "tool_call_id": "call_1", "content": "sun"}
    assert second["tool_calls"][0]["id"] == "call_4"
    assert empty == {"role": "tool", "tool_call_id": "call_4", "content": ""}


def test_a_result_without_content_gets_an_empty_one() -> None:
    body = said(call(CALL, {"role": "function", "name": "weather"}))
    assert body["messages"][1]["content"] == ""


def test_only_what_is_meant_changes() -> None:
    body = (
        b'{ "model":"m" , "x":1.50, "messages" : [ {"role" : "user","content":"\\u00e9 tools"} ,\n'
        b'{"role":"assistant","content":null,"function_call":{"name":"f","arguments":"{ }"}},'
        b'{"role":"function", "name":"f", "content":"7" , "extra":1e3} ], "functions" :'
        b' [ {"name":"f", "a":1.0} ] }'
    )
    found = translated(body, TOOLS)
    assert isinstance(found, Translated)
    assert found.body == (
        b'{ "model":"m" , "x":1.50, "messages" : [ {"role" : "user","content":"\\u00e9 tools"} ,\n'
        b'{"role":"assistant","content":null,"tool_calls":[{"id":"call_1","type":"function",'
        b'"function":{"name":"f","arguments":"{ }"}}]},'
        b'{"role":"tool", "content":"7" , "extra":1e3,"tool_call_id":"call_1"} ]'
        b' ,"tools":[ {"type":"function","function":{"name":"f", "a":1.0}} ],'
        b'"parallel_tool_calls":false}'
    )


@pytest.mark.parametrize(
    "body",
    [
        call(),
        call(tools=[{"type": "function", "function": WEATHER}], tool_choice="required"),
        call({"role": "user", "content": 'say "functions" and "function_call"'}),
        call({"role": "assistant", "content": "x", "function_call": None}, functions=None),
        call({"role": "user", "content": [{"type": "text", "text": "role: function"}]}),
    ],
)
def test_what_needs_nothing_is_the_same_object(body: Any) -> None:
    text = compact(body)
    found = translated(text, TOOLS)
    assert isinstance(found, Translated)
    assert found.body == text
    assert found.answers is None


def test_a_target_that_knows_functions_gets_them() -> None:
    body = call(CALL, RESULT, functions=[WEATHER], function_call="auto")
    assert said(body, Target(legacy_functions=False)) == body


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"functions": [WEATHER], "tools": []}, "functions"),
        ({"functions": [WEATHER], "tool_choice": "auto"}, "functions"),
        ({"functions": [WEATHER], "parallel_tool_calls": True}, "functions"),
        ({"function_call": "auto", "tools": [{}]}, "function_call"),
        ({"function_call": "auto"}, "function_call"),
        ({"functions": {}}, "functions"),
        ({"functions": "f"}, "functions"),
        ({"functions": []}, "functions"),
        ({"functions": [WEATHER] * 129}, "functions"),
        ({"functions": [WEATHER, 1]}, "functions[1]"),
        ({"functions": [{}]}, "functions[0].name"),
        ({"functions": [{"name": 1}]}, "functions[0].name"),
        ({"functions": [WEATHER], "function_call": "any"}, "function_call"),
        ({"functions": [WEATHER], "function_call": 1}, "function_call"),
        ({"functions": [WEATHER], "function_call": []}, "function_call"),
        ({"functions": [WEATHER], "function_call": {}}, "function_call.name"),
        ({"functions": [WEATHER], "function_call": {"name": []}}, "function_call.name"),
    ],
)
def test_what_cannot_be_said_is_refused_at_its_member(more: Any, param: str) -> None:
    assert refused(call(**more)).param == param


@pytest.mark.parametrize(
    ("messages", "param"),
    [
        ([RESULT], "messages[0].role"),
        ([USER, {**RESULT, "name": "other"}], "messages[1].role"),
        ([CALL, {**RESULT, "name": "other"}], "messages[1].role"),
        ([CALL, RESULT, RESULT], "messages[2].role"),
        ([CALL, {"role": "function", "content": ""}], "messages[1].name"),
        ([CALL, {**RESULT, "name": 1}], "messages[1].name"),
        ([{**CALL, "function_call": "weather"}], "messages[0].function_call"),
        ([{**CALL, "function_call": {"name": "x"}}], "messages[0].function_call"),
        ([{**CALL, "function_call": {"name": "x", "arguments": {}}}], "messages[0].function_call"),
        ([{**CALL, "tool_calls": [{}]}], "messages[0].function_call"),
    ],
)
def test_messages_that_cannot_be_said_are_refused_at_their_place(messages: Any, param: str) -> None:
    assert refused(call(*messages)).param == param


def test_members_that_stand_twice_are_refused() -> None:
    there = b'"function_call":{"name":"f","arguments":""}'
    for body in (
        b'{"messages":[{}],"function_call":"none","function_call":"auto"}',
        b'{"messages":[{"role":"assistant",%b,%b}]}' % (there, there),
    ):
        error = refused(body)
        assert (error.kind, error.param) == (Kind.INVALID_JSON, "function_call")


def test_what_is_no_message_is_left_to_the_target() -> None:
    body = call("function", ["function"], {"role": "user", "function_call": 1})
    assert said(body) == body


def test_a_target_cannot_know_only_both() -> None:
    with pytest.raises(ValueError, match="exclude each other"):
        Target(functions_only=True)
    with pytest.raises(ValueError, match="name max_tokens or"):
        Target(max_tokens="cap")  # type: ignore[arg-type]  # what a caller may get wrong
