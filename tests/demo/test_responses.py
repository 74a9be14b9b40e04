"""POST /v1/responses."""

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from .drive import CHAT, NOW, Answered, post

WEATHER = {
    "type": "function",
    "name": "get_weather",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    "strict": True,
}
TIME = {"type": "function", "name": "get_time"}


async def respond(given: object = "hi", /, **members: Any) -> Answered:
    return await post("/v1/responses", {"model": CHAT, "input": given, **members})


def text_of(response: Any) -> str:
    [item] = response["output"]
    [part] = item["content"]
    text: str = part["text"]
    return text


async def test_a_response_repeats_the_words_of_the_last_user_message() -> None:
    items = [
        {"role": "user", "content": "first"},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "a"}]},
        {"type": "reasoning", "id": "rs_1", "summary": []},
        {"role": "user", "content": [{"type": "input_text", "text": "one two"}]},
    ]
    response = (await respond(items)).json
    assert 'You said "one two"' in text_of(response)
    assert response["object"] == "response"
    assert response["status"] == "completed"
    assert response["created_at"] == response["completed_at"] == NOW
    assert response["output"][0]["id"].startswith("msg_")
    assert response["id"].startswith("resp_")


async def test_usage_counts_the_rule_that_is_documented() -> None:
    usage = (await respond("hello you", instructions="Be brief")).json["usage"]
    # Priming 3; instructions 3 and "Be", " bri", "ef"; the message 3 and "hell", "o", " you".
    assert usage["input_tokens"] == 15
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]


async def test_what_was_asked_is_told_again() -> None:
    asked = {
        "instructions": "Be brief",
        "max_output_tokens": 100,
        "metadata": {"a": "b"},
        "temperature": 0.5,
        "tools": [WEATHER],
        "tool_choice": "none",
    }
    response = (await respond("hi", **asked)).json
    assert response["tools"] == [{**WEATHER, "description": None}]
    assert {name: response[name] for name in asked if name != "tools"} == {
        name: value for name, value in asked.items() if name != "tools"
    }


async def test_a_limit_leaves_the_response_incomplete() -> None:
    response = (await respond("hi", max_output_tokens=2)).json
    assert response["status"] == "incomplete"
    assert response["incomplete_details"] == {"reason": "max_output_tokens"}
    assert text_of(response) == "You said"
    events = (await respond("hi", max_output_tokens=2, stream=True)).events
    assert events[-1]["type"] == "response.incomplete"


async def test_the_events_of_a_text_come_in_order_and_numbered() -> None:
    answered = await respond("hi", stream=True)
    events = answered.events
    assert b"[DONE]" not in answered.body
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    kinds = [event["type"].removeprefix("response.") for event in events]
    deltas = kinds.count("output_text.delta")
    assert kinds == [
        "created",
        "in_progress",
        "output_item.added",
        "content_part.added",
        *["output_text.delta"] * deltas,
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "completed",
    ]
    assert events[0]["response"]["status"] == "in_progress"
    assert events[0]["response"]["usage"] is None
    assert events[2]["item"]["content"] == []
    final = events[-1]["response"]
    assert text_of(final) == "".join(event.get("delta", "") for event in events)
    assert final["usage"]["output_tokens"] == deltas


@settings(deadline=None)
@given(text=st.text(max_size=40), limit=st.none() | st.integers(1, 40))
async def test_a_stream_says_and_costs_what_the_plain_response_does(
    text: str, limit: int | None
) -> None:
    plain = (await respond(text, max_output_tokens=limit)).json
    final = (await respond(text, max_output_tokens=limit, stream=True)).events[-1]["response"]
    assert text_of(final) == text_of(plain)
    assert final["usage"] == plain["usage"]
    assert limit is None or final["usage"]["output_tokens"] <= limit


async def test_a_function_that_the_user_names_is_called() -> None:
    response = (await respond("get_weather please", tools=[TIME, WEATHER])).json
    [call] = response["output"]
    assert call["type"] == "function_call"
    assert call["call_id"].startswith("call_")
    assert (call["name"], call["arguments"]) == ("get_weather", '{"city":"demo city"}')
    assert call["status"] == "completed"


async def test_function_calls_stream_item_by_item() -> None:
    events = (await respond("get_time get_weather", tools=[TIME, WEATHER], stream=True)).events
    output = events[-1]["response"]["output"]
    assert [item["name"] for item in output] == ["get_time", "get_weather"]
    for index, item in enumerate(output):
        mine = [event for event in events if event.get("output_index") == index]
        assert mine[0]["item"] == {**item, "arguments": "", "status": "in_progress"}
        assert "".join(event.get("delta", "") for event in mine) == item["arguments"]
        done = mine[-2]
        assert done["type"] == "response.function_call_arguments.done"
        assert (done["name"], done["arguments"]) == (item["name"], item["arguments"])
        assert mine[-1] == {**mine[-1], "type": "response.output_item.done", "item": item}


@pytest.mark.parametrize(
    ("choice", "kind"),
    [
        ("none", "message"),
        ("auto", "message"),
        ("required", "function_call"),
        ({"type": "function", "name": "get_time"}, "function_call"),
    ],
)
async def test_the_tool_choice_is_obeyed(choice: object, kind: str) -> None:
    [item] = (await respond("hi", tools=[TIME], tool_choice=choice)).json["output"]
    assert item["type"] == kind


async def test_a_call_is_cut_at_the_limit() -> None:
    response = (
        await respond("hi", tools=[WEATHER], tool_choice="required", max_output_tokens=4)
    ).json
    assert response["status"] == response["output"][0]["status"] == "incomplete"
    assert response["usage"]["output_tokens"] == 4


async def test_a_function_output_is_answered_in_words() -> None:
    items = [
        {"role": "user", "content": "get_time"},
        {"type": "function_call", "call_id": "call_1", "name": "get_time", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "call_1", "output": "noon"},
    ]
    assert 'The tool answered "noon"' in text_of((await respond(items, tools=[TIME])).json)


async def test_text_can_be_json_of_a_schema_or_any() -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    form: dict[str, object] = {"type": "json_schema", "name": "it", "schema": schema}
    response = (await respond("hi", text={"format": form})).json
    assert text_of(response) == '{"n":1}'
    assert response["text"] == {"format": form}
    response = (await respond("hi", text={"format": {"type": "json_object"}})).json
    assert msgspec.json.decode(text_of(response))["you_said"] == "hi"
    assert "You said" in text_of((await respond("hi", text={"format": {"type": "text"}})).json)


@pytest.mark.parametrize(
    ("members", "param", "code"),
    [
        ({"input": 3}, "input", "invalid_type"),
        ({"input": [{"type": "item_reference", "id": "x"}]}, "input[0].type", "invalid_value"),
        ({"input": [{"role": "tool", "content": "x"}]}, "input[0].role", "invalid_value"),
        ({"input": [{"type": "function_call_output", "call_id": "c"}]}, "input", None),
        ({"input": "x" * 600_000}, "input", "context_length_exceeded"),
        ({"previous_response_id": "r"}, "previous_response_id", "previous_response_not_found"),
        ({"background": True}, "background", "unsupported_parameter"),
        ({"conversation": "conv_1"}, "conversation", "unsupported_parameter"),
        ({"prompt": {"id": "p"}}, "prompt", "unsupported_parameter"),
        ({"tools": [{"type": "web_search"}]}, "tools[0].type", "invalid_value"),
        ({"tool_choice": "required"}, "tool_choice", None),
        ({"tools": [TIME], "tool_choice": {"type": "function", "name": "z"}}, "tool_choice", None),
        ({"text": {"format": {"type": "json_schema"}}}, "text.format.schema", None),
        ({"max_output_tokens": 0}, "max_output_tokens", "invalid_value"),
        ({"temperature": 3}, "temperature", "invalid_value"),
    ],
)
async def test_a_bad_member_is_refused_by_its_name(
    members: dict[str, Any], param: str, code: str | None
) -> None:
    answered = await post("/v1/responses", {"model": CHAT, "input": "hi", **members})
    assert (answered.status, answered.error["param"]) == (400, param)
    assert code is None or answered.error["code"] == code
