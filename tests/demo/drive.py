"""Drive a demo server with raw ASGI messages."""

import math
from typing import Any, NamedTuple

import anyio
import msgspec
from starlette.types import Message, Scope

from veneer.demo import DemoServer

CHAT = "veneer-demo-1"
NOW = 1_800_000_000


class Answered(NamedTuple):
    """What a request was answered with."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return msgspec.json.decode(self.body)

    @property
    def error(self) -> Any:
        """The error of the envelope."""
        return self.json["error"]

    @property
    def frames(self) -> list[bytes]:
        """The events of a stream, which must be framed to the byte."""
        assert self.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert self.body.endswith(b"\n\n")
        return self.body[:-2].split(b"\n\n")

    @property
    def chunks(self) -> list[Any]:
        """The JSON of a chat or completion stream, whose end must be `[DONE]`."""
        *chunks, done = self.frames
        assert done == b"data: [DONE]"
        return [msgspec.json.decode(chunk.removeprefix(b"data: ")) for chunk in chunks]

    @property
    def events(self) -> list[Any]:
        """The JSON of a responses stream, each of the type that its event line names."""
        events = []
        for frame in self.frames:
            name, data = frame.split(b"\n")
            events.append(msgspec.json.decode(data.removeprefix(b"data: ")))
            assert name == f"event: {events[-1]['type']}".encode()
        return events


def server(**options: Any) -> DemoServer:
    """Return a demo server whose clock stands at `NOW`."""
    return DemoServer(clock=lambda: NOW, **options)


def http_scope(method: str, path: str, **more: Any) -> Scope:
    return {"type": "http", "method": method, "path": path, "headers": [], **more}


async def post(path: str, body: object, app: DemoServer | None = None, **scope: Any) -> Answered:
    """Post `body`, as JSON unless it is bytes, and return the answer."""
    content = body if isinstance(body, bytes) else msgspec.json.encode(body)
    return await call(http_scope("POST", path, **scope), content, app)


async def chat(text: str = "hi", /, **members: Any) -> Answered:
    """Post a chat completion of one user message."""
    body = {"model": CHAT, "messages": [{"role": "user", "content": text}], **members}
    return await post("/v1/chat/completions", body)


async def call(scope: Scope, content: bytes = b"", app: DemoServer | None = None) -> Answered:
    """Send one request, its body in two messages, and return the answer once it is complete."""
    middle = len(content) // 2
    waiting: list[Message] = [
        {"type": "http.request", "body": content[:middle], "more_body": True},
        {"type": "http.request", "body": content[middle:]},
    ]
    sent: list[Message] = []

    async def receive() -> Message:
        if not waiting:
            await anyio.sleep(math.inf)
        return waiting.pop(0)

    async def send(message: Message) -> None:
        sent.append(message)

    await (app or server())(scope, receive, send)
    start, *bodies = sent
    assert start["type"] == "http.response.start"
    assert [message.get("more_body", False) for message in bodies] == [True] * (len(bodies) - 1) + [
        False
    ]
    headers = {name.decode(): value.decode() for name, value in start["headers"]}
    return Answered(start["status"], headers, b"".join(message["body"] for message in bodies))
