"""Vercel's AI SDK, by each of its ways to such an API, through the stack."""

import pytest

from tests.clients.asked import REPEATED, TOLD, Weather
from tests.clients.node_programs import Told, run
from tests.clients.served import CHAT, Served


@pytest.fixture(scope="module", params=["responses", "chat", "compatible"])
def told(request: pytest.FixtureRequest, stack: Served) -> Told:
    return run("ai.mjs", request.param, stack=stack)


def test_a_prompt_is_answered(told: Told) -> None:
    chat = told["chat"]
    assert REPEATED in chat["text"]
    assert (chat["model"], chat["finishReason"]) == (CHAT, "stop")
    assert chat["usage"]["totalTokens"] > chat["usage"]["outputTokens"] > 0


def test_a_stream_says_the_same_and_its_usage(told: Told) -> None:
    stream = told["stream"]
    assert stream["text"] == stream["plain"]
    assert stream["parts"] > 5
    assert stream["usage"] == stream["plainUsage"]


def test_a_tool_is_called_and_its_result_taken(told: Told) -> None:
    assert told["tools"]["called"] == ["get_weather"]
    assert TOLD in told["tools"]["text"]


def test_a_tool_is_called_in_a_stream(told: Told) -> None:
    stream = told["toolsInAStream"]
    assert {"tool-input-delta", "tool-call", "tool-result"} <= set(stream["kinds"])
    assert "error" not in stream["kinds"]
    assert TOLD in stream["text"]


@pytest.mark.parametrize("case", ["structured", "structuredStream"])
def test_structured_output_is_parsed(told: Told, case: str) -> None:
    Weather.model_validate(told[case])


def test_texts_are_embedded(told: Told) -> None:
    embeddings = told["embeddings"]
    assert embeddings["lengths"] == [256, 256]
    assert embeddings["tokens"] > 0


@pytest.mark.parametrize(
    ("case", "status", "code"),
    [
        ("unknown", 404, "model_not_found"),
        ("wrongKey", 401, "invalid_api_key"),
        ("limit", 429, "rate_limit_exceeded"),
        ("budget", 429, "insufficient_quota"),
    ],
)
def test_errors_are_told_with_their_status_and_code(
    told: Told, case: str, status: int, code: str
) -> None:
    error = told[case]
    assert (error["name"], error["status"], error["code"]) == ("AI_APICallError", status, code)


def test_a_spent_limit_says_when_it_is_over(told: Told) -> None:
    assert int(told["limit"]["retryAfter"]) > 3600
