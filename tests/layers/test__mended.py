"""Errors of upstreams, said in the request's dialect."""

import json
from typing import Any

import pytest
from starlette.types import ASGIApp

from tests.asgi import Exchange, Responder, json_request
from tests.lint import Lint
from veneer.dialects import Dialect
from veneer.dialects.auriko import auriko
from veneer.dialects.aurous import aurous
from veneer.layers.errors import ErrorMiddleware
from veneer.layers.headers import HeadersMiddleware
from veneer.layers.relay import RelayMiddleware

MISSING = {
    "message": "The model `x` does not exist.",
    "type": "invalid_request_error",
    "param": "model",
    "code": "model_not_found",
}


def stack(app: ASGIApp, dialect: Dialect) -> ASGIApp:
    below = RelayMiddleware(Lint(app))
    return HeadersMiddleware(ErrorMiddleware(below), dialect=dialect)


def upstream(status: int, error: dict[str, Any]) -> Responder:
    return Responder(
        json.dumps({"error": error}).encode(),
        status=status,
        headers=[(b"retry-after", b"7")],
    )


@pytest.mark.parametrize(
    ("dialect", "status", "error", "expected"),
    [
        (aurous(), 404, MISSING, (404, "not_found", "model_not_found")),
        (auriko(), 404, MISSING, (404, "not_found_error", "model_not_found")),
        (
            aurous(),
            400,
            {**MISSING, "code": "context_length_exceeded"},
            (400, "invalid_request", "max_input_tokens_exceeded"),
        ),
        (
            auriko(),
            429,
            {**MISSING, "type": "tokens", "code": "rate_limit_exceeded"},
            (429, "rate_limit_error", "rate_limit_exceeded"),
        ),
        (
            aurous(),
            500,
            {**MISSING, "type": "server_error", "code": None},
            (500, "server_error", "internal_error"),
        ),
        (auriko(), 418, {**MISSING, "code": 7}, (400, "invalid_request_error", "invalid_request")),
    ],
)
async def test_an_upstreams_error_is_said_in_the_dialect(
    dialect: Dialect, status: int, error: dict[str, Any], expected: tuple[int, str, str]
) -> None:
    exchange = await json_request({"model": "x"}).run(stack(upstream(status, error), dialect))
    said = exchange.json()["error"]
    assert (exchange.status, said["type"], said["code"]) == expected
    assert (said["message"], said["param"]) == (MISSING["message"], "model")
    assert said["request_id"] == exchange.header("x-request-id")
    assert exchange.header("retry-after") == "7"


async def test_an_error_that_the_dialect_knows_passes_as_it_is() -> None:
    known = {"message": "m", "type": "not_found_error", "code": "model_not_found", "extra": 1}
    exchange = await json_request({"model": "x"}).run(stack(upstream(404, known), auriko()))
    assert exchange.json()["error"] == known


def streaming(event: bytes) -> Responder:
    chunk = b'data: {"id":"c","choices":[{"index":0,"delta":{"content":"a"}}]}\n\n'
    return Responder(chunk, event, content_type="text/event-stream")


def events(exchange: Exchange) -> list[Any]:
    return [
        json.loads(line[6:]) for line in exchange.body.split(b"\n") if line.startswith(b"data: {")
    ]


@pytest.mark.parametrize(
    ("dialect", "type_", "code"),
    [
        (aurous(), "server_error", "provider_unavailable"),
        (auriko(), "api_error", "upstream_error"),
    ],
)
async def test_an_error_in_a_stream_is_said_in_the_dialect(
    dialect: Dialect, type_: str, code: str
) -> None:
    event = b'data: {"error":{"message":"boom","type":"server_error","code":null}}\n\n'
    exchange = await json_request({"model": "x", "stream": True}).run(
        stack(streaming(event), dialect)
    )
    first, last = events(exchange)
    assert "error" not in first
    said = last["error"]
    assert (said["type"], said["code"], said["message"]) == (type_, code, "boom")


@pytest.mark.parametrize("error", [b'"boom"', b"[1]", b"7", b'{"message":5}'])
async def test_an_error_in_a_stream_may_look_like_anything(error: bytes) -> None:
    exchange = await json_request({"model": "x", "stream": True}).run(
        stack(streaming(b'data: {"error":%b}\n\n' % error), auriko())
    )
    assert events(exchange)[-1]["error"]["type"] == "api_error"
