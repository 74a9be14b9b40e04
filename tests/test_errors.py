"""Errors as apps: whole responses, and the events that end streams."""

import json
from typing import Any

import msgspec
import pytest
from starlette.types import Scope

from tests.asgi import Exchange, http_scope
from veneer import facts
from veneer.dialects import OPENAI, Dialect, Failure, Form, Kind
from veneer.errors import Error
from veneer.facts import RequestId, Route
from veneer.wire import fields

REFUSAL = Error(
    Kind.INVALID_TYPE,
    "'model' must be a string.",
    param="model",
    headers=((b"connection", b"close"),),
)


def plain(failure: Failure) -> bytes:
    return f"{failure.form.status}: {failure.message}".encode()


def plain_event(failure: Failure, operation: str) -> bytes:
    return f"data: {operation} {failure.message}\n\n".encode()


PLAIN = Dialect(
    name="plain",
    forms=OPENAI.forms,
    body=plain,
    event=plain_event,
    request_id_headers=(b"x-id",),
    rate_limit_fields=OPENAI.rate_limit_fields,
    receipt=OPENAI.receipt,
    cost_fields=OPENAI.cost_fields,
    balance=OPENAI.balance,
)


def scope_with(*known: Any, method: str = "POST") -> Scope:
    scope = http_scope(method)
    for fact in known:
        facts.put(scope, fact)
    return scope


async def test_an_error_is_a_whole_response() -> None:
    exchange = await Exchange(scope_with()).run(REFUSAL)

    assert exchange.status == 400
    assert exchange.ended
    assert exchange.header("content-type") == "application/json; charset=utf-8"
    assert exchange.header("content-length") == str(len(exchange.body))
    assert exchange.header("connection") == "close"
    assert exchange.header("x-should-retry") is None
    assert exchange.json() == {
        "error": {
            "message": "'model' must be a string.",
            "type": "invalid_request_error",
            "param": "model",
            "code": "invalid_type",
        }
    }


async def test_an_error_names_the_request() -> None:
    exchange = await Exchange(scope_with(RequestId("req_1"))).run(REFUSAL)

    assert exchange.json()["error"]["request_id"] == "req_1"


async def test_an_error_speaks_the_dialect_of_the_request() -> None:
    exchange = await Exchange(scope_with(PLAIN)).run(REFUSAL)

    assert exchange.body == b"400: 'model' must be a string."
    assert REFUSAL.event(scope_with(PLAIN), "x") == b"data: x 'model' must be a string.\n\n"


async def test_head_gets_the_header_alone() -> None:
    exchange = await Exchange(scope_with(method="HEAD")).run(REFUSAL)

    assert exchange.body == b""
    assert int(exchange.header("content-length") or 0) > 50


async def test_the_status_of_an_upstream_can_be_kept() -> None:
    exchange = await Exchange(scope_with()).run(Error(Kind.INVALID_REQUEST, "no", status=418))

    assert exchange.status == 418


async def test_clients_are_told_not_to_try_again_what_is_in_vain() -> None:
    exchange = await Exchange(scope_with()).run(Error(Kind.UPSTREAM_REFUSED_KEY, "no"))

    assert exchange.header("x-should-retry") == "false"


@pytest.mark.parametrize(
    ("kind", "retry", "sent"),
    [
        (Kind.TOKENS_LIMITED, None, []),
        (Kind.TOKENS_LIMITED, False, [b"false"]),
        (Kind.TOKENS_LIMITED, True, [b"true"]),
        (Kind.OVER_WHOLE_LIMIT, None, [b"false"]),
        (Kind.OVER_WHOLE_LIMIT, True, [b"true"]),
    ],
)
async def test_an_error_may_have_advice_of_its_own_on_trying_again(
    kind: Kind,
    retry: bool | None,  # noqa: FBT001 - a table's column
    sent: list[bytes],
) -> None:
    exchange = await Exchange(scope_with()).run(Error(kind, "no", retry=retry))

    assert fields.get_all(exchange.headers, b"x-should-retry") == sent


@pytest.mark.parametrize("text", ['"quoted"', "line\nbreak", "\x00\x1f", "ü €", "</script>"])
async def test_any_message_stays_one_json_string(text: str) -> None:
    exchange = await Exchange(scope_with()).run(Error(Kind.INTERNAL, text))
    event = Error(Kind.INTERNAL, text).event(scope_with(), "chat.completions")

    assert exchange.json()["error"]["message"] == text
    assert event.count(b"\n") == 2
    assert json.loads(event.removeprefix(b"data: "))["error"]["message"] == text


WAITING = Error(
    Kind.REQUESTS_LIMITED,
    "Too many.",
    headers=((b"retry-after", b"3"), (b"retry-after-ms", b"2500")),
    terms={"wait": "3"},
)


def with_form(form: Form, **more: Any) -> Dialect:
    forms = {**OPENAI.forms, Kind.REQUESTS_LIMITED: form}
    return msgspec.structs.replace(PLAIN, forms=forms, **more)


async def test_a_dialect_may_word_what_has_the_terms_for_it() -> None:
    worded = with_form(Form(429, "t", wording="Come again in {wait} s."))
    exchange = await Exchange(scope_with(worded)).run(WAITING)
    assert exchange.body == b"429: Too many."
    assert WAITING.in_dialect(scope_with(worded))[1].said == "Come again in 3 s."
    bare = msgspec.structs.replace(WAITING, terms={})
    assert bare.in_dialect(scope_with(worded))[1].said == "Too many."


async def test_a_dialect_may_keep_silent_on_when_to_come_again() -> None:
    silent = with_form(Form(429, "t", wait=False))
    exchange = await Exchange(scope_with(silent)).run(WAITING)
    assert exchange.header("retry-after") is None
    assert exchange.header("retry-after-ms") is None
    told = await Exchange(scope_with(with_form(Form(429, "t")))).run(WAITING)
    assert told.header("retry-after") == "3"


async def test_a_dialect_may_tell_of_errors_in_fields_and_knows_where_the_call_went() -> None:
    def told(failure: Failure) -> list[tuple[bytes, bytes]]:
        assert failure.route is not None
        return [(b"x-target", failure.route.target.encode())]

    telling = with_form(Form(429, "t"), error_fields=told)
    route = Route(target="small-1", status=429)
    exchange = await Exchange(scope_with(telling, route)).run(WAITING)
    assert exchange.header("x-target") == "small-1"


@pytest.mark.parametrize(
    ("error", "wait"),
    [
        (WAITING, "3"),
        (msgspec.structs.replace(WAITING, headers=()), "7"),
        (msgspec.structs.replace(WAITING, headers=(), retry=False), None),
        (Error(Kind.SHUTTING_DOWN, "Soon."), "7"),
        (REFUSAL, None),
    ],
)
async def test_a_dialect_may_advise_to_wait_where_nobody_knows_better(
    error: Error, wait: str | None
) -> None:
    patient = with_form(Form(429, "t"), wait=7)
    exchange = await Exchange(scope_with(patient)).run(error)
    assert exchange.header("retry-after") == wait
