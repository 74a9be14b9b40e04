"""What Auriko's migration guide promises, to its real client over a socket."""

import json
from collections.abc import AsyncIterator, Iterator
from datetime import datetime
from typing import Any

import httpx
import pytest
from auriko._client import AsyncClient, Client
from auriko.errors.types import BadRequestError

from tests.dialects.auriko_calls import DIALECT, check, client_of
from tests.dialects.served import ALIAS, CHAT, SAYS_HELLO, Served, served

# What its client requires of metadata.
REQUIRED = {"provider", "provider_model_id", "model_canonical", "routing_strategy"}


@pytest.fixture(scope="module")
def stack() -> Iterator[Served]:
    with served(DIALECT) as found:
        yield found


@pytest.fixture
def client(stack: Served) -> Iterator[Client]:
    made = client_of(stack)
    with made._httpx:
        yield made


@pytest.fixture
async def async_client(stack: Served) -> AsyncIterator[AsyncClient]:
    made: Any = AsyncClient(api_key=stack.key, base_url=stack.url, max_retries=0)
    async with made._httpx:
        yield made


def test_chat_tells_how_it_was_routed_and_how_the_caller_stands(client: Any) -> None:
    answer = client.chat.completions.create(model=ALIAS, messages=SAYS_HELLO)
    assert answer.choices[0].message.content
    assert answer.usage.total_tokens > 0
    check(answer.routing_metadata)
    fields = answer.response_headers
    assert fields.request_id.startswith("req_")
    assert fields.rate_limit_limit == 600
    assert 0 <= fields.rate_limit_remaining < 600
    assert datetime.fromisoformat(fields.rate_limit_reset).tzinfo is not None
    assert fields.credits_balance_microdollars > 0
    assert float(fields.get("x-budget-daily-limit")) == 50
    assert float(fields.get("x-budget-daily-spend")) > 0


def test_one_target_takes_what_is_said_of_routing(client: Any) -> None:
    """None of it goes on to the model server, which may refuse members that it does not know."""
    gateway = {"routing": {"max_ttft_ms": 5000, "mode": "pool"}, "metadata": {"tags": ["x"]}}
    answer = client.chat.completions.create(
        model=f"{ALIAS}:tps", messages=SAYS_HELLO, gateway=gateway
    )
    assert answer.routing_metadata.routing_strategy == "tps"
    assert answer.model == ALIAS
    with pytest.raises(BadRequestError) as caught:
        client.chat.completions.create(
            model=ALIAS, messages=SAYS_HELLO, gateway={"routing": {"optimise": "cost"}}
        )
    assert (caught.value.code, caught.value.param) == ("unknown_field", "gateway.routing.optimise")


async def test_the_asynchronous_client_gets_the_same(async_client: Any) -> None:
    answer = await async_client.chat.completions.create(model=CHAT, messages=SAYS_HELLO)
    check(answer.routing_metadata)
    stream = await async_client.chat.completions.create(
        model=CHAT, messages=SAYS_HELLO, stream=True
    )
    assert [chunk async for chunk in stream]
    check(stream.routing_metadata, streamed=True)
    assert stream.usage.total_tokens > 0


def test_a_stream_tells_it_and_its_usage_in_its_last_frame_alone(client: Any) -> None:
    stream = client.chat.completions.create(model=CHAT, messages=SAYS_HELLO, stream=True)
    *before, last = stream
    check(stream.routing_metadata, streamed=True)
    assert stream.usage.total_tokens > 0
    assert last.choices[0].finish_reason == "stop"
    assert last.usage is not None
    assert all(chunk.routing_metadata is None and chunk.usage is None for chunk in before)
    assert all(chunk.id and chunk.created and chunk.model for chunk in (*before, last))


def test_no_healthy_chunk_has_an_error_even_of_null(stack: Served) -> None:
    body = {"model": CHAT, "messages": SAYS_HELLO, "stream": True}
    key = {"authorization": f"Bearer {stack.key}"}
    text = httpx.post(f"{stack.url}/chat/completions", json=body, headers=key).text
    lines = [line for line in text.splitlines() if line]
    assert lines.pop() == "data: [DONE]"
    assert all("error" not in json.loads(line.removeprefix("data: ")) for line in lines)
    assert json.loads(lines[-1].removeprefix("data: "))["routing_metadata"].keys() >= REQUIRED


def test_responses_tell_it_plain_and_streamed(client: Any) -> None:
    plain = client.responses.create(model=CHAT, input="Hello!")
    check(plain.routing_metadata)
    assert plain.output_text
    stream = client.responses.create(model=CHAT, input="Hello!", stream=True)
    *_, last = stream
    assert last.type == "response.completed"
    check(stream.completed_response.routing_metadata, streamed=True)
    assert stream.completed_response.output_text


def test_models_are_listed_with_where_they_answer(client: Any) -> None:
    listed = client.models.list()
    assert listed.catalog_version
    assert listed.catalog_age_seconds >= 0
    for endpoint in ("chat_completions", "responses"):
        rows = client.models.list(endpoint=endpoint).data
        assert {row.id for row in rows} == {CHAT, ALIAS}
        assert endpoint in rows[0].supported_endpoints
    row = client.models.retrieve(CHAT)
    assert row.context_window == 128_000
    assert row.providers is None


def test_me_says_whose_key_it_is(client: Any, stack: Served) -> None:
    me = client.me.get()
    assert (me.key_id, me.status, me.credential_type) == ("some", "active", "api_key")
    assert me.scopes == ["read", "write"]
    assert me.rate_limits.inference_rpm == 600
    assert stack.key not in repr(me)
    headers = {"authorization": f"Bearer {stack.key}"}
    raw = httpx.get(f"{stack.url}/me", headers=headers)
    assert float(raw.headers["x-budget-daily-limit"]) == 50


def test_the_routing_member_of_a_request_harms_nobody(client: Any) -> None:
    answer = client.chat.completions.create(
        model=CHAT, messages=SAYS_HELLO, extra_body={"gateway": {"metadata": {"tags": ["a"]}}}
    )
    check(answer.routing_metadata)


def test_a_replay_tells_how_the_first_was_routed(stack: Served) -> None:
    body = {"model": CHAT, "messages": SAYS_HELLO}
    headers = {"authorization": f"Bearer {stack.key}", "idempotency-key": "replayed"}
    first, second = (
        httpx.post(f"{stack.url}/chat/completions", json=body, headers=headers) for _ in range(2)
    )
    assert second.headers["idempotent-replayed"] == "true"
    assert second.json() == first.json()
    assert first.json()["routing_metadata"].keys() >= REQUIRED


def test_without_prices_metadata_has_no_cost() -> None:
    with served({"name": "auriko"}, prices={}, budgets=[]) as stack:
        client = client_of(stack)
        with client._httpx:
            answer = client.chat.completions.create(model=CHAT, messages=SAYS_HELLO)
            stream = client.chat.completions.create(model=CHAT, messages=SAYS_HELLO, stream=True)
            assert list(stream)
    assert answer.routing_metadata.cost is None
    assert stream.routing_metadata.provider == "demo"
    assert stream.usage.total_tokens > 0
