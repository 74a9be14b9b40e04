"""LlamaIndex (`llama-index-llms-openai`, `llama-index-embeddings-openai`), through the stack."""

from typing import Any

import openai
import pytest

from tests.clients.asked import CALLING, REPEATED, SAID, TOLD, Weather, get_weather
from tests.clients.installed import installed
from tests.clients.served import CHAT, EMBEDDING, UNKNOWN, Served

llms = installed("llama_index.llms.openai")
embedding = installed("llama_index.embeddings.openai")
core = installed("llama_index.core.llms")
prompts = installed("llama_index.core.prompts")
tools = installed("llama_index.core.tools")


def llm(stack: Served, **options: Any) -> Any:
    """Return its LLM; a model's context window is one that it knows by the model's name."""
    settings = {"model": CHAT, "api_base": stack.url, "api_key": stack.key, "max_retries": 0}
    return llms.OpenAI(**settings | options)


def said(text: str) -> list[Any]:
    return [core.ChatMessage(role="user", content=text)]


def test_a_message_is_answered(stack: Served) -> None:
    answer = llm(stack).chat(said(SAID))
    assert REPEATED in answer.message.content
    assert answer.raw.usage.total_tokens > 0
    assert REPEATED in llm(stack).complete(SAID).text


def test_a_stream_says_the_same(stack: Served) -> None:
    parts = list(llm(stack).stream_chat(said(SAID)))
    assert len(parts) > 5
    assert parts[-1].message.content == llm(stack).chat(said(SAID)).message.content


def test_a_tool_is_called_and_its_result_taken(stack: Served) -> None:
    tool = tools.FunctionTool.from_defaults(get_weather)
    first = llm(stack).chat_with_tools([tool], user_msg=CALLING)
    [call] = llm(stack).get_tool_calls_from_response(first)
    assert call.tool_name == "get_weather"
    result = core.ChatMessage(
        role="tool",
        content=str(tool(**call.tool_kwargs)),
        additional_kwargs={"tool_call_id": call.tool_id},
    )
    last = llm(stack).chat([*said(CALLING), first.message, result])
    assert TOLD in last.message.content


def test_a_tool_is_run_by_itself(stack: Served) -> None:
    tool = tools.FunctionTool.from_defaults(get_weather)
    assert str(llm(stack).predict_and_call([tool], user_msg=CALLING)) == "sunny"


def test_structured_output_is_parsed(stack: Served) -> None:
    prompt = prompts.PromptTemplate(SAID)
    assert isinstance(llm(stack).structured_predict(Weather, prompt), Weather)
    called = llm(stack).as_structured_llm(Weather).chat(said(SAID))
    assert isinstance(called.raw, Weather)


async def test_the_asynchronous_calls_are_served_alike(stack: Served) -> None:
    async with openai.DefaultAsyncHttpxClient() as http:
        model = llm(stack, async_http_client=http)
        plain = await model.achat(said(SAID))
        parts = [part async for part in await model.astream_chat(said(SAID))]
    assert parts[-1].message.content == plain.message.content


def test_responses_are_given_and_streamed(stack: Served) -> None:
    model = llms.OpenAIResponses(
        model=CHAT,
        api_base=stack.url,
        api_key=stack.key,
        max_retries=0,
        track_previous_responses=False,
    )
    plain = model.chat(said(SAID))
    assert REPEATED in plain.message.content
    *_, last = model.stream_chat(said(SAID))
    assert last.message.content == plain.message.content


def test_texts_are_embedded(stack: Served) -> None:
    model = embedding.OpenAIEmbedding(
        model=EMBEDDING, api_base=stack.url, api_key=stack.key, dimensions=8
    )
    vectors = model.get_text_embedding_batch([SAID, "three"])
    assert [len(vector) for vector in vectors] == [8, 8]
    assert model.get_query_embedding(SAID) == vectors[0]


def test_an_unknown_model_is_not_found(stack: Served) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        llm(stack, model=UNKNOWN).chat(said(SAID))
    assert caught.value.code == "model_not_found"


def test_a_wrong_key_is_refused(stack: Served) -> None:
    with pytest.raises(openai.AuthenticationError):
        llm(stack, api_key=stack.wrong_key).chat(said(SAID))


def test_a_spent_limit_is_told(stack: Served) -> None:
    model = llm(stack, api_key=stack.limited_key())
    model.chat(said(SAID))
    with pytest.raises(openai.RateLimitError) as caught:
        model.chat(said(SAID))
    assert int(caught.value.response.headers["retry-after"]) > 3600


def test_a_spent_budget_is_told(stack: Served) -> None:
    with pytest.raises(openai.RateLimitError) as caught:
        list(llm(stack, api_key=stack.poor_key).stream_chat(said(SAID)))
    assert caught.value.code == "insufficient_quota"
