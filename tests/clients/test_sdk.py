"""Our clients (`veneer.sdk`) in frameworks: what is told of calls that frameworks make is there.

Most drop what they do not know of an answer. Where one calls in a task of its own, only a recording
sees it: those tests say so.
"""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import openai
import pytest

from tests.clients.asked import REPEATED, SAID
from tests.clients.installed import installed
from tests.dialects.served import ALIAS, EMBEDDING, Served, served
from veneer import sdk

langchain = installed("langchain_openai")
llms = installed("llama_index.llms.openai")
core = installed("llama_index.core.llms")
agents = installed("agents")

UNTRACED = agents.RunConfig(tracing_disabled=True)
APIS = pytest.mark.parametrize("responses", [False, True], ids=["chat", "responses"])


@pytest.fixture(scope="module")
def stack() -> Iterator[Served]:
    with served({"name": "auriko"}) as found:
        yield found


@pytest.fixture
def client(stack: Served) -> Iterator[sdk.OpenAI]:
    with sdk.OpenAI(base_url=stack.url, api_key=stack.key, max_retries=0) as made:
        yield made


@pytest.fixture
async def async_client(stack: Served) -> AsyncIterator[sdk.AsyncOpenAI]:
    async with sdk.AsyncOpenAI(base_url=stack.url, api_key=stack.key, max_retries=0) as made:
        yield made


def check(told: sdk.CallMetadata | None) -> None:
    assert told is not None
    assert told.status == 200
    assert (told.request_id or "").startswith("req_")
    assert told.receipt is not None
    assert told.routing is not None
    assert told.routing.provider == "demo"
    assert told.routing.cost is not None
    assert told.routing.cost.usd == told.receipt.total > 0


def chain(client: sdk.OpenAI, async_client: sdk.AsyncOpenAI, *, responses: bool) -> Any:
    return langchain.ChatOpenAI(
        model=ALIAS,
        api_key="unused",
        client=client.chat.completions,
        async_client=async_client.chat.completions,
        root_client=client,
        root_async_client=async_client,
        use_responses_api=responses,
        stream_usage=True,
    )


@APIS
async def test_langchain(
    client: sdk.OpenAI, async_client: sdk.AsyncOpenAI, *, responses: bool
) -> None:
    """Its `ainvoke` calls in a task of its own."""
    model = chain(client, async_client, responses=responses)
    assert REPEATED in model.invoke(SAID).text
    check(client.last_call())
    assert len(list(model.stream(SAID))) > 5
    check(client.last_call())
    with async_client.recording() as made:
        assert REPEATED in (await model.ainvoke(SAID)).text
    check(made.last)
    assert len([chunk async for chunk in model.astream(SAID)]) > 5
    check(async_client.last_call())


async def test_langchain_in_a_batch_of_threads(
    client: sdk.OpenAI, async_client: sdk.AsyncOpenAI
) -> None:
    with client.recording() as made:
        chain(client, async_client, responses=False).batch([SAID] * 5)
    assert len({told.request_id for told in made}) == len(made) == 5
    for told in made:
        check(told)


def test_langchain_embeddings(client: sdk.OpenAI) -> None:
    embeddings = langchain.OpenAIEmbeddings(
        model=EMBEDDING,
        api_key="unused",
        client=client.embeddings,
        check_embedding_ctx_length=False,
    )
    assert embeddings.embed_query(SAID)
    check(client.last_call())


async def test_llama_index(client: sdk.OpenAI, async_client: sdk.AsyncOpenAI) -> None:
    model = llms.OpenAI(
        model=ALIAS, api_key="unused", openai_client=client, async_openai_client=async_client
    )
    said = [core.ChatMessage(role="user", content=SAID)]
    assert REPEATED in model.chat(said).message.content
    check(client.last_call())
    assert len(list(model.stream_chat(said))) > 5
    check(client.last_call())
    assert REPEATED in (await model.achat(said)).message.content
    check(async_client.last_call())
    assert len([part async for part in await model.astream_chat(said)]) > 5
    check(async_client.last_call())


@pytest.mark.parametrize("api", ["OpenAIChatCompletionsModel", "OpenAIResponsesModel"])
async def test_openai_agents(async_client: sdk.AsyncOpenAI, api: str) -> None:
    """A run that streams calls in a task of its own."""
    model = getattr(agents, api)(ALIAS, openai_client=async_client)
    agent = agents.Agent("first", model=model)
    with async_client.recording() as made:
        result = await agents.Runner.run(agent, SAID, run_config=UNTRACED)
        assert REPEATED in result.final_output
        check(made.last)
        streamed = agents.Runner.run_streamed(agent, SAID, run_config=UNTRACED)
        assert [event async for event in streamed.stream_events()]
    assert len(made) == 2
    check(made.last)


async def test_openai_agents_by_their_default_client(async_client: sdk.AsyncOpenAI) -> None:
    agents.set_default_openai_client(async_client, use_for_tracing=False)
    with async_client.recording() as made:
        await agents.Runner.run(agents.Agent("first", model=ALIAS), SAID, run_config=UNTRACED)
    check(made.last)


async def test_errors_of_frameworks_are_mapped(
    stack: Served, client: sdk.OpenAI, async_client: sdk.AsyncOpenAI
) -> None:
    poor = client.with_options(api_key=stack.spent_key)
    with pytest.raises(openai.RateLimitError) as caught:
        chain(poor, async_client, responses=False).invoke(SAID)
    assert type(sdk.map_openai_error(caught.value)) is sdk.BudgetExhaustedError
    model = llms.OpenAI(model="gpt-4", api_key="unused", openai_client=client)
    with pytest.raises(openai.NotFoundError) as missing:
        model.complete(SAID)
    assert type(sdk.map_openai_error(missing.value)) is sdk.NotFoundError
