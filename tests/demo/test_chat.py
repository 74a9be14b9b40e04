"""POST /v1/chat/completions."""

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from .drive import CHAT, NOW, Answered, chat, post, server

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "unit": {"enum": ["C", "F"]}},
            "required": ["city"],
        },
    },
}
TIME = {"type": "function", "function": {"name": "get_time"}}
WEATHER_ARGUMENTS = '{"city":"demo city","unit":"C"}'


def text_of(answered: Answered) -> str:
    content: str = answered.json["choices"][0]["message"]["content"]
    return content


def delta_text(chunks: list[Any], index: int = 0) -> str:
    choices = [choice for chunk in chunks for choice in chunk["choices"]]
    deltas = [choice["delta"] for choice in choices if choice["index"] == index]
    return "".join(delta.get("content") or "" for delta in deltas)


async def test_an_answer_repeats_the_words_of_the_last_user_message() -> None:
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "first"},
        {"role": "assistant", "content": "well"},
        {"role": "user", "content": "one two three"},
    ]
    answered = await chat(messages=messages)
    assert 'You said "one two three"' in text_of(answered)
    assert '"three two one"' in text_of(answered)
    assert "veneer demo model" in text_of(answered)


async def test_a_completion_has_every_member_that_openai_gives() -> None:
    completion = (await chat("hi")).json
    assert completion["object"] == "chat.completion"
    assert completion["created"] == NOW
    assert completion["model"] == CHAT
    assert completion["system_fingerprint"] == "fp_veneer_demo"
    assert completion["id"].startswith("chatcmpl-")
    assert completion["choices"][0]["finish_reason"] == "stop"
    assert completion["choices"][0]["message"]["role"] == "assistant"


async def test_the_same_request_has_the_same_answer_and_another_one_another_id() -> None:
    first, second, other = await chat("hi"), await chat("hi"), await chat("ho")
    assert first == second
    assert first.json["id"] != other.json["id"]


async def test_usage_counts_the_rule_that_is_documented() -> None:
    usage = (await chat("hello you")).json["usage"]
    # Priming 3, the message 3, and the pieces "hell", "o" and " you".
    assert usage["prompt_tokens"] == 9
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]


@pytest.mark.parametrize("member", ["max_tokens", "max_completion_tokens"])
async def test_a_limit_cuts_the_answer_and_says_so(member: str) -> None:
    answered = (await chat("hi", **{member: 3})).json
    assert answered["choices"][0]["finish_reason"] == "length"
    assert answered["choices"][0]["message"]["content"] == 'You said "hi"'
    assert answered["usage"]["completion_tokens"] == 3


async def test_a_stop_sequence_ends_the_answer_before_it() -> None:
    answered = await chat("hi", stop=["nowhere", " demo", " veneer"])
    assert text_of(answered).endswith("I am the")
    assert answered.json["choices"][0]["finish_reason"] == "stop"


async def test_one_stop_sequence_may_be_a_plain_string() -> None:
    assert text_of(await chat("hi", stop=" said")) == "You"


async def test_several_choices_differ_and_are_all_counted() -> None:
    answered = (await chat("hi", n=2)).json
    first, second = (choice["message"]["content"] for choice in answered["choices"])
    assert second == f"Answer 2. {first}"
    alone = (await chat("hi")).json["usage"]["completion_tokens"]
    assert answered["usage"]["completion_tokens"] > 2 * alone


async def test_the_chunks_of_a_stream_join_to_the_plain_answer() -> None:
    chunks = (await chat("hi", n=2, stream=True)).chunks
    plain = (await chat("hi", n=2)).json
    for index, choice in enumerate(plain["choices"]):
        assert delta_text(chunks, index) == choice["message"]["content"]
    assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}
    assert len({chunk["id"] for chunk in chunks}) == 1


async def test_the_role_comes_first_and_the_finish_reason_last() -> None:
    chunks = [chunk["choices"][0] for chunk in (await chat("hi", stream=True)).chunks]
    assert chunks[0]["delta"] == {"role": "assistant", "content": "", "refusal": None}
    assert chunks[-1]["delta"] == {}
    assert [chunk["finish_reason"] for chunk in chunks] == [None] * (len(chunks) - 1) + ["stop"]


async def test_usage_is_in_the_stream_only_if_asked_for() -> None:
    assert all("usage" not in chunk for chunk in (await chat(stream=True)).chunks)
    asked = await chat(stream=True, stream_options={"include_usage": True})
    *chunks, last = asked.chunks
    assert all(chunk["usage"] is None for chunk in chunks)
    assert last["choices"] == []
    assert last["usage"] == (await chat()).json["usage"]


@settings(deadline=None)
@given(
    text=st.text(max_size=40),
    n=st.integers(1, 3),
    limit=st.none() | st.integers(1, 40),
    stop=st.lists(st.text(min_size=1, max_size=3), max_size=4),
)
async def test_a_stream_says_and_costs_what_the_plain_answer_does(
    text: str, n: int, limit: int | None, stop: list[str]
) -> None:
    asked = {"n": n, "max_tokens": limit, "stop": stop}
    plain = (await chat(text, **asked)).json
    streamed = await chat(text, **asked, stream=True, stream_options={"include_usage": True})
    usage = streamed.chunks[-1]["usage"]
    assert usage == plain["usage"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    assert limit is None or usage["completion_tokens"] <= n * limit
    for index, choice in enumerate(plain["choices"]):
        said = choice["message"]["content"]
        assert delta_text(streamed.chunks, index) == said
        assert not any(sequence in said for sequence in stop)


async def test_a_tool_that_the_user_names_is_called() -> None:
    choice = (await chat("Please GET_WEATHER now", tools=[TIME, WEATHER])).json["choices"][0]
    assert choice["finish_reason"] == "tool_calls"
    assert choice["message"]["content"] is None
    [call] = choice["message"]["tool_calls"]
    assert call["type"] == "function"
    assert call["id"].startswith("call_")
    assert call["function"] == {"name": "get_weather", "arguments": WEATHER_ARGUMENTS}


@pytest.mark.parametrize("text", ["hello", "get_weathers", "forget_weather"])
async def test_a_tool_that_nobody_names_is_not_called(text: str) -> None:
    answered = await chat(text, tools=[WEATHER])
    assert answered.json["choices"][0]["finish_reason"] == "stop"


async def test_several_named_tools_are_called_at_once_unless_forbidden() -> None:
    text = "get_time and get_weather"
    both = (await chat(text, tools=[WEATHER, TIME])).json["choices"][0]["message"]["tool_calls"]
    assert [call["function"]["name"] for call in both] == ["get_weather", "get_time"]
    assert len({call["id"] for call in both}) == 2
    single = await chat(text, tools=[WEATHER, TIME], parallel_tool_calls=False)
    assert len(single.json["choices"][0]["message"]["tool_calls"]) == 1


@pytest.mark.parametrize(
    ("choice", "called", "reason"),
    [
        ("none", None, "stop"),
        ("auto", "get_time", "tool_calls"),
        ("required", "get_time", "tool_calls"),
        ({"type": "function", "function": {"name": "get_weather"}}, "get_weather", "stop"),
    ],
)
async def test_the_tool_choice_is_obeyed(choice: object, called: str | None, reason: str) -> None:
    answered = await chat("get_time", tools=[WEATHER, TIME], tool_choice=choice)
    [given_choice] = answered.json["choices"]
    calls = given_choice["message"].get("tool_calls", [])
    assert [call["function"]["name"] for call in calls] == ([called] if called else [])
    assert given_choice["finish_reason"] == reason


async def test_a_required_call_takes_the_first_tool_if_none_is_named() -> None:
    answered = await chat("hello", tools=[WEATHER, TIME], tool_choice="required")
    [call] = answered.json["choices"][0]["message"]["tool_calls"]
    assert call["function"]["name"] == "get_weather"


async def test_tool_calls_stream_in_deltas_that_join_to_the_plain_calls() -> None:
    asked = {"tools": [WEATHER, TIME], "n": 2}
    plain = (await chat("get_time, get_weather", **asked)).json
    chunks = (await chat("get_time, get_weather", **asked, stream=True)).chunks
    first = chunks[0]["choices"][0]["delta"]
    assert first == {"role": "assistant", "content": None, "refusal": None}
    for choice in plain["choices"]:
        calls: list[Any] = []
        streamed = [chunk["choices"][0] for chunk in chunks]
        mine = [each for each in streamed if each["index"] == choice["index"]]
        assert mine[-1]["finish_reason"] == "tool_calls"
        for delta in (delta for each in mine for delta in each["delta"].get("tool_calls", [])):
            index = delta.pop("index")
            if index == len(calls):
                calls.append(delta)
            else:
                assert set(delta) == {"function"}
                calls[index]["function"]["arguments"] += delta["function"]["arguments"]
        # The ids come from the body, which differs by "stream".
        for call in [*calls, *choice["message"]["tool_calls"]]:
            del call["id"]
        assert calls == choice["message"]["tool_calls"]


def conversation(*, tool: str = "sunny") -> list[dict[str, object]]:
    call = {"id": "call_1", "type": "function", "function": {"name": "get_time", "arguments": "{}"}}
    return [
        {"role": "user", "content": "get_time"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": tool},
    ]


async def test_a_tool_result_is_answered_in_words() -> None:
    answered = await chat(messages=conversation(), tools=[TIME])
    assert 'The tool answered "sunny"' in text_of(answered)


async def test_a_new_question_after_a_tool_result_may_call_again() -> None:
    messages = [*conversation(), {"role": "user", "content": "get_time"}]
    answered = await chat(messages=messages, tools=[TIME])
    assert answered.json["choices"][0]["finish_reason"] == "tool_calls"


async def test_calls_are_cut_at_the_limit() -> None:
    whole = (await chat(tools=[WEATHER], tool_choice="required")).json["usage"]
    for limit in range(1, whole["completion_tokens"] + 1):
        asked = await chat(tools=[WEATHER], tool_choice="required", max_tokens=limit)
        [choice] = asked.json["choices"]
        complete = limit == whole["completion_tokens"]
        assert choice["finish_reason"] == ("tool_calls" if complete else "length")
        assert asked.json["usage"]["completion_tokens"] <= limit
        for call in choice["message"].get("tool_calls", []):
            assert WEATHER_ARGUMENTS.startswith(call["function"]["arguments"])


async def test_legacy_functions_are_answered_in_the_legacy_form() -> None:
    functions = [WEATHER["function"], TIME["function"]]
    choice = (await chat("get_weather get_time", functions=functions)).json["choices"][0]
    assert choice["finish_reason"] == "function_call"
    assert choice["message"]["function_call"] == {
        "name": "get_weather",
        "arguments": WEATHER_ARGUMENTS,
    }
    assert "tool_calls" not in choice["message"]


async def test_a_legacy_function_forced_by_name_finishes_with_stop() -> None:
    answered = await chat(functions=[TIME["function"]], function_call={"name": "get_time"})
    [choice] = answered.json["choices"]
    assert choice["finish_reason"] == "stop"
    assert choice["message"]["function_call"] == {"name": "get_time", "arguments": "{}"}


async def test_a_legacy_call_streams_its_name_once_and_then_arguments() -> None:
    answered = await chat("get_weather", functions=[WEATHER["function"]], stream=True)
    deltas = [chunk["choices"][0]["delta"] for chunk in answered.chunks]
    assert deltas[0]["role"] == "assistant"
    assert deltas[0]["content"] is None
    calls = [delta["function_call"] for delta in deltas[:-1]]
    assert [call.get("name") for call in calls] == ["get_weather"] + [None] * (len(calls) - 1)
    assert "".join(call["arguments"] for call in calls) == WEATHER_ARGUMENTS
    assert answered.chunks[-1]["choices"][0]["finish_reason"] == "function_call"


async def test_a_legacy_function_result_is_answered_in_words() -> None:
    messages = [
        {"role": "user", "content": "get_time"},
        {"role": "assistant", "function_call": {"name": "get_time", "arguments": "{}"}},
        {"role": "function", "name": "get_time", "content": "noon"},
    ]
    answered = await chat(messages=messages, functions=[TIME["function"]])
    assert 'The tool answered "noon"' in text_of(answered)


async def test_json_object_is_answered_with_an_object() -> None:
    answered = await chat("hi", response_format={"type": "json_object"})
    assert msgspec.json.decode(text_of(answered)) == {"model": "veneer demo", "you_said": "hi"}


async def test_json_schema_is_answered_with_a_value_of_it() -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer", "minimum": 7}}}
    form = {"type": "json_schema", "json_schema": {"name": "it", "schema": schema, "strict": True}}
    assert text_of(await chat("hi", response_format=form)) == '{"n":7}'


async def test_a_text_format_and_an_open_schema_are_served() -> None:
    assert "You said" in text_of(await chat(response_format={"type": "text"}))
    form = {"type": "json_schema", "json_schema": {"name": "it"}}
    assert text_of(await chat(response_format=form)) == "{}"


async def test_content_parts_are_read_and_images_counted() -> None:
    text = {"type": "text", "text": "what is this"}
    refusal = {"type": "refusal", "refusal": "no"}
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}
    plain = await chat(messages=[{"role": "user", "content": [text]}])
    seen = await chat(messages=[{"role": "user", "content": [text, image]}])
    assert 'You said "what is this"' in text_of(seen)
    declined = await chat(messages=[{"role": "user", "content": [refusal]}])
    assert 'You said "no"' in text_of(declined)
    tokens = [answered.json["usage"]["prompt_tokens"] for answered in (plain, seen)]
    assert tokens[1] - tokens[0] == 85


async def test_tools_cost_tokens() -> None:
    plain, equipped = await chat(), await chat(tools=[WEATHER])
    assert equipped.json["usage"]["prompt_tokens"] > plain.json["usage"]["prompt_tokens"] + 10


async def test_a_long_message_is_not_repeated_without_end() -> None:
    answered = await chat("word " * 20_000)
    assert len(text_of(answered)) < 20_000


async def test_an_empty_message_has_an_answer() -> None:
    assert "You said nothing" in text_of(await chat("  "))


ORPHAN = {"role": "tool", "tool_call_id": "call_9", "content": "x"}
DEEP: Any = {}
for _ in range(70):
    DEEP = {"items": DEEP}


@pytest.mark.parametrize(
    ("members", "param", "code"),
    [
        ({"model": 1}, "model", "invalid_type"),
        ({"messages": "hi"}, "messages", "invalid_type"),
        ({"messages": []}, "messages", "invalid_value"),
        ({"messages": [{"content": "x"}]}, "messages[0].role", "missing_required_parameter"),
        ({"messages": [{"role": "owner", "content": "x"}]}, "messages[0].role", "invalid_value"),
        ({"messages": [{"role": "user", "content": 3}]}, "messages[0].content", "invalid_type"),
        (
            {"messages": [{"role": "user", "content": [{"type": "input_audio"}]}]},
            "messages[0].content[0].type",
            "invalid_value",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "text"}]}]},
            "messages[0].content[0].text",
            "missing_required_parameter",
        ),
        ({"messages": [ORPHAN]}, "messages[0].role", None),
        ({"messages": conversation()[:2]}, "messages[1].role", None),
        (
            {"messages": [*conversation()[:2], {"role": "user", "content": "x"}]},
            "messages[1].role",
            None,
        ),
        ({"messages": [*conversation(), ORPHAN]}, "messages[3].role", None),
        (
            {"messages": [{"role": "user", "content": "x" * 600_000}]},
            "messages",
            "context_length_exceeded",
        ),
        ({"n": 0}, "n", "invalid_value"),
        ({"n": 129}, "n", "invalid_value"),
        ({"max_tokens": 0}, "max_tokens", "invalid_value"),
        ({"stop": [""]}, "stop", "invalid_value"),
        ({"stop": ["a", "b", "c", "d", "e"]}, "stop", "invalid_value"),
        ({"stream": "yes"}, "stream", "invalid_type"),
        ({"stream_options": {"include_usage": True}}, "stream_options", None),
        ({"tool_choice": "auto"}, "tool_choice", None),
        ({"parallel_tool_calls": True}, "parallel_tool_calls", None),
        ({"function_call": "auto"}, "function_call", None),
        ({"tools": [TIME], "functions": [TIME["function"]]}, "functions", None),
        ({"tools": [{"type": "custom"}]}, "tools[0].type", "invalid_value"),
        (
            {"tools": [{"type": "function", "function": {"name": "a b"}}]},
            "tools[0].function.name",
            "invalid_value",
        ),
        (
            {"tools": [TIME], "tool_choice": {"type": "function", "function": {"name": "z"}}},
            "tool_choice",
            "invalid_value",
        ),
        (
            {"functions": [TIME["function"]], "function_call": {"name": "z"}},
            "function_call",
            "invalid_value",
        ),
        (
            {
                "tools": [
                    {"type": "function", "function": {"name": "f", "parameters": {"enum": []}}}
                ],
                "tool_choice": "required",
            },
            "tools[0].function.parameters",
            "invalid_json_schema",
        ),
        (
            {"functions": [{"name": "f", "parameters": DEEP}]},
            "functions[0].parameters",
            "invalid_value",
        ),
        (
            {"functions": [{"name": "f", "parameters": {"const": 2**64 - 1, "not": [-(2**63)]}}]},
            None,
            None,
        ),
        (
            {"response_format": {"type": "json_schema"}},
            "response_format.json_schema",
            "missing_required_parameter",
        ),
        ({"response_format": {"type": "xml"}}, "response_format.type", "invalid_value"),
        (
            {
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"name": "s", "schema": {"$ref": "#"}},
                }
            },
            "response_format.json_schema.schema",
            "invalid_json_schema",
        ),
        ({"modalities": ["text", "audio"]}, "modalities[1]", "invalid_value"),
    ],
)
async def test_a_bad_member_is_refused_by_its_name(
    members: dict[str, object], param: str | None, code: str | None
) -> None:
    answered = await chat(**members)
    if param is None:
        assert answered.status == 200
        return
    assert answered.status == 400
    assert answered.error["type"] == "invalid_request_error"
    assert (answered.error["param"], answered.error["code"]) == (param, code)
    assert answered.error["message"].endswith((".", ".)"))


async def test_an_integer_that_json_cannot_carry_is_refused() -> None:
    content = (
        b'{"model":"veneer-demo-1","messages":[{"role":"user","content":"f"}],'
        b'"functions":[{"name":"f","parameters":{"const":123456789012345678901234567890}}]}'
    )
    answered = await post("/v1/chat/completions", content)
    assert (answered.status, answered.error["param"]) == (400, "functions[0].parameters")


@pytest.mark.parametrize("missing", ["model", "messages"])
async def test_a_missing_member_is_named(missing: str) -> None:
    body = {"model": CHAT, "messages": [{"role": "user", "content": "hi"}]}
    del body[missing]
    answered = await post("/v1/chat/completions", body, server())
    assert (answered.status, answered.error["param"]) == (400, missing)
    assert answered.error["message"] == f"Missing required parameter: '{missing}'."


async def test_an_unknown_model_is_not_found() -> None:
    answered = await chat(model="gpt-nine")
    assert answered.status == 404
    assert answered.error == {
        "message": "The model `gpt-nine` does not exist or you do not have access to it.",
        "type": "invalid_request_error",
        "param": "model",
        "code": "model_not_found",
    }


async def test_an_embedding_model_does_not_chat() -> None:
    answered = await chat(model="veneer-demo-embed")
    assert (answered.status, answered.error["param"]) == (404, "model")
