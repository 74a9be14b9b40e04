"""Streams as they may come over the wire, broken ones, and those that nobody reads to the end."""

import gc
import weakref
from collections.abc import AsyncIterator, Iterator
from decimal import Decimal
from typing import Any

import httpx2
import openai
import pytest
from openai.types.chat import ChatCompletionChunk

from tests.listening import listening
from tests.sdk.scripted import BROKEN, PAID, PLAIN, ROUTED, SAYS, SHAPES, events, says
from tests.sdk.test_routing import REQUIRED
from veneer.sdk import (
    AsyncOpenAI,
    AsyncStream,
    CallMetadata,
    OpenAI,
    Receipt,
    RoutingMetadata,
    Stream,
    UpstreamError,
    map_openai_error,
)
from veneer.sdk.streams import with_metadata

ASKED: Any = {"model": "small", "messages": SAYS, "stream": True}
ROUTING = RoutingMetadata(**REQUIRED)
ALL = CallMetadata(
    status=200,
    request_id="req_1",
    routing=ROUTING,
    receipt=Receipt(total=Decimal(3), unit="usd"),
)
NOTHING = CallMetadata(status=200, request_id="req_1")


class Heard:
    """A server of what is said, both clients before it, and what they were told."""

    def __init__(self, port: int) -> None:
        self.told: list[CallMetadata] = []
        self.options: Any = {
            "base_url": f"http://127.0.0.1:{port}/v1",
            "api_key": "x",
            "max_retries": 0,
            "on_response": self.told.append,
        }


@pytest.fixture
def heard(request: pytest.FixtureRequest) -> Iterator[Heard]:
    with listening(request.param) as port:
        yield Heard(port)


@pytest.fixture
def client(heard: Heard) -> Iterator[OpenAI]:
    with OpenAI(**heard.options) as made:
        yield made


@pytest.fixture
async def async_client(heard: Heard) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(**heard.options) as made:
        yield made


# The route in a chunk before the receipt: not the last one only is read.
WHOLE = events(PLAIN, ROUTED, PLAIN, PAID)
shapes = pytest.mark.parametrize(
    "heard", [shape(WHOLE) for shape in SHAPES.values()], ids=list(SHAPES), indirect=True
)


def said(*parts: bytes) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("heard", [says(*parts)], ids=["scripted"], indirect=True)


@shapes
def test_metadata_survives_every_shape_of_a_stream(heard: Heard, client: OpenAI) -> None:
    stream: Any = client.chat.completions.create(**ASKED)
    assert isinstance(stream, Stream)
    assert stream.metadata == client.last_call() == NOTHING
    assert len(list(stream)) == 4
    assert stream.metadata == client.last_call() == ALL
    assert heard.told == [ALL]


@shapes
async def test_it_survives_for_the_asynchronous_client(
    heard: Heard, async_client: AsyncOpenAI
) -> None:
    stream: Any = await async_client.chat.completions.create(**ASKED)
    assert isinstance(stream, AsyncStream)
    assert stream.metadata == async_client.last_call() == NOTHING
    assert len([chunk async for chunk in stream]) == 4
    assert stream.metadata == async_client.last_call() == ALL
    assert heard.told == [ALL]


@said(events(PLAIN, ROUTED, BROKEN, done=False))
def test_an_error_in_a_stream_ends_it_and_what_was_told_stays(heard: Heard, client: OpenAI) -> None:
    stream: Any = client.chat.completions.create(**ASKED)
    with pytest.raises(openai.APIError) as caught:
        list(stream)
    assert isinstance(map_openai_error(caught.value), UpstreamError)
    assert heard.told == [client.last_call()] == [stream.metadata]
    assert stream.metadata.routing == ROUTING


@said(events(PLAIN, ROUTED, BROKEN, done=False))
async def test_so_it_does_for_the_asynchronous_client(
    heard: Heard, async_client: AsyncOpenAI
) -> None:
    stream: Any = await async_client.chat.completions.create(**ASKED)
    with pytest.raises(openai.APIError) as caught:
        [chunk async for chunk in stream]
    assert isinstance(map_openai_error(caught.value), UpstreamError)
    assert heard.told == [async_client.last_call()] == [stream.metadata]


@said(events(PLAIN, PLAIN, PAID))
def test_a_stream_that_is_left_says_so_when_it_is_closed(heard: Heard, client: OpenAI) -> None:
    with client.chat.completions.create(**ASKED) as stream:
        next(stream)
        assert heard.told == []
    assert heard.told == [NOTHING]
    client.chat.completions.create(**ASKED).close()
    assert heard.told == [NOTHING, NOTHING]


@said(events(PLAIN, PLAIN, PAID))
async def test_an_asynchronous_stream_says_so_too(heard: Heard, async_client: AsyncOpenAI) -> None:
    async with await async_client.chat.completions.create(**ASKED) as stream:
        await anext(stream)
        assert heard.told == []
    assert heard.told == [NOTHING]
    await (await async_client.chat.completions.create(**ASKED)).close()
    assert heard.told == [NOTHING, NOTHING]


@said(events(PLAIN, PAID))
def test_nothing_is_kept_of_a_stream(client: OpenAI, heard: Heard) -> None:
    stream = client.chat.completions.create(**ASKED)
    list(stream)
    gone = weakref.ref(stream.response)
    del stream
    gc.collect()
    assert gone() is None
    assert heard.told == [client.last_call()]


def test_a_stream_that_the_user_made_of_a_response_tells_nothing() -> None:
    response = httpx2.Response(
        200, content=WHOLE, request=httpx2.Request("GET", "http://veneer.test")
    )
    with OpenAI(api_key="x") as client:
        stream = Stream(cast_to=ChatCompletionChunk, response=response, client=client)
        assert len(list(stream)) == 4
    assert stream.metadata is None


def test_a_class_of_the_users_own_stays() -> None:
    class Mine(openai.Stream[str]):
        pass

    assert with_metadata(Mine, openai.Stream, Stream) is Mine
    assert with_metadata(None, openai.Stream, Stream) is None
    assert with_metadata(openai.Stream[str], openai.Stream, Stream) == Stream[str]
    ours = with_metadata(openai.AsyncStream[str], openai.AsyncStream, AsyncStream)
    assert ours == AsyncStream[str]
