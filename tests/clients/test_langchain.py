"""LangChain (`langchain-openai`), through the stack."""

from pathlib import Path
from typing import Any

import openai
import pytest

from tests.clients.asked import CALLING, REPEATED, SAID, TOLD, Weather, get_weather
from tests.clients.installed import installed
from tests.clients.served import CHAT, EMBEDDING, UNKNOWN, Served

langchain = installed("langchain_openai")
messages = installed("langchain_core.messages")
tools = installed("langchain_core.tools")


def chat(stack: Served, **options: Any) -> Any:
    settings = {"model": CHAT, "base_url": stack.url, "api_key": stack.key, "max_retries": 0}
    return langchain.ChatOpenAI(**settings | options, stream_usage=True)


@pytest.fixture(params=[False, True], ids=["chat", "responses"])
def model(request: pytest.FixtureRequest, stack: Served) -> Any:
    """Return a model on chat completions, and on the Responses API."""
    return chat(stack, use_responses_api=request.param)


def test_a_message_is_answered(model: Any) -> None:
    answer = model.invoke(SAID)
    assert REPEATED in answer.text
    assert answer.response_metadata["model_name"] == CHAT
    used = answer.usage_metadata
    assert used["total_tokens"] == used["input_tokens"] + used["output_tokens"] > 0


def test_a_stream_says_the_same_and_its_usage(model: Any) -> None:
    plain, (first, *rest) = model.invoke(SAID), model.stream(SAID)
    assert len(rest) > 5
    whole = sum(rest, start=first)
    assert whole.text == plain.text
    assert whole.usage_metadata == plain.usage_metadata


def test_a_tool_is_called_and_its_result_taken(model: Any) -> None:
    tool = tools.tool(get_weather)
    said = [messages.HumanMessage(CALLING)]
    first, *rest = model.bind_tools([tool]).stream(said)
    calling = sum(rest, start=first)
    [call] = calling.tool_calls
    assert call["name"] == "get_weather"
    assert TOLD in model.invoke([*said, calling, tool.invoke(call)]).text


@pytest.mark.parametrize("method", ["json_schema", "function_calling"])
def test_structured_output_is_parsed(model: Any, method: str) -> None:
    asked = model.with_structured_output(Weather, method=method)
    assert isinstance(asked.invoke(SAID), Weather)


@pytest.mark.parametrize("responses", [False, True])
async def test_the_asynchronous_calls_are_served_alike(stack: Served, *, responses: bool) -> None:
    async with openai.DefaultAsyncHttpxClient() as http:
        model = chat(stack, use_responses_api=responses, http_async_client=http)
        plain = await model.ainvoke(SAID)
        assert "".join([chunk.text async for chunk in model.astream(SAID)]) == plain.text


def test_texts_are_embedded(stack: Served) -> None:
    embeddings = langchain.OpenAIEmbeddings(
        model=EMBEDDING,
        base_url=stack.url,
        api_key=stack.key,
        dimensions=8,
        check_embedding_ctx_length=False,
    )
    vectors = embeddings.embed_documents([SAID, "three"])
    assert [len(vector) for vector in vectors] == [8, 8]
    assert embeddings.embed_query(SAID) == vectors[0]


def test_texts_are_embedded_as_tokens(stack: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unless told otherwise it sends lists of tokens; what makes them comes with LlamaIndex."""
    kept = Path(installed("llama_index.core").__file__).parent / "_static" / "tiktoken_cache"
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(kept))
    embeddings = langchain.OpenAIEmbeddings(
        model=EMBEDDING, base_url=stack.url, api_key=stack.key, dimensions=8
    )
    vectors = embeddings.embed_documents([SAID, "three"])
    assert [len(vector) for vector in vectors] == [8, 8]


def test_an_unknown_model_is_not_found(stack: Served) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        chat(stack, model=UNKNOWN).invoke(SAID)
    assert caught.value.code == "model_not_found"


def test_a_wrong_key_is_refused(stack: Served) -> None:
    with pytest.raises(openai.AuthenticationError):
        chat(stack, api_key=stack.wrong_key).invoke(SAID)


def test_a_spent_limit_is_told_and_not_tried_again(stack: Served) -> None:
    model = chat(stack, api_key=stack.limited_key(), max_retries=2)
    model.invoke(SAID)
    with pytest.raises(openai.RateLimitError) as caught:
        model.invoke(SAID)
    assert caught.value.code == "rate_limit_exceeded"
    assert caught.value.response.request.headers["x-stainless-retry-count"] == "0"


def test_a_spent_budget_is_told(stack: Served) -> None:
    with pytest.raises(openai.RateLimitError) as caught:
        list(chat(stack, api_key=stack.poor_key).stream(SAID))
    assert caught.value.code == "insufficient_quota"
