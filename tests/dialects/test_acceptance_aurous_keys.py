"""Idempotency keys, as Aurous' migration guide has them, through the real client of OpenAI."""

from collections.abc import Iterator
from typing import Any

import openai
import pytest
from openai import OpenAI

from tests.dialects.served import CHAT, SAYS_HELLO, Served, served


@pytest.fixture(scope="module")
def stack() -> Iterator[Served]:
    with served({"name": "aurous", "error_docs": "https://docs.aurous.test/errors"}) as found:
        yield found


@pytest.fixture
def client(stack: Served) -> Iterator[OpenAI]:
    with OpenAI(base_url=stack.url, api_key=stack.key, max_retries=0) as made:
        yield made


def extra(model: Any) -> dict[str, Any]:
    """Return what an object has besides OpenAI's members."""
    return model.model_extra or {}


@pytest.mark.parametrize(
    "field", ["Idempotency-Key", "Aurous-Idempotent-Key", "Aurous-Idempotency-Key"]
)
def test_a_key_in_any_of_its_fields_replays(client: OpenAI, field: str) -> None:
    create = client.chat.completions.with_raw_response.create
    asked: Any = {"model": CHAT, "messages": SAYS_HELLO, "extra_headers": {field: f"key-{field}"}}
    first, second = create(**asked), create(**asked)
    assert "aurous-idempotent-replayed" not in first.headers
    assert second.headers["aurous-idempotent-replayed"] == "true"
    assert second.text == first.text
    assert second.headers["aurous-request-id"] != first.headers["aurous-request-id"]


def test_a_key_for_another_request_is_in_use_and_not_to_be_tried_again(stack: Served) -> None:
    with OpenAI(base_url=stack.url, api_key=stack.key, max_retries=2) as client:
        headers = {"Idempotency-Key": "used"}
        create = client.chat.completions.create
        create(model=CHAT, messages=SAYS_HELLO, extra_headers=headers)
        with pytest.raises(openai.ConflictError) as caught:
            create(model=CHAT, messages=SAYS_HELLO, n=2, extra_headers=headers)
    assert caught.value.code == "idempotency_key_in_use"
    assert caught.value.response.headers["x-should-retry"] == "false"
    assert "retry-after" not in caught.value.response.headers


@pytest.mark.parametrize(("length", "fits"), [(256, True), (257, False)])
def test_a_key_has_up_to_256_characters(client: OpenAI, length: int, *, fits: bool) -> None:
    headers = {"Idempotency-Key": "k" * length}
    if fits:
        client.chat.completions.create(model=CHAT, messages=SAYS_HELLO, extra_headers=headers)
        return
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model=CHAT, messages=SAYS_HELLO, extra_headers=headers)
    assert caught.value.code == "value_out_of_range"


def test_a_stream_ignores_its_key_and_begins_with_a_warning(client: OpenAI) -> None:
    for _ in range(2):
        with client.chat.completions.with_streaming_response.create(
            model=CHAT,
            messages=SAYS_HELLO,
            stream=True,
            extra_headers={"Idempotency-Key": "streamed"},
        ) as raw:
            assert raw.headers["aurous-idempotency-status"] == "ignored_streaming"
            assert "aurous-idempotent-replayed" not in raw.headers
            first, second, *_ = raw.parse()
        assert first.choices == []
        assert extra(first)["warning"]["code"] == "idempotency_ignored_streaming"
        assert (first.id, first.created, first.model) == (
            second.id,
            second.created,
            second.model,
        )


def test_the_warning_disturbs_no_helper_of_the_client(client: OpenAI) -> None:
    with client.chat.completions.stream(
        model=CHAT, messages=SAYS_HELLO, extra_headers={"Idempotency-Key": "helped"}
    ) as stream:
        stream.until_done()
        final = stream.get_final_completion()
    assert final.choices[0].message.content
    assert extra(final.usage)["credits_charged"] > 0
