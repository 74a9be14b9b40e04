"""pydantic-ai (`pydantic-ai-slim[openai]`), through the stack."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.clients.asked import CALLING, REPEATED, SAID, TOLD, Weather, get_weather
from tests.clients.installed import installed
from tests.clients.served import CHAT, EMBEDDING, UNKNOWN, Served

pydantic_ai = installed("pydantic_ai")
embeddings = installed("pydantic_ai.embeddings.openai")
models = installed("pydantic_ai.models.openai")
providers = installed("pydantic_ai.providers.openai")

Agents = Callable[..., Any]


@pytest.fixture(params=["OpenAIChatModel", "OpenAIResponsesModel"])
def agent(request: pytest.FixtureRequest, connect: Callable[[str], Any]) -> Agents:
    """Return what makes agents: on chat completions, and on the Responses API."""
    api = getattr(models, request.param)

    def made(key: str = Served.key, model: str = CHAT, **options: Any) -> Any:
        provider = providers.OpenAIProvider(openai_client=connect(key))
        return pydantic_ai.Agent(api(model, provider=provider), **options)

    return made


async def test_a_prompt_is_answered(agent: Agents) -> None:
    run = await agent().run(SAID)
    assert REPEATED in run.output
    assert run.usage.input_tokens > 0
    assert run.usage.output_tokens > 0


async def test_a_stream_says_the_same(agent: Agents) -> None:
    plain = await agent().run(SAID)
    async with agent().run_stream(SAID) as streamed:
        parts = [part async for part in streamed.stream_text(delta=True, debounce_by=None)]
    assert "".join(parts) == plain.output
    assert len(parts) > 5
    assert streamed.usage.output_tokens == plain.usage.output_tokens


async def test_a_tool_is_called_and_its_result_taken(agent: Agents) -> None:
    run = await agent(tools=[get_weather]).run(CALLING)
    assert TOLD in run.output
    assert run.usage.tool_calls == 1


@pytest.mark.parametrize("way", ["ToolOutput", "NativeOutput"])
async def test_structured_output_is_parsed(agent: Agents, way: str) -> None:
    run = await agent(output_type=getattr(pydantic_ai, way)(Weather)).run(SAID)
    assert isinstance(run.output, Weather)


async def test_errors_are_told_with_their_status_and_code(stack: Served, agent: Agents) -> None:
    limited = stack.limited_key()
    await agent(limited).run(SAID)
    for refused, status, code in (
        (agent(model=UNKNOWN), 404, "model_not_found"),
        (agent(stack.wrong_key), 401, "invalid_api_key"),
        (agent(limited), 429, "rate_limit_exceeded"),
        (agent(stack.poor_key), 429, "insufficient_quota"),
    ):
        with pytest.raises(pydantic_ai.ModelHTTPError) as caught:
            await refused.run(SAID)
        assert caught.value.status_code == status
        assert caught.value.body["code"] == code


async def test_texts_are_embedded(connect: Callable[[str], Any]) -> None:
    provider = providers.OpenAIProvider(openai_client=connect(Served.key))
    model = embeddings.OpenAIEmbeddingModel(EMBEDDING, provider=provider)
    found = await pydantic_ai.Embedder(model).embed_documents([SAID, "three"])
    assert [len(vector) for vector in found.embeddings] == [256, 256]
