"""The ASGI application: bodies, streams, lifespan."""

import math

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.types import Message

from veneer.demo import DemoServer
from veneer.demo.server import MAX_BODY_BYTES

from .drive import CHAT, call, chat, http_scope, post, server

STREAM = b'{"model":"veneer-demo-1","stream":true,"messages":[{"role":"user","content":"one two"}]}'


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"\xff", b'{"model":"\xff"}', b'{"a":"\\ud800"}', b'{"a":' + b"[" * 100_000],
)
async def test_a_body_that_is_not_json_is_refused(content: bytes) -> None:
    answered = await post("/v1/chat/completions", content)
    assert answered.status == 400
    assert answered.error["message"].startswith("We could not parse the JSON body")
    assert set(answered.error) == {"message", "type", "param", "code"}


MEMBERS = [
    "messages",
    "input",
    "prompt",
    "tools",
    "functions",
    "tool_choice",
    "function_call",
    "stop",
    "response_format",
    "text",
    "stream",
    "n",
    "dimensions",
    "max_tokens",
    "instructions",
]
WORDS = [
    "type",
    "function",
    "name",
    "parameters",
    "role",
    "user",
    "tool",
    "content",
    "text",
    "format",
    "json_schema",
    "schema",
    "message",
    "output",
    "required",
    "auto",
    "$ref",
    "anyOf",
    "items",
]
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.floats()
    | st.sampled_from(WORDS)
    | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS), inner, max_size=4)
    ),
    max_leaves=12,
)


@settings(max_examples=150, deadline=None)
@given(
    path=st.sampled_from(
        ["chat/completions", "completions", "responses", "embeddings", "moderations"]
    ),
    members=st.dictionaries(st.sampled_from(MEMBERS), VALUES),
)
async def test_any_json_is_answered_or_refused(path: str, members: dict[str, object]) -> None:
    model = "veneer-demo-embed" if path == "embeddings" else CHAT
    model = "veneer-demo-moderation" if path == "moderations" else model
    answered = await post(f"/v1/{path}", {"model": model, **members})
    assert answered.status in {200, 400}
    if answered.status == 400:
        assert set(answered.error) == {"message", "type", "param", "code"}


@pytest.mark.parametrize("content", [b"[]", b"3", b"null"])
async def test_a_body_that_is_no_object_is_refused(content: bytes) -> None:
    answered = await post("/v1/responses", content)
    assert (answered.status, answered.error["param"]) == (400, None)


async def test_a_body_too_long_is_refused_by_its_declared_length_unread() -> None:
    headers = [(b"content-length", str(MAX_BODY_BYTES + 1).encode())]
    scope = http_scope("POST", "/v1/chat/completions", headers=headers)
    assert (await call(scope)).status == 413


async def test_a_body_too_long_is_refused_when_it_has_grown() -> None:
    assert (await post("/v1/chat/completions", b" " * (MAX_BODY_BYTES + 1))).status == 413


async def test_an_honest_length_is_read() -> None:
    content = STREAM.replace(b"true", b"false")
    headers = [(b"host", b"demo"), (b"content-length", str(len(content)).encode())]
    assert (await post("/v1/chat/completions", content, headers=headers)).status == 200


async def test_a_document_has_its_length_and_a_request_id() -> None:
    answered = await chat()
    assert answered.headers["content-type"] == "application/json"
    assert answered.headers["content-length"] == str(len(answered.body))
    assert answered.headers["x-request-id"].startswith("req_")


async def test_a_stream_pauses_between_its_events_and_not_around_them() -> None:
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    app = server(event_interval=0.5, sleep=sleep)
    answered = await post("/v1/chat/completions", STREAM, app)
    assert pauses == [0.5] * (len(answered.frames) - 1)


async def test_a_stream_is_sent_event_by_event_as_openai_frames_it() -> None:
    answered = await post("/v1/chat/completions", STREAM)
    assert answered.headers["cache-control"] == "no-cache"
    assert answered.frames[-1] == b"data: [DONE]"
    assert all(frame.startswith(b"data: ") for frame in answered.frames)
    assert all(b"\n" not in frame for frame in answered.frames)


async def test_a_client_that_leaves_before_its_body_is_whole_gets_nothing() -> None:
    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        raise AssertionError(message)

    await server()(http_scope("POST", "/v1/responses"), receive, send)


async def test_the_lifespan_is_taken_part_in() -> None:
    waiting = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]
    sent: list[str] = []

    async def receive() -> Message:
        return waiting.pop(0)

    async def send(message: Message) -> None:
        sent.append(message["type"])

    await server()({"type": "lifespan"}, receive, send)
    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


async def test_a_web_socket_is_refused() -> None:
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    async def send(message: Message) -> None:
        sent.append(message)

    await server()({"type": "websocket", "path": "/v1/realtime"}, receive, send)
    assert [message["type"] for message in sent] == ["websocket.close"]


@pytest.mark.parametrize("interval", [-1.0, math.inf, math.nan])
def test_an_interval_that_is_no_time_is_refused(interval: float) -> None:
    with pytest.raises(ValueError, match="event_interval"):
        DemoServer(event_interval=interval)


async def test_a_cancelled_stream_ends() -> None:
    async def receive() -> Message:
        if not waiting:
            await anyio.sleep_forever()
        return waiting.pop(0)

    async def send(message: Message) -> None:
        del message
        scope.cancel()

    waiting: list[Message] = [{"type": "http.request", "body": STREAM}]
    app = server(event_interval=math.nextafter(math.inf, 0))
    with anyio.fail_after(5), anyio.CancelScope() as scope:
        await app(http_scope("POST", "/v1/chat/completions"), receive, send)
    assert scope.cancelled_caught


async def test_real_time_dates_an_answer_unless_a_clock_is_given() -> None:
    body = {"model": CHAT, "prompt": "hi"}
    assert (await post("/v1/completions", body, DemoServer())).json["created"] > 1_700_000_000
