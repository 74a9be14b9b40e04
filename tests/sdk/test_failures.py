"""Errors of OpenAI's client, as typed ones: of all dialects, in answers and in streams."""

import pickle
from collections.abc import Mapping
from typing import Any

import httpx
import httpx2
import msgspec
import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.responses import Response, ResponseErrorEvent, ResponseFailedEvent

from tests.dialects.openai_client import raised_by
from tests.sdk.test_routing import JSON
from veneer import sdk
from veneer.dialects import OPENAI, Dialect, Failure, Form, Kind
from veneer.dialects.auriko import auriko
from veneer.dialects.aurous import aurous
from veneer.sdk import map_openai_error

DOCS = "https://docs.test"
REQUEST = httpx2.Request("POST", "http://veneer.test/v1/chat/completions")
DIALECTS = (OPENAI, aurous(docs=DOCS), auriko(docs=DOCS))
ALL = [(dialect, kind) for dialect in DIALECTS for kind in Kind]

BY_STATUS = {
    400: sdk.BadRequestError,
    401: sdk.AuthenticationError,
    402: sdk.BudgetExhaustedError,
    403: sdk.PermissionDeniedError,
    404: sdk.NotFoundError,
    405: sdk.BadRequestError,
    408: sdk.APITimeoutError,
    409: sdk.ConflictError,
    410: sdk.NotFoundError,
    413: sdk.BadRequestError,
    415: sdk.BadRequestError,
    422: sdk.BadRequestError,
    429: sdk.RateLimitError,
    500: sdk.InternalServerError,
    502: sdk.UpstreamError,
    503: sdk.UpstreamError,
    504: sdk.APITimeoutError,
    529: sdk.UpstreamError,
}
SPENT = (Kind.BUDGET_EXHAUSTED, Kind.BALANCE_TOO_LOW)


def failure(form: Form) -> Failure:
    return Failure(form=form, message="It went wrong.", param="model", request_id="req_2")


def mid_stream(body: object) -> openai.APIError:
    return openai.APIError("It broke.", REQUEST, body=body)


@pytest.mark.parametrize(
    ("dialect", "kind"), ALL, ids=[f"{dialect.name}-{kind.name}" for dialect, kind in ALL]
)
def test_every_failure_of_every_dialect_has_its_type(dialect: Dialect, kind: Kind) -> None:
    form = dialect.forms[kind]
    mapped = map_openai_error(raised_by(form.status, dialect.body(failure(form))))
    spent = kind in SPENT or form.code == "insufficient_quota"
    assert type(mapped) is (sdk.BudgetExhaustedError if spent else BY_STATUS[form.status])
    assert (mapped.status, mapped.type, mapped.code) == (form.status, form.type, form.code)
    assert (mapped.param, mapped.request_id) == ("model", "req_2")
    assert (mapped.doc_url or DOCS).startswith(DOCS)
    assert mapped.message == failure(form).said


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
@pytest.mark.parametrize(
    "kind",
    [
        Kind.INVALID_VALUE,
        Kind.REQUESTS_LIMITED,
        Kind.BUDGET_EXHAUSTED,
        Kind.UPSTREAM_INTERRUPTED,
        Kind.UPSTREAM_TIMEOUT,
        Kind.INTERNAL,
    ],
)
def test_inside_a_stream_code_or_type_say_the_same(dialect: Dialect, kind: Kind) -> None:
    form = dialect.forms[kind]
    said = msgspec.json.decode(dialect.body(failure(form)))["error"]
    mapped = map_openai_error(mid_stream(said))
    whole = map_openai_error(raised_by(form.status, dialect.body(failure(form))))
    assert type(mapped) is type(whole)
    assert mapped.status is None
    assert (mapped.code, mapped.param, mapped.request_id) == (form.code, "model", "req_2")


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ({"type": "rate_limit_error"}, sdk.RateLimitError),
        ({"type": "invalid_request_error", "code": "never_heard"}, sdk.BadRequestError),
        ({"type": "authentication_error"}, sdk.AuthenticationError),
        ({"type": "not_found_error"}, sdk.NotFoundError),
        ({"type": "permission_error"}, sdk.PermissionDeniedError),
        ({"type": "overloaded_error"}, sdk.UpstreamError),
        ({"type": "api_error", "code": "no_provider_available"}, sdk.UpstreamError),
        ({"type": "api_error", "code": "model_unavailable"}, sdk.UpstreamError),
        ({"type": "api_error", "code": "stream_duration_exceeded"}, sdk.APITimeoutError),
        ({"type": "insufficient_quota"}, sdk.BudgetExhaustedError),
        # OpenRouter's way: the status is the code.
        ({"code": 502, "message": "Provider returned error"}, sdk.UpstreamError),
        ({"code": 402}, sdk.BudgetExhaustedError),
        ({"code": 7}, sdk.InternalServerError),
        ("out of memory", sdk.InternalServerError),
        (None, sdk.InternalServerError),
        ([], sdk.InternalServerError),
    ],
)
def test_errors_in_streams_of_others_are_typed(said: object, kind: type[Exception]) -> None:
    assert type(map_openai_error(mid_stream(said))) is kind


@pytest.mark.parametrize("body", [b"", b"Not here", b'{"detail":"Not here"}', b"[]", b"null"])
@pytest.mark.parametrize("status", BY_STATUS)
def test_bodies_of_no_dialect_are_typed_by_status(status: int, body: bytes) -> None:
    mapped = map_openai_error(raised_by(status, body))
    assert type(mapped) is BY_STATUS[status]
    assert (mapped.code, mapped.request_id) == (None, "req_1")
    assert "Not here" in mapped.message or str(status) in mapped.message


def test_a_whole_envelope_and_one_that_is_a_string_are_opened() -> None:
    within = map_openai_error(mid_stream({"error": {"code": "model_not_found"}}))
    assert type(within) is sdk.NotFoundError
    assert map_openai_error(raised_by(400, b'{"error":"bad"}')).message


def test_no_answer_is_a_connection_error_and_a_late_one_a_timeout() -> None:
    lost = map_openai_error(openai.APIConnectionError(request=REQUEST))
    late = map_openai_error(openai.APITimeoutError(request=REQUEST))
    assert (type(lost), lost.status) == (sdk.APIConnectionError, None)
    assert (type(late), late.status) == (sdk.APITimeoutError, None)
    assert late.message == "Request timed out."


def test_so_is_what_breaks_off_under_an_older_client() -> None:
    assert type(map_openai_error(httpx.ReadError("cut"))) is sdk.APIConnectionError
    assert type(map_openai_error(httpx.ReadTimeout("late"))) is sdk.APITimeoutError


def test_events_of_the_responses_api_are_mapped() -> None:
    flat = ResponseErrorEvent.construct(
        type="error", code="rate_limit_exceeded", message="Slowly.", param=None, request_id="req_3"
    )
    mapped = map_openai_error(flat)
    assert type(mapped) is sdk.RateLimitError
    assert (mapped.message, mapped.type, mapped.request_id) == ("Slowly.", None, "req_3")
    error = {"code": "server_error", "message": "Sorry."}
    failed = ResponseFailedEvent.construct(response=Response.construct(error=error))
    mapped = map_openai_error(failed)
    assert (type(mapped), mapped.message) == (sdk.InternalServerError, "Sorry.")


def test_what_the_client_finds_fault_with_by_itself_has_only_the_base() -> None:
    mapped = map_openai_error(openai.ContentFilterFinishReasonError())
    assert type(mapped) is sdk.VeneerAPIError
    assert "content filter" in str(mapped)


def test_an_error_that_is_mapped_stays_as_it_is() -> None:
    mapped = map_openai_error(mid_stream(None))
    assert map_openai_error(mapped) is mapped


def status_error(headers: Mapping[str, str], **said: Any) -> openai.APIStatusError:
    response = httpx2.Response(429, headers=headers, request=REQUEST)
    return openai.APIStatusError("No.", response=response, body=said)


def test_further_members_and_headers_are_kept() -> None:
    mapped = map_openai_error(
        status_error(
            {"x-error-provider": "other", "x-request-id": "req_4"},
            suggestion="Take another.",
            status=503,
        )
    )
    assert (mapped.provider, mapped.suggestion, mapped.upstream_status, mapped.request_id) == (
        "other",
        "Take another.",
        503,
        "req_4",
    )
    assert map_openai_error(status_error({}, provider="mine")).provider == "mine"


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "12"}, 12.0),
        ({"retry-after": "12", "retry-after-ms": "1500"}, 1.5),
        ({"retry-after": "Thu, 01 Jan 1970 00:01:40 GMT"}, 40.0),
        ({"retry-after": "Thu, 01 Jan 1970 00:00:10 GMT"}, 0.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "nan"}, None),
        ({}, None),
    ],
)
def test_it_is_told_when_to_try_again(headers: dict[str, str], seconds: float | None) -> None:
    mapped = map_openai_error(status_error(headers), now=lambda: 60.0)
    assert mapped.retry_after_seconds == seconds


def test_it_goes_to_other_processes() -> None:
    mapped = map_openai_error(status_error({"retry-after": "1"}, code="rate_limit_exceeded"))
    again = pickle.loads(pickle.dumps(mapped))  # noqa: S301 - our own
    assert type(again) is sdk.RateLimitError
    assert vars(again) == vars(mapped)


@given(JSON, st.text())
def test_nothing_that_is_said_raises(body: Any, retry_after: str) -> None:
    for failed in (
        mid_stream(body),
        mid_stream({"error": body, "code": body, "status": body}),
        body,
        ValueError(retry_after),
    ):
        assert isinstance(map_openai_error(failed), sdk.VeneerAPIError)
