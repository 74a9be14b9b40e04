"""What is left out of a call, told to Auriko's real client as it reads it."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from auriko.errors import BadRequestError

from tests.dialects.auriko_calls import DIALECT, client_of
from tests.dialects.served import CHAT, SAYS_HELLO, Served, served

LEFT_OUT: dict[str, Any] = {
    "seed": 7,
    "service_tier": "priority",
    "reasoning_effort": "high",
    "extensions": {"openai": {"logit_bias": {}}},
}
TYPES = {
    "seed": "unsupported_parameter",
    "service_tier": "unsupported_field",
    "reasoning_effort": "unsupported_parameter",
    "extensions": "ignored_extension",
}


def catalog(unsupported: str) -> dict[str, Any]:
    model = {
        "id": CHAT,
        "capabilities": ["tools", "streaming"],
        "unsupported_parameters": ["seed", "service_tier", "extensions"],
    }
    return {"unsupported": unsupported, "models": [model]}


@pytest.fixture(scope="module")
def stack() -> Iterator[Served]:
    with served(DIALECT, catalog=catalog("drop")) as found:
        yield found


@pytest.fixture
def client(stack: Served) -> Iterator[Any]:
    made = client_of(stack)
    with made._httpx:
        yield made


def told(answer: Any) -> dict[str, str]:
    """Return the members that were left out, and as what."""
    warnings = answer.routing_metadata.warnings
    assert all(f"'{told.code.removesuffix('_not_supported')}'" in told.message for told in warnings)
    return {told.code.removesuffix("_not_supported"): told.type.value for told in warnings}


def test_an_answer_tells_what_was_left_out(client: Any) -> None:
    answer = client.chat.completions.create(
        model=CHAT, messages=SAYS_HELLO, extra_body=dict(LEFT_OUT)
    )
    assert told(answer) == TYPES


def test_so_does_a_stream_in_its_last_frame(client: Any) -> None:
    stream = client.chat.completions.create(
        model=CHAT, messages=SAYS_HELLO, stream=True, extra_body=dict(LEFT_OUT)
    )
    *before, _ = stream
    assert all(chunk.routing_metadata is None for chunk in before)
    assert told(stream) == TYPES


def test_so_do_responses(client: Any) -> None:
    asked: Any = {"model": CHAT, "input": "Hi!", "extra_body": {"reasoning": {"effort": "low"}}}
    left_out = {"reasoning": "unsupported_parameter"}
    assert told(client.responses.create(**asked)) == left_out
    stream = client.responses.create(**asked, stream=True)
    assert list(stream)
    assert told(stream.completed_response) == left_out


def test_a_tool_is_no_longer_required(client: Any) -> None:
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
    answer = client.chat.completions.create(
        model=CHAT, messages=SAYS_HELLO, tools=[tool], tool_choice="required"
    )
    assert told(answer) == {"tool_choice": "unsupported_parameter"}


def test_what_would_change_the_answer_is_refused_all_the_same(client: Any) -> None:
    with pytest.raises(BadRequestError) as caught:
        client.chat.completions.create(
            model=CHAT, messages=SAYS_HELLO, response_format={"type": "json_object"}
        )
    assert caught.value.code == "json_mode_not_supported"


def test_a_call_with_nothing_to_leave_out_has_no_warnings(client: Any) -> None:
    answer = client.chat.completions.create(model=CHAT, messages=SAYS_HELLO)
    assert answer.routing_metadata.warnings == []


def test_by_default_only_what_a_model_does_not_know_is_left_out() -> None:
    with served(DIALECT, catalog=catalog("refuse")) as stack:
        client = client_of(stack)
        with client._httpx:
            with pytest.raises(BadRequestError) as caught:
                client.chat.completions.create(
                    model=CHAT, messages=SAYS_HELLO, reasoning_effort="low"
                )
            answer = client.chat.completions.create(
                model=CHAT, messages=SAYS_HELLO, extra_body={"seed": 1, "extensions": {"a": {}}}
            )
    assert caught.value.code == "reasoning_not_supported"
    assert set(told(answer)) == {"seed", "extensions"}


def test_other_dialects_leave_out_the_same_and_tell_nothing() -> None:
    with served({"name": "openai"}, catalog=catalog("drop")) as stack:
        body = {"model": CHAT, "messages": SAYS_HELLO, **LEFT_OUT}
        key = {"authorization": f"Bearer {stack.key}"}
        answer = httpx.post(f"{stack.url}/chat/completions", json=body, headers=key)
    assert answer.status_code == 200
    assert b"warning" not in answer.content
