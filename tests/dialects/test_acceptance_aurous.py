"""What Aurous' migration guide promises, to the real client of OpenAI over a socket."""

import re
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from openai import AsyncOpenAI, OpenAI

from tests.dialects.served import ALIAS, CHAT, EMBEDDING, SAYS_HELLO, Served, served
from veneer.auth.static import digest_of

ID = re.compile(r"req_[0-9A-HJKMNP-TV-Z]{26}").fullmatch
TOOL: Any = {
    "type": "function",
    "function": {
        "name": "weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
}
SCHEMA: Any = {
    "type": "json_schema",
    "json_schema": {
        "name": "answer",
        "strict": True,
        "schema": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
            "additionalProperties": False,
        },
    },
}


@pytest.fixture(scope="module")
def stack() -> Iterator[Served]:
    with served({"name": "aurous", "error_docs": "https://docs.aurous.test/errors"}) as found:
        yield found


@pytest.fixture
def client(stack: Served) -> Iterator[OpenAI]:
    with OpenAI(base_url=stack.url, api_key=stack.key, max_retries=0) as made:
        yield made


@pytest.fixture
async def async_client(stack: Served) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(base_url=stack.url, api_key=stack.key, max_retries=0) as made:
        yield made


def extra(model: Any) -> dict[str, Any]:
    """Return what an object has besides OpenAI's members."""
    return model.model_extra or {}


def parts_of(usage: Any) -> float:
    breakdown: dict[str, Any] = extra(usage)["breakdown"]
    return float(sum(value for name, value in breakdown.items() if name.endswith("_credits")))


def test_two_lines_are_enough_for_chat(client: OpenAI) -> None:
    answer = client.chat.completions.create(model=ALIAS, messages=SAYS_HELLO)
    assert answer.choices[0].message.content
    assert answer.model == ALIAS
    assert extra(answer.usage)["credits_charged"] > 0
    assert parts_of(answer.usage) == pytest.approx(extra(answer.usage)["credits_charged"])
    assert set(extra(answer.usage)["breakdown"]) == {
        "input_credits",
        "output_credits",
        "model",
        "pricing_version",
    }


async def test_two_lines_are_enough_for_asynchronous_chat(async_client: AsyncOpenAI) -> None:
    answer = await async_client.chat.completions.create(model=CHAT, messages=SAYS_HELLO)
    assert extra(answer.usage)["credits_charged"] > 0


def test_the_chunk_that_finishes_a_stream_carries_the_receipt_unasked(client: OpenAI) -> None:
    stream = client.chat.completions.create(model=CHAT, messages=SAYS_HELLO, stream=True)
    *before, last = stream
    assert last.choices[0].finish_reason == "stop"
    assert extra(last.usage)["credits_charged"] > 0
    assert parts_of(last.usage) == pytest.approx(extra(last.usage)["credits_charged"])
    assert all(chunk.usage is None for chunk in before)


async def test_who_asks_for_usage_gets_openais_extra_chunk(async_client: AsyncOpenAI) -> None:
    stream = await async_client.chat.completions.create(
        model=CHAT, messages=SAYS_HELLO, stream=True, stream_options={"include_usage": True}
    )
    *_, finish, last = [chunk async for chunk in stream]
    assert finish.choices[0].finish_reason == "stop"
    assert finish.usage is None
    assert last.choices == []
    assert extra(last.usage)["credits_charged"] > 0


def test_without_prices_streams_show_their_usage_all_the_same() -> None:
    with (
        served({"name": "aurous"}, prices={}, budgets=[]) as stack,
        OpenAI(base_url=stack.url, api_key=stack.key) as client,
    ):
        *_, last = client.chat.completions.create(model=CHAT, messages=SAYS_HELLO, stream=True)
        assert last.choices[0].finish_reason == "stop"
        assert last.usage is not None
        assert last.usage.total_tokens > 0
        assert extra(last.usage) == {}


def test_responses_carry_receipts_plain_and_streamed(client: OpenAI) -> None:
    plain = client.responses.create(model=CHAT, input="Hello!", store=False)
    assert extra(plain.usage)["credits_charged"] > 0
    *_, last = client.responses.create(model=CHAT, input="Hello!", store=False, stream=True)
    assert last.type == "response.completed"
    assert extra(last.response.usage)["credits_charged"] > 0


@pytest.mark.parametrize(
    "choice",
    ["none", "auto", "required", {"type": "function", "function": {"name": "weather"}}],
    ids=str,
)
def test_every_shape_of_tool_choice_is_taken(client: OpenAI, choice: Any) -> None:
    answer = client.chat.completions.create(
        model=CHAT, messages=SAYS_HELLO, tools=[TOOL], tool_choice=choice
    )
    called = answer.choices[0].message.tool_calls or []
    if choice == "none":
        assert called == []
    elif choice != "auto":
        assert [call.function.name for call in called if call.type == "function"] == ["weather"]


@pytest.mark.parametrize("form", [{"type": "json_object"}, SCHEMA], ids=lambda form: form["type"])
def test_structured_output_is_taken(client: OpenAI, form: Any) -> None:
    answer = client.chat.completions.create(model=CHAT, messages=SAYS_HELLO, response_format=form)
    assert (answer.choices[0].message.content or "").startswith("{")


def test_images_in_messages_are_taken(client: OpenAI) -> None:
    parts: Any = [
        {"type": "text", "text": "What is it?"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}},
    ]
    answer = client.chat.completions.create(
        model=CHAT, messages=[{"role": "user", "content": parts}]
    )
    assert answer.choices[0].message.content


def test_embeddings_carry_receipts_by_modality(client: OpenAI) -> None:
    answer = client.embeddings.create(model=EMBEDDING, input="Hello!")
    assert answer.data[0].embedding
    breakdown = extra(answer.usage)["breakdown"]
    assert set(breakdown["input"]) == {"text", "visual", "video"}
    assert breakdown["model"] == EMBEDDING


def test_models_are_listed_with_their_kind_and_rates(client: OpenAI) -> None:
    rows = {row.id: extra(row) for row in client.models.list()}
    assert set(rows) == {CHAT, ALIAS, EMBEDDING}
    chat, embedding = rows[CHAT], rows[EMBEDDING]
    assert (chat["kind"], embedding["kind"]) == ("chat", "embedding")
    assert chat["aurous_metadata"]["context_window"] == 128_000
    assert "vision" in chat["aurous_metadata"]["capabilities"]
    assert chat["chat_pricing"]["input"]["credits_per_M"] > 0
    assert chat["embedding_pricing"] is None
    assert embedding["aurous_metadata"]["dimensions"] == [1536]
    assert embedding["embedding_pricing"]["text"]["credits_per_M"] > 0
    assert extra(client.models.retrieve(CHAT))["kind"] == "chat"


def test_every_response_has_the_promised_fields(client: OpenAI) -> None:
    raw = client.chat.completions.with_raw_response.create(model=CHAT, messages=SAYS_HELLO)
    fields = raw.headers
    assert ID(fields["aurous-request-id"])
    assert fields["x-request-id"] == fields["aurous-request-id"]
    assert fields["aurous-version"] == "2026-05-15"
    assert "openai-processing-ms" in fields
    for name in ("", "-tpm"):
        assert int(fields[f"x-ratelimit{name}-limit"]) > int(fields[f"x-ratelimit{name}-remaining"])
        assert int(fields[f"x-ratelimit{name}-reset"]) > 1_700_000_000
    for name in ("requests", "tokens"):
        assert re.fullmatch(r"[0-9hms.]+", fields[f"x-ratelimit-reset-{name}"])
    assert float(fields["aurous-credits-charged"]) > 0
    assert float(fields["aurous-credits-available"]) > 0


def test_a_stream_has_them_too(client: OpenAI) -> None:
    with client.chat.completions.with_streaming_response.create(
        model=CHAT, messages=SAYS_HELLO, stream=True
    ) as raw:
        assert ID(raw.headers["aurous-request-id"])
        assert raw.headers["aurous-version"] == "2026-05-15"
        assert "x-ratelimit-tpm-remaining" in raw.headers
        raw.read()


def test_a_key_is_told_whose_it_is(client: OpenAI, stack: Served) -> None:
    me: Any = client.get("/me", cast_to=object)
    assert me["id"] == "some"
    assert me["scopes"] == ["read", "write"]
    assert me["requests_per_minute"] == 600
    assert stack.key not in str(me)


def test_a_teams_keys_have_its_version_unless_they_ask_for_one() -> None:
    old, new = "2026-01-01", "2026-05-15"
    dialect = {"name": "aurous", "versions": [new, old], "team_versions": {"some-team": old}}
    keys = [{"id": "some", "digest": digest_of(Served.key), "team": "some-team"}]
    with (
        served(dialect, auth={"keys": keys}) as stack,
        OpenAI(base_url=stack.url, api_key=stack.key, max_retries=0) as client,
    ):
        ask = client.models.with_raw_response.list
        assert ask().headers["aurous-version"] == old
        asked = ask(extra_headers={"Aurous-Version": new})
        assert asked.headers["aurous-version"] == new
        body: Any = {"model": CHAT, "messages": SAYS_HELLO, "stream": True}
        with client.chat.completions.with_streaming_response.create(**body) as raw:
            assert raw.headers["aurous-version"] == old
            raw.read()


def test_another_brand_is_in_every_name() -> None:
    with (
        served({"name": "aurous", "brand": "Acme", "versions": ["2026-01-01"]}) as stack,
        OpenAI(base_url=stack.url, api_key=stack.key, max_retries=0) as client,
    ):
        headers = {"Acme-Idempotent-Key": "k", "Acme-Version": "2026-01-01"}
        for _ in range(2):
            raw = client.chat.completions.with_raw_response.create(
                model=CHAT, messages=SAYS_HELLO, extra_headers=headers
            )
        names = {name for name in raw.headers if name.startswith("acme-")}
        assert names >= {"acme-request-id", "acme-version", "acme-idempotent-replayed"}
        raw = client.chat.completions.with_raw_response.create(model=CHAT, messages=SAYS_HELLO)
        assert {"acme-credits-charged", "acme-credits-available"} <= set(raw.headers)
        assert "acme_metadata" in extra(client.models.retrieve(CHAT))
        assert not any("aurous" in name for name in raw.headers)
