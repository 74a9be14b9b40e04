"""OpenAI's own client for Python, through the stack."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI, OpenAI

from tests.clients.asked import CALLING, REPEATED, SAID, SUNNY, TOLD, Weather
from tests.clients.served import CHAT, EMBEDDING, UNKNOWN, Served

USER: Any = [{"role": "user", "content": SAID}]
TOOL: Any = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
}


@pytest.fixture
def client(stack: Served) -> Iterator[OpenAI]:
    with OpenAI(base_url=stack.url, api_key=stack.key, max_retries=0) as client:
        yield client


@pytest.fixture
async def async_client(stack: Served) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(base_url=stack.url, api_key=stack.key, max_retries=0) as client:
        yield client


def refused(client: OpenAI) -> openai.APIStatusError:
    """Return what a call raises that is not answered."""
    with client, pytest.raises(openai.APIStatusError) as caught:
        client.chat.completions.create(model=CHAT, messages=USER)
    return caught.value


def test_chat_is_answered_with_its_receipt(client: OpenAI) -> None:
    raw = client.chat.completions.with_raw_response.create(model=CHAT, messages=USER)
    answer = raw.parse()
    assert REPEATED in (answer.choices[0].message.content or "")
    assert answer.model == CHAT
    assert answer.usage
    assert answer.usage.model_extra == {"cost": float(raw.headers["x-cost-usd"])}
    assert raw.headers["x-ratelimit-limit-requests"] == "10000"
    assert answer._request_id == raw.headers["x-request-id"]


def test_a_stream_says_the_same_and_its_usage(client: OpenAI) -> None:
    plain = client.chat.completions.create(model=CHAT, messages=USER)
    chunks = list(
        client.chat.completions.create(
            model=CHAT, messages=USER, stream=True, stream_options={"include_usage": True}
        )
    )
    said = [choice.delta.content or "" for chunk in chunks for choice in chunk.choices]
    assert "".join(said) == plain.choices[0].message.content
    assert chunks[-1].usage == plain.usage
    assert {chunk.model for chunk in chunks} == {CHAT}


def test_a_stream_that_asks_for_no_usage_is_whole(client: OpenAI) -> None:
    chunks = list(client.chat.completions.create(model=CHAT, messages=USER, stream=True))
    assert [choice.finish_reason for chunk in chunks for choice in chunk.choices][-1] == "stop"


def test_a_tool_is_called_and_its_result_taken(client: OpenAI) -> None:
    messages: Any = [{"role": "user", "content": CALLING}]
    with client.chat.completions.stream(model=CHAT, messages=messages, tools=[TOOL]) as stream:
        message = stream.get_final_completion().choices[0].message
    [call] = message.tool_calls or []
    assert call.function.name == "get_weather"
    messages += [
        {"role": "assistant", "tool_calls": [call.to_dict()]},
        {"role": "tool", "tool_call_id": call.id, "content": SUNNY},
    ]
    last = client.chat.completions.create(model=CHAT, messages=messages, tools=[TOOL])
    assert TOLD in (last.choices[0].message.content or "")


def test_structured_output_is_parsed(client: OpenAI) -> None:
    answer = client.chat.completions.parse(model=CHAT, messages=USER, response_format=Weather)
    assert isinstance(answer.choices[0].message.parsed, Weather)


def test_responses_are_given_parsed_and_streamed(client: OpenAI) -> None:
    plain = client.responses.create(model=CHAT, input=SAID)
    assert REPEATED in plain.output_text
    assert plain.model == CHAT
    with client.responses.stream(model=CHAT, input=SAID) as stream:
        models = {event.response.model for event in stream if event.type == "response.created"}
        last = stream.get_final_response()
    assert (last.output_text, models) == (plain.output_text, {CHAT})
    assert last.usage == plain.usage
    parsed = client.responses.parse(model=CHAT, input=SAID, text_format=Weather)
    assert isinstance(parsed.output_parsed, Weather)


def test_texts_are_embedded(client: OpenAI) -> None:
    # Without a word on it, the client asks for base64.
    packed = client.embeddings.create(model=EMBEDDING, input=["a", "b"], dimensions=8)
    plain = client.embeddings.create(
        model=EMBEDDING, input=["a", "b"], dimensions=8, encoding_format="float"
    )
    assert [len(each.embedding) for each in packed.data] == [8, 8]
    assert [each.embedding for each in packed.data] == [each.embedding for each in plain.data]
    assert packed.model == EMBEDDING


def test_models_are_listed_and_retrieved(client: OpenAI) -> None:
    found = {model.id: model for model in client.models.list()}
    assert CHAT in found
    assert client.models.retrieve(CHAT) == found[CHAT]


def test_an_idempotency_key_is_kept(client: OpenAI) -> None:
    headers = {"Idempotency-Key": "order-1"}
    first, second = (
        client.chat.completions.create(model=CHAT, messages=USER, extra_headers=headers)
        for _ in range(2)
    )
    assert first.id == second.id
    with pytest.raises(openai.UnprocessableEntityError):
        client.chat.completions.create(model=EMBEDDING, messages=USER, extra_headers=headers)


def test_an_unknown_model_is_not_found(client: OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        client.chat.completions.create(model=UNKNOWN, messages=USER)
    assert (caught.value.code, caught.value.param) == ("model_not_found", "model")
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve(UNKNOWN)


def test_a_model_of_another_kind_is_refused(client: OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.embeddings.create(model=CHAT, input=SAID)
    assert caught.value.param == "model"


def test_a_wrong_key_is_refused(stack: Served) -> None:
    error = refused(OpenAI(base_url=stack.url, api_key=stack.wrong_key, max_retries=0))
    assert isinstance(error, openai.AuthenticationError)
    assert error.code == "invalid_api_key"


def test_a_spent_limit_is_told_and_not_tried_again(stack: Served) -> None:
    with OpenAI(base_url=stack.url, api_key=stack.limited_key()) as client:
        client.chat.completions.create(model=CHAT, messages=USER)
        error = refused(client)
    assert isinstance(error, openai.RateLimitError)
    assert error.code == "rate_limit_exceeded"
    assert int(error.response.headers["retry-after"]) > 3600
    assert error.response.request.headers["x-stainless-retry-count"] == "0"


def test_a_short_wait_is_waited_for(stack: Served) -> None:
    with OpenAI(base_url=stack.url, api_key=stack.slow_key, max_retries=5) as client:
        for _ in range(2):
            assert client.chat.completions.create(model=CHAT, messages=USER).choices


def test_a_spent_budget_is_told_and_not_tried_again(stack: Served) -> None:
    error = refused(OpenAI(base_url=stack.url, api_key=stack.poor_key))
    assert isinstance(error, openai.RateLimitError)
    assert error.code == "insufficient_quota"
    assert error.response.request.headers["x-stainless-retry-count"] == "0"


def test_surfaces_that_are_not_served_say_so(client: OpenAI) -> None:
    with pytest.raises(openai.NotFoundError, match="fine_tuning"):
        client.fine_tuning.jobs.list()


async def test_the_asynchronous_client_is_served_alike(async_client: AsyncOpenAI) -> None:
    client = async_client
    plain = await client.chat.completions.create(model=CHAT, messages=USER)
    stream = await client.chat.completions.create(model=CHAT, messages=USER, stream=True)
    said = [choice.delta.content or "" async for chunk in stream for choice in chunk.choices]
    assert "".join(said) == plain.choices[0].message.content
    async with client.responses.stream(model=CHAT, input=SAID) as responses:
        assert REPEATED in (await responses.get_final_response()).output_text
    parsed = await client.chat.completions.parse(model=CHAT, messages=USER, response_format=Weather)
    assert isinstance(parsed.choices[0].message.parsed, Weather)
    embedded = await client.embeddings.create(model=EMBEDDING, input=SAID)
    assert len(embedded.data[0].embedding) == 256
    with pytest.raises(openai.NotFoundError):
        await client.chat.completions.create(model=UNKNOWN, messages=USER)
