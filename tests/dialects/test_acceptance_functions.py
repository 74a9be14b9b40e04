"""Legacy functions, and tools for who knows only these, in the dialects that promise them."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from openai import OpenAI

from tests.dialects.served import CHAT, Served, served

FUNCTION: Any = {
    "name": "weather",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
    },
}
TOOL: Any = {"type": "function", "function": FUNCTION}
ASKS: Any = [{"role": "user", "content": "What is the weather in Rome?"}]
CALLED: Any = {"name": "weather", "arguments": '{"city":"Rome"}'}
# What the last chunk of a stream has besides OpenAI's members.
DIALECTS = {"aurous": "credits_charged", "auriko": "routing_metadata"}


@pytest.fixture(scope="module", params=["tools", "functions"])
def knows(request: pytest.FixtureRequest) -> str:
    """Return what the model server is taken to know."""
    return str(request.param)


@pytest.fixture(scope="module", params=list(DIALECTS))
def spoken(request: pytest.FixtureRequest, knows: str) -> Iterator[tuple[str, Served]]:
    """Serve a dialect; give what it shows at the end of a stream."""
    compat = {"functions_only": knows == "functions"}
    with served({"name": request.param}, compat=compat) as stack:
        yield DIALECTS[request.param], stack


@pytest.fixture
def client(spoken: tuple[str, Served]) -> Iterator[OpenAI]:
    _, stack = spoken
    with OpenAI(base_url=stack.url, api_key=stack.key, max_retries=0) as made:
        yield made


# OpenAI ends a call that was forced as any answer.
@pytest.mark.parametrize(
    ("choice", "ends"), [("auto", "function_call"), ({"name": "weather"}, "stop")], ids=str
)
def test_a_function_is_called_as_it_always_was(client: OpenAI, choice: Any, ends: str) -> None:
    answer: Any = client.chat.completions.create(
        model=CHAT, messages=ASKS, functions=[FUNCTION], function_call=choice
    )
    said = answer.choices[0]
    assert (said.finish_reason, said.message.tool_calls) == (ends, None)
    assert said.message.function_call.name == "weather"
    assert json.loads(said.message.function_call.arguments).keys() == {"city"}


def test_a_function_is_not_called_where_that_is_wanted(client: OpenAI) -> None:
    answer = client.chat.completions.create(
        model=CHAT, messages=ASKS, functions=[FUNCTION], function_call="none"
    )
    assert answer.choices[0].finish_reason == "stop"
    assert answer.choices[0].message.content


def test_a_result_of_a_function_is_heard(client: OpenAI) -> None:
    messages: Any = [
        *ASKS,
        {"role": "assistant", "content": None, "function_call": CALLED},
        {"role": "function", "name": "weather", "content": "sun"},
    ]
    answer = client.chat.completions.create(model=CHAT, messages=messages, functions=[FUNCTION])
    assert "sun" in (answer.choices[0].message.content or "")


def test_a_function_is_called_in_a_stream(client: OpenAI, spoken: tuple[str, Served]) -> None:
    shown, _ = spoken
    *before, last = client.chat.completions.create(
        model=CHAT, messages=ASKS, functions=[FUNCTION], stream=True
    )
    deltas: list[Any] = [chunk.choices[0].delta for chunk in (*before, last)]
    assert all(delta.tool_calls is None for delta in deltas)
    called = [delta.function_call for delta in deltas if delta.function_call]
    assert "".join(part.name or "" for part in called) == "weather"
    arguments = "".join(part.arguments or "" for part in called)
    assert json.loads(arguments).keys() == {"city"}
    assert last.choices[0].finish_reason == "function_call"
    assert shown in last.model_dump_json()
    assert not any(shown in chunk.model_dump_json() for chunk in before)


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
def test_tools_are_called_and_heard_whatever_the_server_knows(
    client: OpenAI,
    stream: bool,  # noqa: FBT001 - both ways
) -> None:
    asked: Any = {"model": CHAT, "tools": [TOOL]}
    if stream:
        with client.chat.completions.stream(messages=ASKS, **asked) as events:
            first: Any = events.get_final_completion()
    else:
        first = client.chat.completions.create(messages=ASKS, **asked)
    said = first.choices[0]
    assert (said.finish_reason, said.message.function_call) == ("tool_calls", None)
    [call] = said.message.tool_calls
    calls = [call.model_dump(include={"id", "type", "function"})]
    # What the helper has parsed is no member of a request.
    calls[0]["function"].pop("parsed_arguments", None)
    messages = [
        *ASKS,
        {"role": "assistant", "content": None, "tool_calls": calls},
        {"role": "tool", "tool_call_id": call.id, "content": "sun"},
    ]
    second = client.chat.completions.create(messages=messages, **asked)
    assert "sun" in (second.choices[0].message.content or "")
