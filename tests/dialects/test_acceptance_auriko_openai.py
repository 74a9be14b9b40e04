"""OpenAI's real client before Auriko's dialect, with the helpers that Auriko has for it."""

from collections.abc import Iterator
from typing import Any

import httpx2
import openai
import pytest
from auriko._openai_client import AurikoAsyncOpenAI, _MetadataCapturingStream
from auriko.errors import types
from auriko.errors.mapping import map_openai_error
from auriko.errors.types import AurikoAPIError
from auriko.route_types import parse_routing_metadata
from openai import AsyncOpenAI, OpenAI

from tests.dialects.auriko_calls import DIALECT, check
from tests.dialects.served import CHAT, SAYS_HELLO, Served, served


@pytest.fixture(scope="module")
def stack() -> Iterator[Served]:
    with served(DIALECT) as found:
        yield found


@pytest.fixture
def openai_client(stack: Served) -> Iterator[OpenAI]:
    with OpenAI(base_url=stack.url, api_key=stack.key, max_retries=0) as made:
        yield made


def test_openais_client_does_not_try_it_again_either(stack: Served) -> None:
    with (
        OpenAI(base_url=stack.url, api_key=stack.spent_key, max_retries=2) as client,
        pytest.raises(openai.RateLimitError) as caught,
    ):
        client.chat.completions.create(model=CHAT, messages=SAYS_HELLO)
    assert caught.value.response.request.headers["x-stainless-retry-count"] == "0"
    assert caught.value.response.headers["x-should-retry"] == "false"


def test_metadata_can_be_parsed_of_all_that_openais_client_gives(openai_client: OpenAI) -> None:
    create = openai_client.chat.completions.create
    check(parse_routing_metadata(create(model=CHAT, messages=SAYS_HELLO)))
    *before, last = create(model=CHAT, messages=SAYS_HELLO, stream=True)
    check(parse_routing_metadata(last), streamed=True)
    assert not any(map(parse_routing_metadata, before))
    respond = openai_client.responses.create
    check(parse_routing_metadata(respond(model=CHAT, input="Hello!")))
    *_, done = respond(model=CHAT, input="Hello!", stream=True)
    assert done.type == "response.completed"
    check(parse_routing_metadata(done.response), streamed=True)
    assert done.response.output_text


def test_who_asks_for_usage_finds_metadata_beside_it(openai_client: OpenAI) -> None:
    *_, finish, last = openai_client.chat.completions.create(
        model=CHAT, messages=SAYS_HELLO, stream=True, stream_options={"include_usage": True}
    )
    assert (finish.usage, parse_routing_metadata(finish)) == (None, None)
    assert last.choices == []
    assert last.usage is not None
    check(parse_routing_metadata(last), streamed=True)


async def test_metadata_is_there_for_the_asynchronous_client(stack: Served) -> None:
    async with AsyncOpenAI(base_url=stack.url, api_key=stack.key, max_retries=0) as client:
        answer = await client.chat.completions.create(model=CHAT, messages=SAYS_HELLO)
    check(parse_routing_metadata(answer))


@pytest.mark.parametrize(
    ("path", "body", "kind"),
    [
        ("/chat/completions", {"model": "nobody"}, types.NotFoundError),
        ("/chat/completions", {"model": CHAT, "stream": 1}, types.BadRequestError),
        ("/chat/completions", {"model": CHAT, "user": "x" * 100_000}, types.BadRequestError),
        ("/nowhere", {}, types.NotFoundError),
    ],
)
def test_openais_errors_map_to_its_own(
    openai_client: OpenAI, path: str, body: dict[str, Any], kind: type[AurikoAPIError]
) -> None:
    with pytest.raises(openai.APIStatusError) as caught:
        openai_client.post(path, cast_to=object, body=body)
    mapped: AurikoAPIError = map_openai_error(caught.value)
    assert type(mapped) is kind
    assert mapped.code != "malformed_response"
    assert (mapped.request_id or "").startswith("req_")


class Capturing(_MetadataCapturingStream, httpx2.AsyncByteStream):
    """Its stream, which is httpx's, as one that today's client of OpenAI takes, too."""


async def test_the_bridge_keeps_the_last_metadata(
    stack: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("auriko._openai_client._MetadataCapturingStream", Capturing)
    told: list[Any] = []
    async with AurikoAsyncOpenAI(
        api_key=stack.key, base_url=stack.url, on_response=told.append, max_retries=0
    ) as client:
        await client.chat.completions.create(model=CHAT, messages=SAYS_HELLO)
        check(client.last_routing_metadata)
        asked: tuple[Any, ...] = ({}, {"stream_options": {"include_usage": True}})
        for options in asked:
            stream: Any = await client.chat.completions.create(
                model=CHAT,
                messages=SAYS_HELLO,
                stream=True,
                **options,
            )
            async for _ in stream:
                pass
            check(client.last_routing_metadata, streamed=True)
        events = await client.responses.create(model=CHAT, input="Hello!", stream=True)
        async for _ in events:
            pass
        check(client.last_routing_metadata, streamed=True)
    assert len(told) == 4


@pytest.mark.parametrize(
    ("key", "model", "of_auriko", "of_openai"),
    [
        (Served.key, "nobody", types.NotFoundError, openai.NotFoundError),
        (Served.wrong_key, CHAT, types.AuthenticationError, openai.AuthenticationError),
        (Served.spent_key, CHAT, types.RateLimitError, openai.RateLimitError),
    ],
)
async def test_the_bridge_raises_errors_of_both(
    stack: Served, key: str, model: str, of_auriko: Any, of_openai: Any
) -> None:
    async with AurikoAsyncOpenAI(api_key=key, base_url=stack.url, max_retries=0) as client:
        with pytest.raises(of_auriko) as caught:
            await client.chat.completions.create(model=model, messages=SAYS_HELLO)
        assert client.last_routing_metadata is None
    assert isinstance(caught.value, of_openai)


def test_responses_are_not_stored(openai_client: OpenAI) -> None:
    assert openai_client.responses.create(model=CHAT, input="Hello!", store=False).output_text
    with pytest.raises(openai.BadRequestError) as caught:
        openai_client.responses.create(model=CHAT, input="Hello!", store=True)
    assert (caught.value.code, caught.value.param) == ("invalid_parameter_value", "store")
