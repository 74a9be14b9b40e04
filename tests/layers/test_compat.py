"""A target that does not know all, behind its layer."""

import asyncio
import json
from typing import Any

import pytest
from starlette.types import ASGIApp

from tests.asgi import Exchange, Responder, http_scope, json_request
from tests.compat.test_answers import CALLED, answer, tool_call
from tests.compat.test_stream import SHOWN, STREAM
from tests.layers.probe import SSE, Script
from tests.layers.streams import compact
from tests.lint import Lint
from veneer import facts
from veneer.dialects.aurous import aurous
from veneer.facts import Unreached, Usage
from veneer.layers.compat import CompatMiddleware
from veneer.layers.headers import HeadersMiddleware
from veneer.layers.relay import RelayMiddleware

USER = {"role": "user", "content": "Rain?"}
LEGACY = {"model": "m", "messages": [USER], "functions": [{"name": "weather"}]}
MODERN = compact(answer({"tool_calls": [tool_call(CALLED)]}))
SHOWN_WHOLE = answer({"function_call": CALLED}, "function_call")


def compat(app: ASGIApp, **options: Any) -> ASGIApp:
    """Return the layer between two linters."""
    return Lint(CompatMiddleware(Lint(app), **options))


async def test_a_plain_answer_is_in_the_words_of_its_client() -> None:
    app = Responder(MODERN[:9], MODERN[9:], headers=[(b"content-length", b"%d" % len(MODERN))])
    exchange = await json_request(LEGACY, headers=[(b"accept-encoding", b"gzip")]).run(compat(app))
    assert exchange.json() == SHOWN_WHOLE
    assert exchange.header("content-length") == str(len(exchange.body))
    [body] = app.bodies
    assert json.loads(body)["tools"] == [{"type": "function", "function": {"name": "weather"}}]
    sent = dict(app.scopes[0]["headers"])
    assert sent[b"content-length"] == b"%d" % len(body)
    assert sent[b"accept-encoding"] == b"identity"


async def test_a_stream_is_in_the_words_of_its_client() -> None:
    app = Script(STREAM[:300], STREAM[300:], headers=[*SSE, (b"content-length", b"9999")])
    exchange = await json_request({**LEGACY, "stream": True}).run(CompatMiddleware(app))
    assert exchange.body == SHOWN
    assert exchange.header("content-length") is None
    assert exchange.ended


async def test_a_client_of_tools_is_served_by_functions() -> None:
    app = Responder(compact(SHOWN_WHOLE))
    body = {"model": "m", "messages": [USER], "tools": [{"type": "function", "function": CALLED}]}
    exchange = await json_request(body).run(compat(app, functions_only=True))
    [call] = exchange.json()["choices"][0]["message"]["tool_calls"]
    assert call["function"] == CALLED
    assert exchange.json()["choices"][0]["finish_reason"] == "tool_calls"
    assert json.loads(app.bodies[0])["functions"] == [CALLED]


async def test_what_needs_nothing_passes_as_it_came() -> None:
    app = Responder(MODERN, headers=[(b"etag", b'"x"')])
    body = b'{ "model":"m", "messages":[ {} ], "tools":[] }'
    exchange = await Exchange(http_scope(), [body]).run(compat(app))
    assert app.bodies == [body]
    assert exchange.body == MODERN
    assert exchange.header("etag") == '"x"'


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        (400, []),
        (200, [(b"content-encoding", b"gzip")]),
        (500, [(b"content-length", b"%d" % len(MODERN))]),
    ],
)
async def test_errors_and_what_cannot_be_read_pass(status: int, headers: Any) -> None:
    app = Responder(MODERN, status=status, headers=headers)
    exchange = await json_request(LEGACY).run(compat(app))
    assert (exchange.status, exchange.body) == (status, MODERN)


async def test_an_answer_without_calls_keeps_its_bytes_and_fields() -> None:
    text = b'{ "choices":[] }'
    app = Responder(text, headers=[(b"etag", b'"x"'), (b"content-length", b"16")])
    exchange = await json_request(LEGACY).run(compat(app))
    assert exchange.body == text
    assert exchange.header("etag") == '"x"'


async def test_an_answer_without_end_passes_as_it_is() -> None:
    part = b'"tool_calls"' + b" " * 1_000_000
    app = Responder(*[part] * 18)
    exchange = await json_request(LEGACY).run(compat(app))
    assert exchange.body == part * 18


async def test_a_refusal_is_said_in_the_dialect_and_reaches_nobody() -> None:
    app = Responder(MODERN)
    stack = HeadersMiddleware(compat(app), dialect=aurous("Aurous"))
    exchange = json_request({**LEGACY, "tools": []})
    facts.open_in(exchange.scope)
    await exchange.run(stack)
    assert exchange.status == 400
    assert exchange.json()["error"]["param"] == "functions"
    assert exchange.json()["error"]["type"] == "invalid_request"
    assert app.bodies == []
    assert facts.get(exchange.scope, Unreached) is not None


async def test_a_body_that_is_no_call_is_refused() -> None:
    exchange = await Exchange(http_scope(), [b"[]"]).run(compat(Responder(b"{}")))
    assert exchange.status == 400


@pytest.mark.parametrize("path", ["/v1/embeddings", "/v1/completions", "/v1/nothing"])
async def test_other_operations_are_none_of_its_business(path: str) -> None:
    app = Responder(b"{}")
    exchange = await json_request({"messages": [], "functions": 1}, path).run(compat(app))
    assert exchange.status == 200
    assert json.loads(app.bodies[0]) == {"messages": [], "functions": 1}


async def test_the_check_can_be_left_to_the_target() -> None:
    app = Responder(b"{}")
    body = {"model": "m", "messages": []}
    assert (await json_request(body).run(compat(app))).status == 400
    assert (await json_request(body).run(compat(app, check=False))).status == 200


async def test_the_relay_above_reads_the_usage_of_what_is_translated() -> None:
    relay = RelayMiddleware(CompatMiddleware(Script(STREAM, headers=SSE)))
    exchange = json_request({**LEGACY, "stream": True})
    facts.open_in(exchange.scope)
    await exchange.run(relay)
    assert exchange.body == SHOWN
    assert facts.get(exchange.scope, Usage) == Usage(
        input_tokens=5, output_tokens=3, total_tokens=8
    )


async def test_an_event_goes_out_before_the_next_has_come() -> None:
    gate = asyncio.Event()
    cut = STREAM.index(b"data: [DONE]")
    app = Script(STREAM[:cut], gate.wait, STREAM[cut:], headers=SSE)
    exchange = json_request({**LEGACY, "stream": True})
    running = asyncio.create_task(exchange.run(compat(app)))
    await exchange.until(b"function_call")
    gate.set()
    await running
    assert exchange.body == SHOWN


async def test_other_messages_of_the_protocol_pass() -> None:
    async def app(_scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "http.response.start", "status": 200, "trailers": True, "headers": []})
        await send({"type": "http.response.body", "body": b"{}"})
        await send({"type": "http.response.trailers", "headers": []})

    exchange = await json_request(LEGACY).run(compat(app))
    assert [message["type"] for message in exchange.messages][-1] == "http.response.trailers"


def test_options_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(ValueError, match="exclude each other"):
        CompatMiddleware(Responder(), functions_only=True, legacy_functions=True)
