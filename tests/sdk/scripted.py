"""A server that says what a test has written, for what our own stack never sends."""

import gzip
import json
from collections.abc import Callable, Iterable
from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send

from tests.sdk.test_routing import REQUIRED

SAYS: Any = [{"role": "user", "content": "Hello!"}]
EVENT_STREAM = (b"content-type", b"text/event-stream")


def chunk(**members: Any) -> dict[str, Any]:
    """Return a chunk of a chat completion."""
    return {
        "id": "1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "small",
        "choices": [{"index": 0, "delta": {"content": "a"}, "finish_reason": None}],
        **members,
    }


PLAIN = chunk()
ROUTED = chunk(routing_metadata=REQUIRED)
PAID = chunk(usage={"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2, "cost": 3})
BROKEN = {"error": {"message": "It broke.", "type": "api_error", "code": "upstream_error"}}


def events(*chunks: object, done: bool = True) -> bytes:
    """Return chunks as a stream of events."""
    said = b"".join(b"data: %b\n\n" % json.dumps(one).encode() for one in chunks)
    return said + b"data: [DONE]\n\n" if done else said


def says(*parts: bytes, headers: Iterable[tuple[bytes, bytes]] = ()) -> ASGIApp:
    """Return an app that answers so, part by part."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        await receive()
        fields = [EVENT_STREAM, (b"x-request-id", b"req_1"), *headers]
        await send({"type": "http.response.start", "status": 200, "headers": fields})
        for part in parts:
            await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body"})

    return app


def breaks(*parts: bytes) -> ASGIApp:
    """Return a model server that dies in the middle of a stream."""
    good = says(*parts)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        async def send_but_the_end(message: Any) -> None:
            if message.get("more_body") is False or message == {"type": "http.response.body"}:
                raise ConnectionError("cut")
            await send(message)

        await good(scope, receive, send_but_the_end)

    return app


# What a stream of events may look like on the wire, all the same to whoever reads it.
SHAPES: dict[str, Callable[[bytes], ASGIApp]] = {
    "plain": says,
    "crlf": lambda body: says(body.replace(b"\n", b"\r\n")),
    "no-space": lambda body: says(body.replace(b"data: ", b"data:")),
    "comments": lambda body: says(b": hello\n\n" + body.replace(b"\n\n", b"\n\n: ping\n\n")),
    "no-done": lambda body: says(body.removesuffix(events())),
    "gzip": lambda body: says(gzip.compress(body), headers=[(b"content-encoding", b"gzip")]),
    "bytes": lambda body: says(*(body[at : at + 1] for at in range(len(body)))),
}
