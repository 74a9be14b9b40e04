"""Answers in the words of their client."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.layers.streams import USAGE, compact
from veneer.compat.answers import Translator

CALLED = {"name": "weather", "arguments": '{"in": "Rome"}'}
CITY = {"name": "city", "arguments": "{}"}


def tool_call(function: Any, **more: Any) -> dict[str, Any]:
    return {"id": "call_x", "type": "function", "function": function, **more}


def answer(message: Any, finish: str | None = "tool_calls", **more: Any) -> dict[str, Any]:
    """Return a whole answer."""
    message = {"role": "assistant", "content": None, **message}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": finish}
    return {"id": "chatcmpl-1", "choices": [choice], "usage": USAGE, **more}


def functions(value: Any) -> Any:
    """Return a whole answer for a client that speaks of functions."""
    return json.loads(Translator("functions").whole(compact(value)))


def tools(value: Any) -> Any:
    """Return a whole answer for a client that speaks of tools."""
    return json.loads(Translator("tools").whole(compact(value)))


def test_a_call_of_a_tool_is_one_of_a_function() -> None:
    given = answer({"tool_calls": [tool_call(CALLED)]})
    assert functions(given) == answer({"function_call": CALLED}, "function_call")


def test_a_function_that_had_to_be_called_ends_with_stop() -> None:
    given = answer({"tool_calls": [tool_call(CALLED)]}, "stop")
    assert functions(given) == answer({"function_call": CALLED}, "stop")


def test_of_several_calls_the_first_is_shown() -> None:
    custom = {"id": "call_c", "type": "custom", "custom": {}}
    given = answer({"tool_calls": [custom, tool_call(CALLED), tool_call(CITY)]})
    assert functions(given) == answer({"function_call": CALLED}, "function_call")


@pytest.mark.parametrize("calls", [None, []])
def test_no_calls_are_not_told_of(calls: Any) -> None:
    given = answer({"content": "Hi", "tool_calls": calls}, "stop")
    assert functions(given) == answer({"content": "Hi"}, "stop")


def test_every_choice_has_its_call() -> None:
    both = [
        {"index": place, "message": {"tool_calls": [tool_call(called)]}, "finish_reason": "stop"}
        for place, called in enumerate((CALLED, CITY))
    ]
    shown = functions({"choices": both})["choices"]
    assert [choice["message"] for choice in shown] == [
        {"function_call": CALLED},
        {"function_call": CITY},
    ]


def test_bytes_that_are_not_meant_stay() -> None:
    text = (
        b'{"id" : "x", "choices":[ {"index":0,"message":{"content":"\\ud83d","tool_calls":'
        b'[{"id":"1","type":"function","function":{"name":"f", "arguments":"{ }"}}] },'
        b'"finish_reason" : "tool_calls"} ], "n":1.0}'
    )
    assert Translator("functions").whole(text) == (
        b'{"id" : "x", "choices":[ {"index":0,"message":{"content":"\\ud83d" ,"function_call":'
        b'{"name":"f", "arguments":"{ }"}},'
        b'"finish_reason" : "function_call"} ], "n":1.0}'
    )


@pytest.mark.parametrize(
    "text",
    [
        b'{"choices":[{"message":{"content":"hi"}}]}',
        b'"tool_calls"',
        b'{"choices":"tool_calls","x":"tool_calls"}',
        b'{"choices":[1,"tool_calls"]}',
        b'{"choices":[{"message":{"tool_calls":[1]}}]}',
        b'{"choices":[{"message":{"tool_calls":7}}]}',
        b'{"choices":[{"message":"tool_calls"}]}',
        b'{"tool_calls":[]}',
        b'{"choices":[{"index":"x","message":{"tool_calls":[]}}]}',
        b'{"choices":[{"message":{"tool_calls":' + b"[" * 5000,
        b'{"choices":' + b"[" * 5000 + b'"tool_calls"',
    ],
)
def test_what_cannot_be_read_stays(text: bytes) -> None:
    assert Translator("functions").whole(text) == text


def test_a_call_of_a_function_is_one_of_a_tool_with_an_id() -> None:
    given = answer({"function_call": CALLED}, "function_call")
    shown = tools(given)
    [call] = shown["choices"][0]["message"].pop("tool_calls")
    assert call.pop("id").startswith("call_")
    assert call == {"type": "function", "function": CALLED}
    assert shown == answer({})
    assert tools(given) == tools(given)
    other = tools({**given, "id": "chatcmpl-2"})
    assert other["choices"] != tools(given)["choices"]


def test_an_answer_without_an_id_has_calls_with_ids_of_chance() -> None:
    given = answer({"function_call": CALLED}, id=None)
    assert tools(given) != tools(given)


def test_no_call_of_a_function_is_not_told_of() -> None:
    assert tools(answer({"function_call": None})) == answer({})
    assert tools(answer({"x": "function_call"})) == answer({"x": "function_call"})


TEXTS = st.text(max_size=8)


@given(TEXTS, TEXTS, st.sampled_from(["stop", "function_call"]))
def test_answers_come_back_as_they_were(name: str, arguments: str, finish: str) -> None:
    given = answer({"function_call": {"name": name, "arguments": arguments}}, finish)
    assert functions(tools(given)) == given


def delta(translator: Translator, said: Any, finish: str | None = None, index: int = 0) -> Any:
    """Return the choice of an event, None for an event that goes to nobody."""
    choice = {"index": index, "delta": said, "finish_reason": finish}
    data = translator.event(compact({"id": "chatcmpl-1", "choices": [choice]}))
    if data is None:
        return None
    [shown] = json.loads(data)["choices"]
    assert shown["index"] == index
    return (shown["delta"], shown["finish_reason"])


def test_pieces_of_a_call_are_pieces_of_a_function_call() -> None:
    translator = Translator("functions")
    first = {"name": "weather", "arguments": ""}
    head = {"role": "assistant", "content": None}
    assert delta(translator, {**head, "tool_calls": [tool_call(first, index=0)]}) == (
        {**head, "function_call": first},
        None,
    )
    more = {"tool_calls": [{"index": 0, "function": {"arguments": "{}"}}]}
    assert delta(translator, more) == ({"function_call": {"arguments": "{}"}}, None)
    assert delta(translator, {}, "tool_calls") == ({}, "function_call")
    assert delta(translator, {}, "stop") == ({}, "stop")


def test_pieces_of_further_calls_go_to_nobody() -> None:
    translator = Translator("functions")
    delta(translator, {"tool_calls": [tool_call(CALLED, index=0)]})
    further = {"tool_calls": [tool_call(CITY, index=1)]}
    assert delta(translator, further) is None
    assert delta(translator, {**further, "content": "x"}) == ({"content": "x"}, None)
    assert delta(translator, further, "tool_calls") == ({}, "function_call")
    # Of another choice it is the first.
    assert delta(translator, further, index=1) == ({"function_call": CITY}, None)


def test_usage_is_told_though_nothing_else_is_left() -> None:
    translator = Translator("functions")
    delta(translator, {"tool_calls": [tool_call(CALLED, index=0)]})
    further = {"index": 0, "delta": {"tool_calls": [tool_call(CITY, index=1)]}}
    data = translator.event(compact({"choices": [further], "usage": USAGE}))
    assert data is not None
    assert json.loads(data) == {"choices": [{"index": 0, "delta": {}}], "usage": USAGE}
    other = {"index": 1, "delta": {"content": "tool_calls"}}
    data = translator.event(compact({"choices": [further, other]}))
    assert data is not None
    assert json.loads(data) == {"choices": [{"index": 0, "delta": {}}, other]}


def test_pieces_of_one_call_in_one_event_are_one() -> None:
    pieces = [
        {"index": 0, "type": "function", "function": {"name": "f", "arguments": None}},
        {"index": 0, "function": {"arguments": "{"}},
        {"index": 0, "function": {"arguments": "}"}},
    ]
    translator = Translator("functions")
    assert delta(translator, {"tool_calls": pieces}) == (
        {"function_call": {"name": "f", "arguments": "{}"}},
        None,
    )
    assert delta(translator, {"tool_calls": pieces[1:]}) == (
        {"function_call": {"arguments": "{}"}},
        None,
    )


def test_pieces_of_a_function_call_are_pieces_of_a_call() -> None:
    translator = Translator("tools")
    first, _ = delta(translator, {"content": None, "function_call": {"name": "f", "arguments": ""}})
    [call] = first.pop("tool_calls")
    assert call.pop("id").startswith("call_")
    assert first == {"content": None}
    assert call == {"index": 0, "type": "function", "function": {"name": "f", "arguments": ""}}
    assert delta(translator, {"function_call": {"arguments": "{}"}}) == (
        {"tool_calls": [{"index": 0, "function": {"arguments": "{}"}}]},
        None,
    )
    assert delta(translator, {}, "function_call") == ({}, "tool_calls")


def test_what_is_remembered_of_choices_is_bounded() -> None:
    for words, piece in (
        ("functions", {"tool_calls": [tool_call(CALLED, index=0)]}),
        ("tools", {"function_call": CALLED}),
    ):
        translator = Translator(words)  # type: ignore[arg-type]  # one of the two
        for index in range(200):
            delta(translator, piece, index=index)
        assert len(translator._chosen) + len(translator._begun) == 128
