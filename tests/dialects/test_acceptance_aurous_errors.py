"""Errors and refusals in Aurous' words, as the real client of OpenAI takes them."""

from collections.abc import Callable, Iterator
from typing import Any

import openai
import pytest
from openai import OpenAI

from tests.dialects.served import CHAT, SAYS_HELLO, Served, served

NOT_SERVED = [
    "images",
    "speech",
    "transcriptions",
    "fine-tuning",
    "threads",
    "assistants",
    "files",
    "batches",
]


@pytest.fixture(scope="module")
def stack() -> Iterator[Served]:
    with served({"name": "aurous", "error_docs": "https://docs.aurous.test/errors"}) as found:
        yield found


@pytest.fixture
def client(stack: Served) -> Iterator[OpenAI]:
    with OpenAI(base_url=stack.url, api_key=stack.key, max_retries=0) as made:
        yield made


def test_an_error_has_the_id_of_its_response_and_its_page(client: OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        client.chat.completions.create(model="nobody-knows-it", messages=SAYS_HELLO)
    error = caught.value
    assert (error.type, error.code, error.param) == ("not_found", "model_not_found", "model")
    body: Any = error.body
    assert body["request_id"] == error.response.headers["aurous-request-id"]
    assert body["doc_url"] == "https://docs.aurous.test/errors#model_not_found"


def test_a_version_that_is_asked_for_is_echoed_and_an_unknown_one_refused(client: OpenAI) -> None:
    known = client.models.with_raw_response.list(extra_headers={"Aurous-Version": "2026-05-15"})
    assert known.headers["aurous-version"] == "2026-05-15"
    for version in ("1999-01-01", "yesterday"):
        with pytest.raises(openai.BadRequestError) as caught:
            client.models.list(extra_headers={"Aurous-Version": version})
        assert (caught.value.type, caught.value.code) == ("invalid_request", "unknown_version")
        assert caught.value.response.headers["aurous-version"] == "2026-05-15"


Ask = Callable[[OpenAI], object]


@pytest.mark.parametrize(
    "ask",
    [
        lambda client: client.images.generate(model="dall-e-3", prompt="A cat."),
        lambda client: client.audio.speech.create(model="tts-1", voice="alloy", input="Hello!"),
        lambda client: client.audio.transcriptions.create(model="whisper-1", file=("a.wav", b"a")),
        lambda client: client.fine_tuning.jobs.list(),
        lambda client: client.post("/threads", cast_to=object, body={}),
        lambda client: client.get("/assistants", cast_to=object),
        lambda client: client.files.list(),
        lambda client: client.batches.list(),
    ],
    ids=NOT_SERVED,
)
def test_what_is_not_served_says_so_and_what_is(client: OpenAI, ask: Ask) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        ask(client)
    error = caught.value
    assert (error.type, error.code) == ("not_found", "operation_not_served")
    assert "is not served here. What is: chat.completions, " in error.message
    assert "images" not in error.message.partition("What is")[2]


def test_an_operator_may_serve_images_all_the_same() -> None:
    allowed = {"allow": ["images.generations"]}
    with (
        served({"name": "aurous"}, operations=allowed) as stack,
        OpenAI(base_url=stack.url, api_key=stack.key, max_retries=0) as client,
        pytest.raises(openai.APIStatusError) as caught,
    ):
        client.images.generate(model=CHAT, prompt="A cat.")
    # It is the model that makes none.
    assert caught.value.code != "operation_not_served"


def test_who_asks_too_often_is_told_when_to_come_again(stack: Served) -> None:
    with OpenAI(base_url=stack.url, api_key=stack.limited_key(), max_retries=0) as client:
        client.chat.completions.create(model=CHAT, messages=SAYS_HELLO)
        with pytest.raises(openai.RateLimitError) as caught:
            client.chat.completions.create(model=CHAT, messages=SAYS_HELLO)
    error = caught.value
    assert (error.type, error.code) == ("rate_limit", "too_many_requests")
    wait = error.response.headers["retry-after"]
    said: Any = error.body
    assert said["message"] == (
        f"Rate limit exceeded for chat_completions_post. Retry after {wait}s."
    )


@pytest.mark.parametrize(
    ("key", "code", "kind"),
    [
        (Served.wrong_key, "invalid_api_key", openai.AuthenticationError),
        (Served.poor_key, "balance_too_low", openai.APIStatusError),
    ],
)
def test_who_may_not_call_is_told_why(
    stack: Served, key: str, code: str, kind: type[openai.APIStatusError]
) -> None:
    with (
        OpenAI(base_url=stack.url, api_key=key, max_retries=0) as client,
        pytest.raises(kind) as caught,
    ):
        client.chat.completions.create(model=CHAT, messages=SAYS_HELLO)
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("method", "path", "status", "kind", "code"),
    [
        ("GET", "/nowhere", 404, "not_found", "resource_not_found"),
        ("DELETE", "/chat/completions", 403, "authentication", "missing_scope"),
        ("GET", "/chat/completions", 405, "invalid_request", "method_not_allowed"),
        ("POST", "/me", 405, "invalid_request", "method_not_allowed"),
    ],
)
def test_errors_of_paths_and_methods_are_in_its_words(  # noqa: PLR0913, PLR0917 - a table's row
    client: OpenAI, method: str, path: str, status: int, kind: str, code: str
) -> None:
    call: Any = {"GET": client.get, "POST": client.post, "DELETE": client.delete}[method]
    with pytest.raises(openai.APIStatusError) as caught:
        call(path, cast_to=object)
    error = caught.value
    assert (error.status_code, error.type, error.code) == (status, kind, code)


def test_a_body_too_large_is_refused_in_its_words(client: OpenAI) -> None:
    messages: Any = [{"role": "user", "content": "x" * 100_000}]
    with pytest.raises(openai.APIStatusError) as caught:
        client.chat.completions.create(model=CHAT, messages=messages)
    assert (caught.value.status_code, caught.value.code) == (413, "request_too_large")


def test_a_request_that_its_upstream_refuses_is_refused_in_its_words(client: OpenAI) -> None:
    messages: Any = [{"role": "nobody", "content": "Hello!"}]
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model=CHAT, messages=messages)
    assert caught.value.type == "invalid_request"
    assert caught.value.param == "messages[0].role"
