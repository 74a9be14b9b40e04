"""openai-agents, through the stack."""

from collections.abc import Callable
from typing import Any

import openai
import pytest

from tests.clients.asked import CALLING, REPEATED, SAID, TOLD, Weather, get_weather
from tests.clients.installed import installed
from tests.clients.served import CHAT, UNKNOWN, Served

agents = installed("agents")

Agents = Callable[..., Any]
# What it does is not uploaded.
UNTRACED = agents.RunConfig(tracing_disabled=True)


@pytest.fixture(params=["OpenAIChatCompletionsModel", "OpenAIResponsesModel"])
def agent(request: pytest.FixtureRequest, connect: Callable[[str], Any]) -> Agents:
    """Return what makes agents: on chat completions, and on the Responses API."""
    api = getattr(agents, request.param)

    def made(key: str = Served.key, model: str = CHAT, name: str = "first", **options: Any) -> Any:
        return agents.Agent(name, model=api(model, openai_client=connect(key)), **options)

    return made


async def run(asked: Any, said: str = SAID) -> Any:
    return await agents.Runner.run(asked, said, run_config=UNTRACED)


async def test_an_input_is_answered(agent: Agents) -> None:
    result = await run(agent(instructions="Be brief."))
    assert REPEATED in result.final_output
    used = result.context_wrapper.usage
    assert used.total_tokens == used.input_tokens + used.output_tokens > 0


async def test_a_stream_says_the_same(agent: Agents) -> None:
    plain = await run(agent())
    streamed = agents.Runner.run_streamed(agent(), SAID, run_config=UNTRACED)
    deltas = [
        event.data.delta
        async for event in streamed.stream_events()
        if event.type == "raw_response_event" and event.data.type == "response.output_text.delta"
    ]
    assert "".join(deltas) == streamed.final_output == plain.final_output


async def test_a_tool_is_called_and_its_result_taken(agent: Agents) -> None:
    result = await run(agent(tools=[agents.function_tool(get_weather)]), CALLING)
    assert TOLD in result.final_output


async def test_a_tool_is_called_in_a_stream(agent: Agents) -> None:
    asked = agent(tools=[agents.function_tool(get_weather)])
    streamed = agents.Runner.run_streamed(asked, CALLING, run_config=UNTRACED)
    kinds = [event.type async for event in streamed.stream_events()]
    assert kinds.count("run_item_stream_event") >= 3
    assert TOLD in streamed.final_output


async def test_structured_output_is_parsed(agent: Agents) -> None:
    assert isinstance((await run(agent(output_type=Weather))).final_output, Weather)


async def test_an_agent_hands_over_to_another(agent: Agents) -> None:
    other = agent(name="other")
    result = await run(agent(handoffs=[other]), "transfer_to_other, please")
    assert result.last_agent is other
    assert result.final_output


async def test_errors_are_those_of_the_client_below(stack: Served, agent: Agents) -> None:
    limited = stack.limited_key()
    await run(agent(limited))
    for refused, kind, code in (
        (agent(model=UNKNOWN), openai.NotFoundError, "model_not_found"),
        (agent(stack.wrong_key), openai.AuthenticationError, "invalid_api_key"),
        (agent(limited), openai.RateLimitError, "rate_limit_exceeded"),
        (agent(stack.poor_key), openai.RateLimitError, "insufficient_quota"),
    ):
        with pytest.raises(kind) as caught:
            await run(refused)
        assert caught.value.code == code
