"""Errors: every failure below leaves as one well-formed error."""

import asyncio
import gzip
import json
import logging
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.middleware import Middleware
from starlette.types import Message, Receive, Scope, Send

from tests.asgi import Exchange, Responder, http_scope, json_request
from tests.lint import Lint
from veneer import facts
from veneer.client import BodyTimeoutError, ClientDisconnectedError
from veneer.errors import BrokenResponseError
from veneer.layer import Layer
from veneer.layers._mended import MAX_MESSAGE
from veneer.layers.errors import MAX_ERROR_BODY, ErrorMiddleware
from veneer.layers.headers import HeadersMiddleware
from veneer.operations import Endpoint, Operation
from veneer.stack import Stack

SECRET = "sk-very-secret"


async def answer(app: Any, path: str = "/v1/chat/completions") -> Exchange:
    return await json_request({}, path).run(ErrorMiddleware(Lint(app)))


def error_of(exchange: Exchange) -> Any:
    """Return the members of a well-formed error."""
    assert exchange.ended
    assert exchange.header("content-type") == "application/json; charset=utf-8"
    assert exchange.header("content-length") == str(len(exchange.body))
    error = exchange.json()["error"]
    assert {"message", "type", "param", "code"} <= set(error)
    return error


def raising(error: BaseException, *messages: Message) -> Any:
    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        for message in messages:
            await send(message)
        raise error

    return app


def start(status: int = 200, *headers: tuple[bytes, bytes]) -> Message:
    return {"type": "http.response.start", "status": status, "headers": list(headers)}


def body(data: bytes = b"", *, more: bool = False) -> Message:
    return {"type": "http.response.body", "body": data, "more_body": more}


def sending(*messages: Message) -> Any:
    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        for message in messages:
            await send(message)

    return app


async def test_a_bug_is_a_500_that_tells_nothing_and_is_raised_on() -> None:
    exchange = json_request({})
    with pytest.raises(LookupError, match=SECRET):
        await exchange.run(ErrorMiddleware(raising(LookupError(SECRET))))

    assert exchange.status == 500
    assert error_of(exchange) == {
        "message": "The server had an error while processing your request.",
        "type": "server_error",
        "param": None,
        "code": None,
    }
    assert SECRET not in str(exchange.messages)


async def test_a_bug_after_the_start_cuts_the_response() -> None:
    exchange = json_request({})
    with pytest.raises(LookupError):
        await exchange.run(ErrorMiddleware(raising(LookupError(), start(), body(b"x", more=True))))

    assert exchange.body == b"x"
    assert not exchange.ended


async def test_a_bug_in_the_middle_of_an_error_is_still_one_whole_error() -> None:
    exchange = json_request({})
    with pytest.raises(LookupError):
        await exchange.run(
            ErrorMiddleware(raising(LookupError(), start(404), body(b"x", more=True)))
        )

    assert exchange.status == 500
    error_of(exchange)


async def test_an_early_hint_is_no_answer() -> None:
    exchange = json_request({})
    hint = {"type": "http.response.early_hint", "links": []}
    with pytest.raises(LookupError):
        await exchange.run(ErrorMiddleware(raising(LookupError(), hint)))

    assert exchange.messages.pop(0) == hint
    assert exchange.status == 500


async def test_a_cancellation_is_no_error() -> None:
    exchange = json_request({})
    with pytest.raises(asyncio.CancelledError):
        await exchange.run(ErrorMiddleware(raising(asyncio.CancelledError())))
    assert exchange.messages == []


async def test_a_client_that_has_left_is_no_error() -> None:
    exchange = json_request({})
    await exchange.run(ErrorMiddleware(raising(ClientDisconnectedError())))
    assert exchange.messages == []


async def test_a_body_that_does_not_come_is_a_408() -> None:
    exchange = await answer(raising(BodyTimeoutError()))

    assert exchange.status == 408
    assert error_of(exchange)["code"] == "request_timeout"
    assert exchange.header("connection") == "close"


async def test_a_body_that_does_not_come_after_the_start_cuts_the_response() -> None:
    exchange = json_request({})
    with pytest.raises(BodyTimeoutError):
        await exchange.run(ErrorMiddleware(raising(BodyTimeoutError(), start())))
    assert not exchange.ended


async def test_a_broken_response_is_cut() -> None:
    exchange = json_request({})
    with pytest.raises(BrokenResponseError):
        await exchange.run(
            ErrorMiddleware(raising(BrokenResponseError(), start(), body(b"x", more=True)))
        )
    assert exchange.body == b"x"
    assert not exchange.ended


async def test_an_error_that_breaks_off_keeps_its_status_and_advice() -> None:
    exchange = await answer(
        raising(
            BrokenResponseError(),
            start(429, (b"retry-after", b"7"), (b"content-length", b"99")),
            body(b'{"error":', more=True),
        )
    )

    assert exchange.status == 429
    assert exchange.header("retry-after") == "7"
    assert error_of(exchange)["code"] == "rate_limit_exceeded"


@pytest.mark.parametrize(
    ("app", "status"),
    [
        (sending(), 500),
        (sending(start(503)), 503),
        (sending(start(400), body(b"x", more=True)), 400),
    ],
)
async def test_an_app_that_returns_without_a_whole_response_is_answered_for(
    app: Any, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR, "veneer"):
        exchange = await answer(app)

    assert exchange.status == status
    error_of(exchange)
    assert "without a whole response" in caplog.text


async def test_an_app_whose_client_has_left_need_not_answer() -> None:
    async def app(_scope: Scope, receive: Receive, _send: Send) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    exchange = json_request({})
    exchange.disconnect.set()
    await exchange.run(ErrorMiddleware(app))
    assert exchange.messages == []


WELL_FORMED = b'{ "error" : {"message":"No.","type":"t","x":1.0} }\n'


@pytest.mark.parametrize("parts", [[WELL_FORMED], [WELL_FORMED[:9], WELL_FORMED[9:]]])
async def test_a_well_formed_error_passes_byte_by_byte(parts: list[bytes]) -> None:
    headers = [(b"content-length", b"%d" % len(WELL_FORMED)), (b"etag", b"x"), (b"a", b"b")]
    app = Responder(*parts, status=429, headers=headers)
    exchange = await answer(app)

    assert exchange.status == 429
    assert exchange.headers == app.response_headers
    assert exchange.body == WELL_FORMED


@pytest.mark.parametrize(
    ("status", "said", "message", "param"),
    [
        (502, b"<html><h1>502 Bad Gateway</h1></html>", "Bad Gateway.", None),
        (404, b"Not Found", "Not Found.", None),
        (500, b"", "Internal Server Error.", None),
        (499, b"", "The upstream answered with status 499.", None),
        (599, b"", "The upstream answered with status 599.", None),
        (400, b'{"detail":"Bad body"}', "Bad body", None),
        (
            422,
            b'{"detail":[{"loc":["body","messages",0,"role"],"msg":"Field required"}]}',
            "Field required",
            "messages[0].role",
        ),
        (422, b'{"detail":[{"loc":["body"],"msg":"no JSON"}]}', "no JSON", None),
        (422, b'{"detail":[{"loc":"body","msg":"x"}]}', "Unprocessable Content.", None),
        (422, b'{"detail":[]}', "Unprocessable Content.", None),
        (422, b'{"detail":[1]}', "Unprocessable Content.", None),
        (400, b'{"object":"error","message":"too long","code":40303}', "too long", None),
        (400, b'{"error":"model not loaded"}', "model not loaded", None),
        (400, b'{"error":{"message":5}}', "Bad Request.", None),
        (400, b'{"error":[]}', "Bad Request.", None),
        (400, b'{"error":null,"message":""}', "Bad Request.", None),
        (400, b'{"detail":"\xff"}', "Bad Request.", None),
        (400, b'{"detail":' + b"[" * 30000, "Bad Request.", None),
        (400, b"[]", "Bad Request.", None),
        (401, b'"no"', "Unauthorized.", None),
        (418, b'{"message":"teapot"}', "teapot", None),
    ],
)  # fmt: skip
async def test_other_errors_are_put_into_the_envelope(
    status: int, said: bytes, message: str, param: str | None
) -> None:
    app = Responder(
        said,
        status=status,
        content_type="text/html",
        headers=[(b"retry-after", b"3"), (b"content-length", b"%d" % len(said)), (b"etag", b"x")],
    )
    exchange = await answer(app)
    error = error_of(exchange)

    assert exchange.status == status
    if "Unprocessable" not in message:
        assert error["message"] == message
    assert error["param"] == param
    assert error["type"] == ("server_error" if status in (500, 502, 599) else error["type"])
    assert exchange.header("retry-after") == "3"
    assert exchange.header("etag") is None


async def test_a_long_message_is_cut() -> None:
    app = Responder(json.dumps({"detail": "x" * 5000}).encode(), status=400)

    assert error_of(await answer(app))["message"] == "x" * MAX_MESSAGE


async def test_an_error_in_a_coding_passes_as_it_is() -> None:
    data = gzip.compress(b"<html>")
    exchange = await answer(Responder(data, status=502, headers=[(b"content-encoding", b"gzip")]))

    assert exchange.body == data
    assert exchange.header("content-encoding") == "gzip"


async def test_identity_is_no_coding() -> None:
    app = Responder(b"no", status=502, headers=[(b"content-encoding", b"identity")])
    exchange = await answer(app)

    error_of(exchange)
    assert exchange.header("content-encoding") is None


@pytest.mark.parametrize("size", [MAX_ERROR_BODY, MAX_ERROR_BODY + 1])
async def test_a_body_too_long_for_an_error_passes_as_it_is(size: int) -> None:
    parts = [b"x" * 1000] * (size // 1000) + [b"x" * (size % 1000)]
    exchange = await answer(Responder(*parts, status=500, content_type="text/plain"))

    assert exchange.ended
    if size > MAX_ERROR_BODY:
        assert exchange.body == b"x" * size
        assert exchange.header("content-type") == "text/plain"
    else:
        error_of(exchange)


async def test_a_body_too_long_flows_as_it_comes() -> None:
    exchange = json_request({})

    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send(start(500))
        await send(body(b"x" * (MAX_ERROR_BODY + 1), more=True))
        assert len(exchange.body) == MAX_ERROR_BODY + 1
        await send(body(b"y", more=True))
        assert exchange.body.endswith(b"y")
        await send(body(b"z"))

    await exchange.run(ErrorMiddleware(app))
    assert exchange.ended


async def test_what_follows_a_mended_error_is_dropped() -> None:
    trailers = {"type": "http.response.trailers", "headers": [], "more_trailers": False}
    exchange = await answer(sending({**start(500), "trailers": True}, body(b"oops"), trailers))

    error_of(exchange)
    assert [message["type"] for message in exchange.messages] == [
        "http.response.start",
        "http.response.body",
    ]


async def test_head_keeps_its_status_and_has_no_body() -> None:
    layer = ErrorMiddleware(Responder(b"", status=404, content_type="text/html"))
    exchange = await Exchange(http_scope("HEAD", "/v1/models")).run(layer)

    assert exchange.status == 404
    assert exchange.body == b""


async def test_answers_that_are_no_errors_flow_untouched() -> None:
    exchange = await answer(Responder(b"a", b"b", b"", b"c", content_type="text/html"))

    assert [message.get("body") for message in exchange.messages[1:]] == [b"a", b"b", b"", b"c"]


async def test_pages_of_a_host_are_its_own() -> None:
    exchange = await answer(Responder(b"<h1>", status=500, content_type="text/html"), "/page")
    assert exchange.body == b"<h1>"

    exchange = json_request({}, "/page")
    with pytest.raises(LookupError):
        await exchange.run(ErrorMiddleware(raising(LookupError())))
    assert exchange.messages == []


async def test_a_path_that_was_allowed_by_name_is_an_operation() -> None:
    class Allows(Layer):
        async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
            facts.put(scope, Endpoint(Operation("/rerank"), b"rerank"))
            await self.app(scope, receive, send)

    app = Allows(Responder(b"<h1>", status=502, content_type="text/html"))
    error_of(await answer(app, "/v1/rerank"))


async def test_the_id_of_the_request_stands_in_the_error() -> None:
    stack = Stack(
        [Middleware(HeadersMiddleware), Middleware(ErrorMiddleware)],
        Responder(b"oops", status=502),
    )
    exchange = await json_request({}).run(stack)

    assert error_of(exchange)["request_id"] == exchange.header("x-request-id")


@given(
    data=st.binary(max_size=60) | st.text(max_size=60).map(lambda text: json.dumps(text).encode()),
    member=st.sampled_from(["", "error", "detail", "message"]),
    status=st.integers(400, 599),
    cut=st.integers(0, 60),
)
def test_any_error_body_leaves_as_an_error(data: bytes, member: str, status: int, cut: int) -> None:
    said = b'{"%b":%b}' % (member.encode(), data) if member else data
    exchange = asyncio.run(answer(Responder(said[:cut], said[cut:], status=status)))

    assert exchange.status == status
    assert isinstance(exchange.json()["error"]["message"], str)
