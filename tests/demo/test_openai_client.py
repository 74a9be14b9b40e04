"""The unmodified `openai` client against a demo server that uvicorn serves on loopback."""

from collections.abc import Iterator
from typing import Any, Literal

import openai
import pytest
from openai import AsyncOpenAI, OpenAI
from openai.types.responses import FunctionToolParam
from pydantic import BaseModel

from tests.listening import listening
from veneer.demo import DemoServer

MODEL = "veneer-demo-1"


class Forecast(BaseModel):
    """What is asked for as JSON, and as the arguments of a tool."""

    city: str
    days: int
    sky: Literal["clear", "grey"]
    gusts: list[float]
    note: str | None
    next: "Forecast | None"


FORECAST = openai.pydantic_function_tool(Forecast, name="get_forecast")
FUNCTION: Any = {
    "name": "get_forecast",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
}


def user(text: str) -> Any:
    return [{"role": "user", "content": text}]


@pytest.fixture(scope="module")
def base_url() -> Iterator[str]:
    with listening(DemoServer()) as port:
        yield f"http://127.0.0.1:{port}/v1"


@pytest.fixture(scope="module")
def client(base_url: str) -> Iterator[OpenAI]:
    with OpenAI(api_key="none", base_url=base_url, max_retries=0) as client:
        yield client


@pytest.fixture
def async_client(base_url: str) -> AsyncOpenAI:
    return AsyncOpenAI(api_key="none", base_url=base_url, max_retries=0)


def test_chat_is_answered(client: OpenAI) -> None:
    completion = client.chat.completions.create(model=MODEL, messages=user("one two"))
    assert completion.choices[0].message.content
    assert '"one two"' in completion.choices[0].message.content
    assert completion.usage
    assert completion._request_id
    assert completion._request_id.startswith("req_")


def test_chat_streams(client: OpenAI) -> None:
    plain = client.chat.completions.create(model=MODEL, messages=user("one two"))
    chunks = list(
        client.chat.completions.create(
            model=MODEL,
            messages=user("one two"),
            stream=True,
            stream_options={"include_usage": True},
        )
    )
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks[:-1])
    assert text == plain.choices[0].message.content
    assert chunks[-1].usage == plain.usage


def test_the_stream_helper_puts_tool_calls_together(client: OpenAI) -> None:
    with client.chat.completions.stream(
        model=MODEL,
        messages=user("get_forecast"),
        tools=[FORECAST],
        stream_options={"include_usage": True},
    ) as stream:
        kinds = {event.type for event in stream}
        completion = stream.get_final_completion()
    assert "tool_calls.function.arguments.done" in kinds
    [call] = completion.choices[0].message.tool_calls or []
    assert isinstance(call.function.parsed_arguments, Forecast)
    assert completion.usage


def test_a_conversation_with_a_tool_comes_to_an_end(client: OpenAI) -> None:
    messages = user("get_forecast for me")
    first = client.chat.completions.create(model=MODEL, messages=messages, tools=[FORECAST])
    message = first.choices[0].message
    [call] = message.tool_calls or []
    assert call.type == "function"
    Forecast.model_validate_json(call.function.arguments)
    messages += [
        message.model_dump(exclude_none=True),
        {"role": "tool", "tool_call_id": call.id, "content": "sunny"},
    ]
    last = client.chat.completions.create(model=MODEL, messages=messages, tools=[FORECAST])
    assert "sunny" in (last.choices[0].message.content or "")


def test_chat_parses_into_a_pydantic_model(client: OpenAI) -> None:
    completion = client.chat.completions.parse(
        model=MODEL, messages=user("hi"), response_format=Forecast
    )
    assert isinstance(completion.choices[0].message.parsed, Forecast)


def test_a_cut_answer_cannot_be_parsed(client: OpenAI) -> None:
    with pytest.raises(openai.LengthFinishReasonError):
        client.chat.completions.parse(
            model=MODEL, messages=user("hi"), response_format=Forecast, max_tokens=2
        )


def test_legacy_functions_are_answered(client: OpenAI) -> None:
    completion = client.chat.completions.create(
        model=MODEL, messages=user("get_forecast"), functions=[FUNCTION]
    )
    call = completion.choices[0].message.function_call
    assert call
    assert (call.name, call.arguments) == ("get_forecast", '{"city":"demo city"}')
    chunks = client.chat.completions.create(
        model=MODEL, messages=user("get_forecast"), functions=[FUNCTION], stream=True
    )
    calls = [chunk.choices[0].delta.function_call for chunk in chunks]
    assert "".join(each.arguments or "" for each in calls if each) == call.arguments


def test_a_response_is_given(client: OpenAI) -> None:
    response = client.responses.create(model=MODEL, input="one two", instructions="Be brief")
    assert '"one two"' in response.output_text
    assert response.usage
    assert response.usage.total_tokens == response.usage.input_tokens + response.usage.output_tokens


def test_a_response_streams(client: OpenAI) -> None:
    events = list(client.responses.create(model=MODEL, input="one two", stream=True))
    deltas = "".join(each.delta for each in events if each.type == "response.output_text.delta")
    last = events[-1]
    assert last.type == "response.completed"
    assert last.response.output_text == deltas
    with client.responses.stream(model=MODEL, input="hi", text_format=Forecast) as stream:
        assert isinstance(stream.get_final_response().output_parsed, Forecast)


def test_a_response_parses_into_a_pydantic_model(client: OpenAI) -> None:
    response = client.responses.parse(model=MODEL, input="hi", text_format=Forecast)
    assert isinstance(response.output_parsed, Forecast)


def test_a_response_calls_a_function_and_takes_its_output(client: OpenAI) -> None:
    tool: FunctionToolParam = {
        "type": "function",
        "name": "get_forecast",
        "parameters": Forecast.model_json_schema(),
        "strict": True,
    }
    items: Any = user("get_forecast")
    with client.responses.stream(model=MODEL, input=items, tools=[tool]) as stream:
        first = stream.get_final_response()
    [call] = first.output
    assert call.type == "function_call"
    Forecast.model_validate_json(call.arguments)
    items += [
        call.model_dump(exclude_none=True, exclude={"parsed_arguments"}),
        {"type": "function_call_output", "call_id": call.call_id, "output": "sunny"},
    ]
    assert "sunny" in client.responses.create(model=MODEL, input=items).output_text


def test_embeddings_are_the_same_in_either_encoding(client: OpenAI) -> None:
    vectors = [
        client.embeddings.create(
            model="veneer-demo-embed", input=["hi"], dimensions=8, encoding_format=encoding
        )
        .data[0]
        .embedding
        for encoding in ("float", openai.omit)
    ]
    assert len(vectors[0]) == 8
    assert vectors[0] == vectors[1]


def test_a_prompt_is_completed(client: OpenAI) -> None:
    plain = client.completions.create(model=MODEL, prompt="hi")
    chunks = client.completions.create(model=MODEL, prompt="hi", stream=True)
    assert "".join(chunk.choices[0].text for chunk in chunks) == plain.choices[0].text


def test_models_are_listed_and_retrieved(client: OpenAI) -> None:
    for model in client.models.list():
        assert client.models.retrieve(model.id) == model


def test_a_text_is_moderated(client: OpenAI) -> None:
    [result] = client.moderations.create(input="murder").results
    assert result.flagged
    assert result.categories.violence


def test_errors_are_of_the_classes_that_the_client_has(client: OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as lost:
        client.chat.completions.create(model="none", messages=user("hi"))
    assert (lost.value.code, lost.value.param) == ("model_not_found", "model")
    with pytest.raises(openai.BadRequestError) as bad:
        client.chat.completions.create(model=MODEL, messages=[])
    assert (bad.value.param, bad.value.type) == ("messages", "invalid_request_error")
    with pytest.raises(openai.NotFoundError, match="no images"):
        client.images.generate(model=MODEL, prompt="a cat")


async def test_the_asynchronous_client_is_served_alike(async_client: AsyncOpenAI) -> None:
    async with async_client as client:
        plain = await client.chat.completions.create(model=MODEL, messages=user("one two"))
        stream = await client.chat.completions.create(
            model=MODEL, messages=user("one two"), stream=True
        )
        text = "".join([chunk.choices[0].delta.content or "" async for chunk in stream])
        assert text == plain.choices[0].message.content
        async with client.responses.stream(model=MODEL, input="one two") as responses:
            assert (await responses.get_final_response()).output_text == text
        embedded = await client.embeddings.create(model="veneer-demo-embed", input="hi")
        assert len(embedded.data[0].embedding) == 256
        with pytest.raises(openai.NotFoundError):
            await client.completions.create(model="none", prompt="hi")
