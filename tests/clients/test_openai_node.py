"""OpenAI's own client for Node, through the stack."""

import pytest

from tests.clients.asked import REPEATED, TOLD, Weather
from tests.clients.node_programs import Told, run
from tests.clients.served import CHAT, EMBEDDING, Served


@pytest.fixture(scope="module")
def told(stack: Served) -> Told:
    return run("openai.mjs", stack=stack)


def test_chat_is_answered_with_its_receipt(told: Told) -> None:
    chat = told["chat"]
    assert REPEATED in chat["text"]
    assert chat["model"] == CHAT
    assert chat["cost"] == float(chat["receipt"]) > 0
    assert chat["id"] == chat["header"]


def test_a_stream_says_the_same_and_its_usage(told: Told) -> None:
    stream = told["stream"]
    assert stream["text"] == stream["plain"]
    assert stream["usage"] == stream["plainUsage"]
    assert stream["models"] == [CHAT]


def test_a_tool_is_called_and_its_result_taken(told: Told) -> None:
    assert told["tools"]["name"] == "get_weather"
    assert TOLD in told["tools"]["text"]


def test_structured_output_is_parsed(told: Told) -> None:
    Weather.model_validate(told["structured"])


def test_responses_are_given_and_streamed(told: Told) -> None:
    responses = told["responses"]
    assert REPEATED in responses["plain"]
    assert responses["text"] == responses["plain"]
    assert responses["models"] == [CHAT, CHAT]


def test_texts_are_embedded(told: Told) -> None:
    embeddings = told["embeddings"]
    assert [len(vector) for vector in embeddings["packed"]] == [8, 8]
    assert embeddings["packed"] == embeddings["plain"]


def test_models_are_listed(told: Told) -> None:
    assert {CHAT, EMBEDDING} <= set(told["models"])


def test_an_idempotency_key_is_kept(told: Told) -> None:
    first, second = told["idempotency"]
    assert first == second


@pytest.mark.parametrize(
    ("case", "name", "status", "code"),
    [
        ("unknown", "NotFoundError", 404, "model_not_found"),
        ("wrongKey", "AuthenticationError", 401, "invalid_api_key"),
        ("limit", "RateLimitError", 429, "rate_limit_exceeded"),
        ("budget", "RateLimitError", 429, "insufficient_quota"),
    ],
)
def test_errors_are_of_the_classes_that_the_client_has(
    told: Told, case: str, name: str, status: int, code: str
) -> None:
    error = told[case]
    assert (error["name"], error["status"], error["code"]) == (name, status, code)


def test_a_spent_limit_says_when_it_is_over(told: Told) -> None:
    assert int(told["limit"]["retryAfter"]) > 3600


def test_a_short_wait_is_waited_for(told: Told) -> None:
    assert told["wait"] == ["chat.completion", "chat.completion"]
