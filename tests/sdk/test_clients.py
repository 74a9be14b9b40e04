"""Our clients before the whole stack, in the dialects of both services, call by call."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from tests.dialects.served import CHAT, EMBEDDING, SAYS_HELLO, Served
from tests.sdk.conftest import Check
from veneer import sdk
from veneer.sdk import AsyncOpenAI, CallMetadata, OpenAI

ASKED: Any = {"model": CHAT, "messages": SAYS_HELLO}


def test_an_answer_tells_of_its_call(client: OpenAI, check: Check) -> None:
    assert client.last_call() is None
    answer = client.chat.completions.create(**ASKED)
    told = check(client.last_call())
    assert told.request_id == answer._request_id
    assert sdk.parse_receipt(answer) == told.receipt
    assert sdk.parse_routing_metadata(answer) == told.routing
    old = client.completions.create(model=CHAT, prompt="Hello!")
    assert check(client.last_call()).request_id == old._request_id
    response = client.responses.create(model=CHAT, input="Hello!")
    assert check(client.last_call()).request_id == response._request_id
    vectors = client.embeddings.create(model=EMBEDDING, input="Hello!")
    assert vectors.data[0].embedding
    assert sdk.parse_receipt(vectors) == check(client.last_call()).receipt


@pytest.mark.parametrize("options", [{}, {"stream_options": {"include_usage": True}}])
def test_a_stream_tells_of_its_call(client: OpenAI, check: Check, options: Any) -> None:
    calls: tuple[Callable[[], Any], ...] = (
        lambda: client.chat.completions.create(**ASKED, stream=True, **options),
        lambda: client.completions.create(model=CHAT, prompt="Hi!", stream=True, **options),
        lambda: client.responses.create(model=CHAT, input="Hi!", stream=True),
    )
    for call in calls:
        *_, last = stream = call()
        told = check(stream.metadata)
        assert told == client.last_call()
        assert sdk.parse_receipt(last) == told.receipt
        assert sdk.parse_routing_metadata(last) == told.routing


def test_the_clients_own_helpers_for_streams_lose_nothing(client: OpenAI, check: Check) -> None:
    with client.chat.completions.stream(**ASKED) as stream:
        for _ in stream:
            pass
    check(client.last_call())
    with client.chat.completions.stream(**ASKED) as stream:
        stream.get_final_completion()
    check(client.last_call())
    with client.responses.stream(model=CHAT, input="Hello!") as events_:
        assert events_.get_final_response().output_text
    check(client.last_call())


async def test_they_lose_nothing_for_the_asynchronous_client(
    async_client: AsyncOpenAI, check: Check
) -> None:
    async with async_client.chat.completions.stream(**ASKED) as stream:
        await stream.get_final_completion()
    check(async_client.last_call())
    async with async_client.responses.stream(model=CHAT, input="Hello!") as events_:
        await events_.get_final_response()
    check(async_client.last_call())


def test_raw_answers_tell_when_they_are_parsed(client: OpenAI, check: Check) -> None:
    raw = client.chat.completions.with_raw_response.create(**ASKED)
    before = client.last_call()
    assert before is not None
    assert before.receipt is not None
    raw.parse()
    told = check(client.last_call())
    assert (told.request_id, told.receipt and told.receipt.total) == (
        before.request_id,
        before.receipt.total,
    )
    streamed = client.chat.completions.with_raw_response.create(**ASKED, stream=True)
    list(streamed.parse())
    check(client.last_call())
    with client.chat.completions.with_streaming_response.create(**ASKED) as response:
        response.parse()
    check(client.last_call())
    with client.with_streaming_response.chat.completions.create(**ASKED, stream=True) as response:
        list(response.parse())
    check(client.last_call())


async def test_raw_answers_tell_the_asynchronous_client(
    async_client: AsyncOpenAI, check: Check
) -> None:
    raw = await async_client.chat.completions.with_raw_response.create(**ASKED, stream=True)
    assert [chunk async for chunk in raw.parse()]
    check(async_client.last_call())
    asked = async_client.chat.completions.with_streaming_response.create(**ASKED)
    async with asked as response:
        await response.parse()
    check(async_client.last_call())


def test_copies_of_a_client_count_as_the_same(stack: Served, check: Check) -> None:
    told: list[CallMetadata] = []
    with OpenAI(base_url=stack.url, api_key=stack.key, on_response=told.append) as client:
        for copy in (client.with_options(timeout=7), client.copy(max_retries=1)):
            assert isinstance(copy, OpenAI)
            with client.recording() as made:
                copy.chat.completions.create(**ASKED)
            assert check(client.last_call()) == copy.last_call() == made.last == told[-1]
    assert len(told) == 2


async def test_copies_of_an_asynchronous_client_do_too(
    async_client: AsyncOpenAI, check: Check
) -> None:
    await async_client.with_options(timeout=7).chat.completions.create(**ASKED)
    check(async_client.last_call())


async def test_fifty_calls_at_once_each_have_their_own(stack: Served, check: Check) -> None:
    """Every second one is a stream; what is told must be that of the very same answer."""
    told: list[CallMetadata] = []
    async with AsyncOpenAI(
        base_url=stack.url, api_key=stack.key, max_retries=0, on_response=told.append
    ) as client:

        async def made(number: int) -> CallMetadata:
            # As many tokens as its number, so that no two receipts are alike.
            says: Any = [{"role": "user", "content": "a " * (number + 1)}]
            if number % 2:
                answer = await client.chat.completions.create(model=CHAT, messages=says)
                found = check(client.last_call())
                assert found.request_id == answer._request_id
            else:
                stream: Any = await client.chat.completions.create(
                    model=CHAT, messages=says, stream=True
                )
                answer = [chunk async for chunk in stream][-1]
                found = check(client.last_call())
                assert found.request_id == stream.response.headers["x-request-id"]
            assert sdk.parse_receipt(answer) == found.receipt
            assert sdk.parse_routing_metadata(answer) == found.routing
            return found

        with client.recording() as recorded:
            found = await asyncio.gather(*map(made, range(50)))
        assert client.last_call() is None
    totals = [one.receipt.total for one in found if one.receipt is not None]
    assert totals == sorted(set(totals))
    by_id = {one.request_id: one for one in found}
    assert by_id == {one.request_id: one for one in recorded}
    assert by_id == {one.request_id: one for one in told}
    assert len(by_id) == len(recorded) == len(told) == 50
