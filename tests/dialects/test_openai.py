"""OpenAI's way of speaking, as its own client understands it."""

import json

import httpx2
import openai
import pytest

from tests.dialects.openai_client import raised_by
from veneer.dialects import OPENAI, Failure, Kind
from veneer.dialects.dialect import Form


def failure(kind: Kind, request_id: str | None = "req_1") -> Failure:
    return Failure(OPENAI.forms[kind], "Something is wrong.", "model", request_id)


def raised(kind: Kind) -> openai.APIStatusError:
    """Return what the client raises for the response of an error of this kind."""
    failed = failure(kind)
    return raised_by(failed.form.status, OPENAI.body(failed))


@pytest.mark.parametrize("kind", Kind)
def test_every_kind_has_a_form(kind: Kind) -> None:
    form = OPENAI.forms[kind]
    assert 400 <= form.status <= 599


@pytest.mark.parametrize("kind", Kind)
def test_the_envelope_has_the_four_members_of_the_schema(kind: Kind) -> None:
    error = json.loads(OPENAI.body(failure(kind, None)))
    assert list(error) == ["error"]
    assert list(error["error"]) == ["message", "type", "param", "code"]


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (Kind.INVALID_JSON, openai.BadRequestError),
        (Kind.AUTHENTICATION, openai.AuthenticationError),
        (Kind.PERMISSION, openai.PermissionDeniedError),
        (Kind.UNKNOWN_URL, openai.NotFoundError),
        (Kind.NOT_SERVED, openai.NotFoundError),
        (Kind.METHOD_NOT_ALLOWED, openai.APIStatusError),
        (Kind.CONFLICT, openai.ConflictError),
        (Kind.BODY_TOO_LARGE, openai.APIStatusError),
        (Kind.UNPROCESSABLE, openai.UnprocessableEntityError),
        (Kind.REQUESTS_LIMITED, openai.RateLimitError),
        (Kind.TOKENS_LIMITED, openai.RateLimitError),
        (Kind.CONCURRENCY_LIMITED, openai.RateLimitError),
        (Kind.OVER_WHOLE_LIMIT, openai.RateLimitError),
        (Kind.LIMITS_UNAVAILABLE, openai.InternalServerError),
        (Kind.INTERNAL, openai.InternalServerError),
        (Kind.UPSTREAM_TIMEOUT, openai.InternalServerError),
        (Kind.SHUTTING_DOWN, openai.InternalServerError),
    ],
)
def test_the_client_raises_its_own_class(kind: Kind, expected: type[Exception]) -> None:
    error = raised(kind)
    form = OPENAI.forms[kind]

    assert type(error) is expected
    assert (error.code, error.type, error.param) == (form.code, form.type, "model")
    assert error.request_id == "req_1"
    assert "Something is wrong." in str(error)


@pytest.mark.parametrize(
    ("kind", "meter"),
    [
        (Kind.REQUESTS_LIMITED, "requests"),
        (Kind.TOKENS_LIMITED, "tokens"),
        (Kind.CONCURRENCY_LIMITED, "requests"),
        (Kind.OVER_WHOLE_LIMIT, "tokens"),
    ],
)
def test_the_type_of_a_429_names_the_exhausted_meter(kind: Kind, meter: str) -> None:
    assert raised(kind).type == meter


def streamed(event: bytes) -> httpx2.Client:
    response = httpx2.Response(200, content=event, headers={"content-type": "text/event-stream"})
    return httpx2.Client(transport=httpx2.MockTransport(lambda _request: response))


def test_the_error_event_of_a_chat_is_raised_by_the_client() -> None:
    event = OPENAI.event(failure(Kind.UPSTREAM_INTERRUPTED), "chat.completions")
    assert event.startswith(b'data: {"error":{')
    assert event.endswith(b"}}\n\n")
    with (
        streamed(event) as http,
        openai.OpenAI(api_key="k", base_url="http://veneer.test/v1", http_client=http) as client,
        pytest.raises(openai.APIError, match=r"Something is wrong\.") as caught,
    ):
        list(client.chat.completions.create(model="m", messages=[], stream=True))
    assert caught.value.code == "upstream_interrupted"


def test_the_error_event_of_a_response_is_flat_and_named() -> None:
    event = OPENAI.event(failure(Kind.UPSTREAM_INTERRUPTED), "responses")
    assert event.startswith(b"event: error\ndata: {")
    with (
        streamed(event) as http,
        openai.OpenAI(api_key="k", base_url="http://veneer.test/v1", http_client=http) as client,
    ):
        (received,) = client.responses.create(model="m", input="x", stream=True)
    assert received.type == "error"
    assert received.message == "Something is wrong."
    assert received.code == "upstream_interrupted"


def test_a_code_may_be_missing() -> None:
    body = json.loads(OPENAI.body(Failure(Form(500, "server_error"), "x", None, None)))
    assert body["error"] == {"message": "x", "type": "server_error", "param": None, "code": None}
