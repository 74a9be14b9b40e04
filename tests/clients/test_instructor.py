"""instructor, around OpenAI's own client, through the stack."""

from typing import Any

import openai
import pytest

from tests.clients.asked import SAID, Weather
from tests.clients.installed import installed
from tests.clients.served import CHAT, UNKNOWN, Served

instructor = installed("instructor")
exceptions = installed("instructor.core.exceptions")

USER: Any = [{"role": "user", "content": SAID}]


def client(stack: Served, mode: str = "TOOLS", key: str | None = None) -> Any:
    plain = openai.OpenAI(base_url=stack.url, api_key=key or stack.key, max_retries=0)
    return instructor.from_openai(plain, mode=instructor.Mode[mode])


def ask(asked: Any, model: str = CHAT) -> Any:
    return asked.create(model=model, messages=USER, response_model=Weather, max_retries=0)


@pytest.mark.parametrize("mode", ["TOOLS", "JSON_SCHEMA", "RESPONSES_TOOLS"])
def test_structured_output_is_parsed(stack: Served, mode: str) -> None:
    assert isinstance(ask(client(stack, mode)), Weather)


def test_the_call_comes_with_what_it_made(stack: Served) -> None:
    made, completion = client(stack).create_with_completion(
        model=CHAT, messages=USER, response_model=Weather
    )
    assert isinstance(made, Weather)
    assert completion.usage.cost > 0


def test_a_stream_of_parts_becomes_whole(stack: Served) -> None:
    *_, last = client(stack).create_partial(model=CHAT, messages=USER, response_model=Weather)
    Weather.model_validate(last.model_dump())


def test_a_stream_of_many_is_parsed(stack: Served) -> None:
    found = client(stack).create_iterable(model=CHAT, messages=USER, response_model=Weather)
    assert [type(each) for each in found] == [Weather]


async def test_the_asynchronous_client_is_served_alike(stack: Served) -> None:
    async with openai.AsyncOpenAI(base_url=stack.url, api_key=stack.key) as plain:
        assert isinstance(await ask(instructor.from_openai(plain)), Weather)


def test_errors_are_told(stack: Served) -> None:
    limited = stack.limited_key()
    ask(client(stack, key=limited))
    for refused, model, code in (
        (client(stack), UNKNOWN, "model_not_found"),
        (client(stack, key=stack.wrong_key), CHAT, "invalid_api_key"),
        (client(stack, key=limited), CHAT, "rate_limit_exceeded"),
        (client(stack, key=stack.poor_key), CHAT, "insufficient_quota"),
    ):
        with pytest.raises(exceptions.InstructorRetryException, match=code):
            ask(refused, model)
