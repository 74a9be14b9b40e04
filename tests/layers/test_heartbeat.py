"""Heartbeats: comments where an event has just ended, and an early start."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tests.asgi import Exchange, Responder, json_request, running
from tests.lint import Lint
from veneer import facts
from veneer.call import Call
from veneer.dialects import Kind
from veneer.errors import Error
from veneer.layers.errors import ErrorMiddleware
from veneer.layers.heartbeat import MAX_ERROR_BODY, HeartbeatMiddleware, _Stream
from veneer.layers.operations import OperationsMiddleware
from veneer.operations import FIXED
from veneer.stack import Stack

BEAT = b": keep-alive\n\n"
SHORT_BEAT = b": keep-alive\n"
STREAM = [(b"content-type", b"text/event-stream; charset=utf-8")]

# Short enough for a test to wait for several, in seconds.
INTERVAL = 0.01


class Script:
    """An app that sends what the test says, when it says so."""

    def __init__(self, operation: str | None = "chat/completions") -> None:
        self._operation = operation
        self._messages: asyncio.Queue[Message | Exception | None] = asyncio.Queue()
        self._idle = asyncio.Event()

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        """Send message by message."""
        if self._operation is not None:
            facts.put(scope, Call(FIXED[self._operation], "m", stream=True))
        while True:
            if self._messages.empty():
                self._idle.set()
            message = await self._messages.get()
            if message is None:
                return
            if isinstance(message, Exception):
                raise message
            await send(message)

    async def does(self, *messages: Message | Exception | None) -> None:
        """Have the app send these, and wait until it has."""
        self._idle.clear()
        for message in messages:
            self._messages.put_nowait(message)
        if messages and isinstance(messages[-1], dict):
            async with asyncio.timeout(5):
                await self._idle.wait()


def start(status: int = 200, headers: Any = STREAM) -> Message:
    return {"type": "http.response.start", "status": status, "headers": list(headers)}


def body(data: bytes, *, more: bool = True) -> Message:
    return {"type": "http.response.body", "body": data, "more_body": more}


END = body(b"", more=False)


def request(path: str = "/v1/chat/completions") -> Exchange:
    return json_request({"model": "m", "stream": True}, path)


def layer(app: ASGIApp, **options: Any) -> HeartbeatMiddleware:
    return HeartbeatMiddleware(Lint(app), **{"interval": INTERVAL, **options})


async def several_intervals() -> None:
    await asyncio.sleep(INTERVAL * 6)


async def test_a_silent_stream_is_kept_alive() -> None:
    app, exchange = Script(), request()
    async with running(layer(app), exchange) as task:
        await app.does(start())
        await exchange.until(BEAT * 2)
        await app.does(body(b"data: 1\n\n"))
        await exchange.until(b"data: 1\n\n" + BEAT * 2)
        await app.does(END, None)
        await task

    assert exchange.body.replace(BEAT, b"") == b"data: 1\n\n"
    assert exchange.ended


@pytest.mark.parametrize(
    "parts",
    [
        [b"data: 1\n\n"],
        [b"data: 1\r\n\r\n"],
        [b"data: 1\n", b"\n"],
        [b"data: 1", b"\r\n\r", b"\n"],
        [b"data: 1\n", b"\r\n"],
        [b"data: 1\n\n", b""],
    ],
)
async def test_where_an_event_has_ended_a_comment_may_stand(parts: list[bytes]) -> None:
    app, exchange = Script(), request()
    async with running(layer(app), exchange):
        await app.does(start(), *map(body, parts))
        await exchange.until(b"".join(parts) + BEAT)


@pytest.mark.parametrize(
    "part", [b"data: 1", b"data: 1\n", b"data: 1\r\n", b"data: 1\r\n\r", b"\n"]
)
async def test_within_an_event_no_comment_stands(part: bytes) -> None:
    app, exchange = Script(), request()
    async with running(layer(app), exchange):
        await app.does(start(), body(b"data: 0\n\nx"), body(part))
        seen = exchange.body
        await several_intervals()
        assert exchange.body == seen
        await app.does(body(b"\n\n"))
        await exchange.until(seen + b"\n\n" + BEAT)


@pytest.mark.parametrize(
    "parts",
    [
        [b"id: 1\ndata: 1\n\n"],
        [b"id:1\ndata: 1\n\n"],
        [b"data: 1\nid: 1\n\n", b"data: 2\n\n"],
        [b"data: 1\nid", b": 1\n\n"],
        [b"data: 1\n", b"id: 1\n\n"],
        [b"data: 1\r\nid: 1\r\n\r\n"],
    ],
)
async def test_a_comment_after_an_id_uses_one_line_feed(parts: list[bytes]) -> None:
    app, exchange = Script(), request()
    async with running(layer(app), exchange):
        await app.does(start(), *map(body, parts))
        await exchange.until(b"".join(parts) + SHORT_BEAT * 2)
        assert BEAT not in exchange.body


async def test_an_id_within_a_text_is_none() -> None:
    app, exchange = Script(), request()
    async with running(layer(app), exchange):
        await app.does(start(), body(b"data: id: 1\n\n"))
        await exchange.until(b"\n\n" + BEAT)


async def test_a_busy_stream_gets_no_comments() -> None:
    app, exchange = Script(), request()
    async with running(layer(app, interval=0.5), exchange) as task:
        await app.does(start())
        for _ in range(20):
            await app.does(body(b"data: 1\n\n"))
            await asyncio.sleep(0.001)
        await app.does(END, None)
        await task
    assert exchange.body == b"data: 1\n\n" * 20


@pytest.mark.parametrize(
    "headers",
    [[(b"content-type", b"application/json")], [], [(b"content-type", b"text/event-streams")]],
)
async def test_other_bodies_get_no_comments(headers: Any) -> None:
    app, exchange = Script(), request()
    async with running(layer(app), exchange):
        await app.does(start(200, headers))
        await several_intervals()
        assert exchange.body == b""


async def test_pages_of_a_host_get_no_comments() -> None:
    app, exchange = Script(None), request("/page")
    async with running(layer(app), exchange):
        await app.does(start())
        await several_intervals()
        assert exchange.body == b""


class SlowClient(Exchange):
    """A client whose connection takes nothing until it is told to."""

    def __init__(self, inner: Exchange) -> None:
        super().__init__(inner.scope, [b""])
        self.taking = asyncio.Event()
        self.taking.set()
        self.sending = 0
        self.overlapped = False
        self.waiting = asyncio.Event()

    async def send(self, message: Message) -> None:
        """Take a message as soon as the test lets it."""
        self.overlapped = self.overlapped or self.sending > 0
        self.sending += 1
        self.waiting.set()
        try:
            await self.taking.wait()
            await super().send(message)
        finally:
            self.sending -= 1


async def test_no_comment_is_sent_while_the_app_sends() -> None:
    app, exchange = Script(), SlowClient(request())
    async with running(layer(app), exchange) as task:
        exchange.taking.clear()
        await asyncio.sleep(0)
        app._messages.put_nowait(start())
        await several_intervals()
        exchange.taking.set()
        await app.does(body(b"data: 0\n\n"))
        exchange.taking.clear()
        app._messages.put_nowait(body(b"data: 1\n\n"))
        await several_intervals()
        exchange.taking.set()
        await app.does(END, None)
        await task
    assert exchange.body.replace(BEAT, b"") == b"data: 0\n\ndata: 1\n\n"
    assert not exchange.overlapped


async def test_the_app_does_not_send_while_a_comment_is_on_its_way() -> None:
    app, exchange = Script(), SlowClient(request())
    async with running(layer(app), exchange) as task:
        await app.does(start())
        exchange.taking.clear()
        exchange.waiting.clear()
        await exchange.waiting.wait()
        app._messages.put_nowait(body(b"data: 1\n\n"))
        app._messages.put_nowait(END)
        await several_intervals()
        assert exchange.body.count(b"data") == 0
        exchange.taking.set()
        await app.does(None)
        await task
    assert exchange.body == BEAT * exchange.body.count(BEAT) + b"data: 1\n\n"
    assert not exchange.overlapped
    assert exchange.ended


async def test_a_second_comment_does_not_slip_in_before_the_app_that_waits_for_the_first() -> None:
    exchange = SlowClient(request())
    stream = _Stream(exchange.scope, exchange.send, interval=60, early_start=None)
    await stream.send(start())
    exchange.taking.clear()
    stream._last -= 60
    stream._tick()
    sending = asyncio.ensure_future(stream.send(body(b"data: 1\n\n")))
    await asyncio.sleep(0)
    exchange.taking.set()
    for _ in range(20):
        stream._last -= 60
        stream._tick()
        await asyncio.sleep(0)
        if exchange.body:
            exchange.taking.clear()
    exchange.taking.set()
    await sending
    await stream.send(END)
    await stream.close()

    assert not exchange.overlapped
    assert exchange.body.replace(BEAT, b"") == b"data: 1\n\n"


async def test_a_comment_that_does_not_get_through_goes_with_its_call() -> None:
    before = asyncio.all_tasks()
    app, exchange = Script(), SlowClient(request())
    async with running(layer(app), exchange) as task:
        await app.does(start())
        exchange.taking.clear()
        exchange.waiting.clear()
        await exchange.waiting.wait()
        await app.does(LookupError())
        with pytest.raises(LookupError):
            await task
    await several_intervals()
    assert asyncio.all_tasks() == before


async def test_after_its_end_a_stream_stays_silent() -> None:
    app, exchange = Script(), request()
    async with running(layer(app), exchange) as task:
        await app.does(start(), END)
        seen = list(exchange.messages)
        await several_intervals()
        assert exchange.messages == seen
        await app.does(None)
        await task


async def test_a_cancelled_call_leaves_nothing_behind() -> None:
    before = asyncio.all_tasks()
    app, exchange = Script(), request()
    async with running(layer(app, early_start=INTERVAL), exchange) as task:
        await exchange.until(BEAT)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    seen = list(exchange.messages)
    await several_intervals()
    assert exchange.messages == seen
    assert asyncio.all_tasks() == before


async def test_a_slow_stream_may_be_begun_early() -> None:
    app, exchange = Script(), request()
    async with running(layer(app, early_start=INTERVAL), exchange) as task:
        await exchange.until(BEAT * 2)
        assert exchange.status == 200
        assert exchange.header("content-type") == "text/event-stream; charset=utf-8"
        assert exchange.header("x-accel-buffering") == "no"
        await app.does(start(), body(b"data: 1\n\n"), END, None)
        await task

    assert exchange.body.replace(BEAT, b"") == b"data: 1\n\n"
    assert exchange.ended


async def test_a_quick_answer_is_not_begun_early() -> None:
    app, exchange = Script(), request()
    async with running(layer(app, interval=60, early_start=0.1), exchange) as task:
        await app.does(start(429, [(b"content-type", b"application/json")]))
        await asyncio.sleep(0.15)
        await app.does(body(b"{}", more=False), None)
        await task
    assert exchange.status == 429
    assert exchange.body == b"{}"


@pytest.mark.parametrize("operation", ["", None])
async def test_only_a_call_that_wants_a_stream_is_begun_early(operation: str | None) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if operation is not None:
            facts.put(scope, Call(FIXED["embeddings"], "m"))
        await several_intervals()
        await Responder(b"{}", status=404)(scope, receive, send)

    exchange = await request().run(layer(app, early_start=INTERVAL))
    assert exchange.status == 404


async def test_a_call_that_is_known_late_is_begun_all_the_same() -> None:
    async def app(scope: Scope, _receive: Receive, send: Send) -> None:
        await several_intervals()
        facts.put(scope, Call(FIXED["chat/completions"], "m", stream=True))
        await several_intervals()
        await send(start())
        await send(END)

    exchange = await request().run(layer(app, early_start=INTERVAL))
    assert exchange.body.startswith(BEAT)


def chat_event(data: bytes) -> Any:
    assert data.startswith(b"data: ")
    assert data.endswith(b"\n\n")
    return json.loads(data[6:])["error"]


def responses_event(data: bytes) -> Any:
    assert data.startswith(b"event: error\ndata: ")
    assert data.endswith(b"\n\n")
    event = json.loads(data.split(b"data: ", 1)[1])
    assert event["type"] == "error"
    return event


@pytest.mark.parametrize(
    ("operation", "read"), [("chat/completions", chat_event), ("responses", responses_event)]
)
async def test_an_error_after_an_early_start_becomes_an_event(
    operation: str, read: Callable[[bytes], Any]
) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        facts.put(scope, Call(FIXED[operation], "m", stream=True))
        await several_intervals()
        await Error(Kind.REQUESTS_LIMITED, "Too many.", param="model")(scope, receive, send)

    exchange = await request(f"/v1/{operation}").run(layer(app, early_start=INTERVAL))
    assert exchange.status == 200
    event = read(exchange.body.replace(BEAT, b""))
    assert event["message"] == "Too many."
    assert (event["param"], event["code"]) == ("model", "rate_limit_exceeded")
    assert exchange.ended


@pytest.mark.parametrize(
    ("parts", "message", "code"),
    [
        ([b'{"error":{"message":"No.","code":400}}'], "No.", "400"),
        ([b'{"error":{"message"', b':"No.","type":null}}'], "No.", None),
        ([b'{"error":{"message":["No."]}}'], "The server had", None),
        ([b"<html>"], "The server had", None),
        ([b""], "The server had", None),
        ([b'{"error":"\xff"}'], "The server had", None),
        ([b"[" * 50_000], "The server had", None),
        ([b"x" * 1000] * 1000, "The server had", None),
    ],
)
async def test_any_error_after_an_early_start_becomes_one_event(
    parts: list[bytes], message: str, code: str | None
) -> None:
    app, exchange = Script(), request()
    async with running(layer(app, early_start=INTERVAL), exchange) as task:
        await exchange.until(BEAT)
        messages = [body(part) for part in parts]
        await app.does(start(502, [(b"content-type", b"text/html")]), *messages, END, None)
        await task
    event = chat_event(exchange.body.replace(BEAT, b""))
    assert event["message"].startswith(message)
    assert event["code"] == code
    assert len(exchange.body) < MAX_ERROR_BODY


async def test_a_bug_after_an_early_start_is_told_in_the_stream() -> None:
    app, exchange = Script(), request()
    async with running(layer(ErrorMiddleware(app), early_start=INTERVAL), exchange) as task:
        await exchange.until(BEAT)
        await app.does(LookupError("secret"))
        with pytest.raises(LookupError):
            await task
    event = chat_event(exchange.body.replace(BEAT, b""))
    assert event["type"] == "server_error"
    assert b"secret" not in exchange.body


async def test_a_call_is_known_from_the_layers_below() -> None:
    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        await several_intervals()
        await send(start())
        await send(END)

    stack = Stack(
        [
            Middleware(HeartbeatMiddleware, interval=INTERVAL, early_start=INTERVAL),
            Middleware(OperationsMiddleware),
        ],
        app,
    )
    exchange = await request().run(stack)
    assert exchange.body.startswith(BEAT)
    exchange = await json_request({"model": "m"}).run(stack)
    assert exchange.header("x-accel-buffering") is None


@pytest.mark.parametrize(
    "options", [{"interval": 0}, {"interval": -1}, {"early_start": 0}, {"early_start": -1.0}]
)
def test_times_are_more_than_nothing(options: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="give more than 0"):
        HeartbeatMiddleware(Responder(), **options)


async def test_an_app_that_wakes_before_a_heartbeat_is_forgotten_goes_on() -> None:
    """What wakes the app here comes from the heartbeat itself, one turn before its callbacks."""
    beaten = asyncio.Event()
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)
        if message.get("body") == b": keep-alive\n\n":
            beaten.set()

    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        headers = [(b"content-type", b"text/event-stream")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await beaten.wait()
        await send({"type": "http.response.body", "body": b"data: {}\n\n"})

    exchange = json_request({"stream": True})
    async with asyncio.timeout(5):
        await HeartbeatMiddleware(app, interval=0.01)(exchange.scope, exchange.receive, send)
    assert sent[-1]["body"] == b"data: {}\n\n"
