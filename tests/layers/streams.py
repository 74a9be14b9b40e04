"""Streams and bodies as upstreams send them, for the tests of what relays them."""

import json
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

USAGE = {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8}
RESPONSES_USAGE = {"input_tokens": 5, "output_tokens": 3, "total_tokens": 8}
DONE = b"data: [DONE]\n\n"


def compact(value: Any) -> bytes:
    """Return JSON text without blanks, as OpenAI writes it."""
    return json.dumps(value, separators=(",", ":")).encode()


def event(value: Any, kind: str = "") -> bytes:
    """Return an event with this data, and of this type if it is given."""
    head = f"event: {kind}\n".encode() if kind else b""
    return head + b"data: " + compact(value) + b"\n\n"


def chunk(
    content: str | None = None, *, finish: str | None = None, index: int = 0, **more: Any
) -> bytes:
    """Return a chunk of a chat stream."""
    delta = {} if content is None else {"content": content}
    choice = {"index": index, "delta": delta, "finish_reason": finish}
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "model": "small"}
    return event({**head, "choices": [choice], **more})


def usage_chunk(**more: Any) -> bytes:
    """Return the extra chunk of `include_usage`."""
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "model": "small"}
    return event({**head, "choices": [], "usage": USAGE, **more})


CHAT = (chunk("Hel"), chunk("lo \u00e9"), chunk(finish="stop"), DONE)
CHAT_WITH_USAGE = (
    chunk("Hel", usage=None),
    chunk("lo \u00e9", usage=None),
    chunk(finish="stop", usage=None),
    usage_chunk(),
    DONE,
)
COMPLETED = {"id": "resp_1", "model": "small", "status": "completed", "usage": RESPONSES_USAGE}
RESPONSES = (
    event(
        {"type": "response.created", "response": {"id": "resp_1", "model": "small", "usage": None}},
        "response.created",
    ),
    event({"type": "response.output_text.delta", "delta": "Hi"}, "response.output_text.delta"),
    event({"type": "response.completed", "response": COMPLETED}, "response.completed"),
)


def members(stream: bytes) -> list[Any]:
    """Return the data of every event of a stream that has some, decoded where it is JSON."""
    found: list[Any] = []
    for part in stream.replace(b"\r\n", b"\n").split(b"\n\n"):
        lines = [line[5:].strip() for line in part.split(b"\n") if line.startswith(b"data:")]
        if lines:
            data = b"\n".join(lines)
            found.append(data.decode() if data.startswith(b"[") else json.loads(data))
    return found


def cut(stream: bytes, places: Iterable[int]) -> list[bytes]:
    """Return the stream in pieces, cut at these places."""
    edges = [0, *sorted({min(place, len(stream)) for place in places}), len(stream)]
    return [stream[a:b] for a, b in pairwise(edges)]
