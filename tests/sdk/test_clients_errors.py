"""Errors of calls to the whole stack, in the dialects of both services: typed, and told."""

from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest

from tests.dialects.served import CHAT, SAYS_HELLO, Served
from tests.listening import listening
from tests.sdk.conftest import ID
from tests.sdk.scripted import PLAIN, breaks, events
from veneer import sdk
from veneer.config import build, parse
from veneer.sdk import AsyncOpenAI, CallMetadata, OpenAI, map_openai_error

ASKED: Any = {"model": CHAT, "messages": SAYS_HELLO}


@pytest.mark.parametrize(
    ("key", "asked", "kind", "param"),
    [
        (Served.wrong_key, {}, sdk.AuthenticationError, None),
        (Served.spent_key, {}, sdk.BudgetExhaustedError, None),
        (Served.key, {"model": "nobody"}, sdk.NotFoundError, "model"),
        (Served.key, {"stream": 1}, sdk.BadRequestError, "stream"),
        (Served.key, {"user": "x" * 100_000}, sdk.BadRequestError, None),
    ],
)
def test_errors_are_typed_and_told(
    client: OpenAI, key: str, asked: Any, kind: type[sdk.VeneerAPIError], param: str | None
) -> None:
    with pytest.raises(openai.APIStatusError) as caught:
        client.with_options(api_key=key).chat.completions.create(**ASKED | asked)
    mapped = map_openai_error(caught.value)
    assert type(mapped) is kind
    assert (mapped.status, mapped.param) == (caught.value.status_code, param)
    assert mapped.code
    told = client.last_call()
    assert told is not None
    assert (told.status, told.request_id) == (mapped.status, mapped.request_id)
    assert ID(mapped.request_id or "")
    assert (told.routing, told.receipt) == (None, None)


def test_a_limit_says_when_to_try_again(stack: Served, client: OpenAI) -> None:
    limited = client.with_options(api_key=stack.limited_key())
    limited.chat.completions.create(**ASKED)
    with pytest.raises(openai.RateLimitError) as caught:
        limited.chat.completions.create(**ASKED)
    mapped = map_openai_error(caught.value)
    assert type(mapped) is sdk.RateLimitError
    assert 0 < (mapped.retry_after_seconds or 0) <= 60


def test_nobody_there_is_a_connection_error_and_no_last_call(client: OpenAI) -> None:
    client.chat.completions.create(**ASKED)
    with listening(breaks()) as port:
        pass
    away = client.with_options(base_url=f"http://127.0.0.1:{port}/v1")
    with pytest.raises(openai.APIConnectionError) as caught:
        away.chat.completions.create(**ASKED)
    assert type(map_openai_error(caught.value)) is sdk.APIConnectionError
    assert client.last_call() is None


@pytest.fixture
def broken(dialect: str) -> Iterator[str]:
    """Serve a stack before a model server that dies in the middle of a stream; give its URL."""
    with listening(breaks(events(PLAIN, PLAIN, done=False))) as port:
        settings = {
            "dialect": {"name": dialect},
            "upstream": {"url": f"http://127.0.0.1:{port}/v1"},
            "log": {"enabled": False},
        }
        with listening(build(parse(settings))) as here:
            yield f"http://127.0.0.1:{here}/v1"


def test_a_stream_that_breaks_is_an_error_of_the_upstream(broken: str) -> None:
    told: list[CallMetadata] = []
    with OpenAI(base_url=broken, api_key="x", max_retries=0, on_response=told.append) as client:
        stream = client.chat.completions.create(**ASKED, stream=True)
        with pytest.raises(openai.APIError) as caught:
            list(stream)
        mapped = map_openai_error(caught.value)
        assert type(mapped) is sdk.UpstreamError
        assert mapped.status is None
        found = client.last_call()
        assert found is not None
        assert found.request_id == mapped.request_id
        assert told == [found]


async def test_it_is_one_for_the_asynchronous_client(broken: str) -> None:
    async with AsyncOpenAI(base_url=broken, api_key="x", max_retries=0) as client:
        stream = await client.chat.completions.create(**ASKED, stream=True)
        with pytest.raises(openai.APIError) as caught:
            [chunk async for chunk in stream]
        mapped = map_openai_error(caught.value)
        assert type(mapped) is sdk.UpstreamError
        found = client.last_call()
        assert found is not None
        assert found.request_id == mapped.request_id


def test_a_broken_stream_of_the_responses_api_ends_with_an_event_that_is_mapped(
    broken: str,
) -> None:
    """OpenAI's client gives the event to its user, and raises for the cut only."""
    seen: list[object] = []
    with OpenAI(base_url=broken, api_key="x", max_retries=0) as client:
        stream = client.responses.create(model=CHAT, input="Hello!", stream=True)
        with pytest.raises((openai.APIConnectionError, httpx.TransportError)) as caught:
            seen.extend(stream)
        assert type(map_openai_error(caught.value)) is sdk.APIConnectionError
        mapped = map_openai_error(seen[-1])
        assert type(mapped) is sdk.UpstreamError
        found = client.last_call()
        assert found is not None
        assert found.request_id == mapped.request_id
