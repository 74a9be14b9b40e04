"""Auriko's way of speaking, as its own client and OpenAI's understand it."""

import json

import httpx
import msgspec
import pytest
from auriko._client import Client
from auriko.errors._registry import CODE_TO_ERROR_TYPE
from auriko.errors.types import (
    APIStatusError,
    AurikoAPIError,
    AuthenticationError,
    BadRequestError,
    ConflictError,
    InternalServerError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitError,
)

from tests.dialects.openai_client import raised_by
from veneer.dialects import OPENAI, Failure, Kind
from veneer.dialects.auriko import FORMS, auriko
from veneer.dialects.aurous import aurous

AURIKO = auriko(docs="https://docs.test/errors")


def failure(kind: Kind) -> Failure:
    return Failure(AURIKO.forms[kind], "Something is wrong.", "model", "req_1")


class Server:
    """Answers with the error of one kind, and counts the requests."""

    def __init__(self, kind: Kind) -> None:
        self.failed = failure(kind)
        self.requests = 0

    def __call__(self, _request: httpx.Request) -> httpx.Response:
        """Answer."""
        self.requests += 1
        headers = {"content-type": "application/json; charset=utf-8", "x-request-id": "req_1"}
        body = AURIKO.body(self.failed)
        return httpx.Response(self.failed.form.status, content=body, headers=headers)


def raised(server: Server) -> AurikoAPIError:
    """Return what Auriko's client raises."""
    client = Client(api_key="ak_test", base_url="http://veneer.test/v1", max_retries=0)
    client._httpx = httpx.Client(
        base_url=client.base_url, transport=httpx.MockTransport(server), follow_redirects=True
    )
    with client._httpx, pytest.raises(AurikoAPIError) as caught:
        client.chat.completions.create(model="m", messages=[{"role": "user", "content": "hi"}])
    error: AurikoAPIError = caught.value
    return error


CLASSES: dict[str, type[AurikoAPIError]] = {
    "invalid_request_error": BadRequestError,
    "authentication_error": AuthenticationError,
    "permission_error": PermissionDeniedError,
    "not_found_error": NotFoundError,
    "rate_limit_error": RateLimitError,
    "api_error": APIStatusError,
}


def expected(kind: Kind) -> type[AurikoAPIError]:
    form = FORMS[kind]
    if form.status == 409:
        return ConflictError
    if form.status == 500:
        return InternalServerError
    return CLASSES[form.type]


@pytest.mark.parametrize("kind", Kind)
def test_every_kind_is_well_formed_to_its_client(kind: Kind) -> None:
    error = raised(Server(kind))
    form = AURIKO.forms[kind]
    assert type(error) is expected(kind)
    assert error.code == form.code
    assert error.param == "model"
    assert error.request_id == "req_1"
    assert error.doc_url == f"https://docs.test/errors/{form.code}"
    assert "malformed" not in str(error)


@pytest.mark.parametrize("kind", Kind)
def test_openais_client_raises_by_the_status(kind: Kind) -> None:
    failed = failure(kind)
    error = raised_by(failed.form.status, AURIKO.body(failed))
    assert error.code == failed.form.code
    assert error.type == failed.form.type


@pytest.mark.parametrize("kind", Kind)
def test_every_code_is_in_the_clients_registry_with_its_type(kind: Kind) -> None:
    form = FORMS[kind]
    assert CODE_TO_ERROR_TYPE[str(form.code)] == form.type


def test_the_event_of_a_broken_chat_stream_is_the_envelope() -> None:
    event = AURIKO.event(failure(Kind.UPSTREAM_INTERRUPTED), "chat.completions")
    assert event.startswith(b"data: ")
    assert json.loads(event[6:])["error"]["type"] == "api_error"


def test_the_event_of_a_broken_response_is_flat() -> None:
    event = AURIKO.event(failure(Kind.UPSTREAM_INTERRUPTED), "responses")
    said = json.loads(event.partition(b"data: ")[2])
    assert (said["type"], said["code"]) == ("error", "upstream_error")


def test_without_documentation_errors_name_no_page() -> None:
    failed = Failure(FORMS[Kind.INTERNAL], "Something is wrong.", None, None)
    said = json.loads(auriko().body(failed))["error"]
    assert said.keys() == {"message", "type", "code", "param"}


def test_only_this_dialect_has_a_place_for_suggestions() -> None:
    failed = msgspec.structs.replace(failure(Kind.MODEL_NOT_FOUND), suggestion="Use another.")
    assert b'"suggestion":"Use another."' in AURIKO.body(failed)
    assert b'"suggestion":"Use another."' in AURIKO.event(failed, "responses")
    assert b"suggestion" not in AURIKO.body(failure(Kind.MODEL_NOT_FOUND))
    for dialect in (OPENAI, aurous()):
        assert b"suggestion" not in dialect.body(failed)
