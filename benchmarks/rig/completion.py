"""The call that is measured, and its answer: small, as chat completions mostly are."""

import json
from collections.abc import Mapping

import msgspec

# The key that its client shows: one of sixteen characters or more, as a store of keys takes it.
CLIENT_KEY = "sk-client-of-the-benchmarks"

MODEL = "small-model"

REQUEST = json.dumps(
    {
        "model": MODEL,
        "messages": [
            {"role": "system", "content": "You are a helpful assistant."},
            {"role": "user", "content": "Which river runs through Vienna?"},
        ],
        "temperature": 0.2,
    }
).encode()

COMPLETION = json.dumps(
    {
        "id": "chatcmpl-0123456789abcdef0123456789",
        "object": "chat.completion",
        "created": 1_700_000_000,
        "model": MODEL,
        "choices": [
            {
                "index": 0,
                "message": {
                    "role": "assistant",
                    "content": "The Danube runs through Vienna, from northwest to southeast.",
                    "refusal": None,
                    "annotations": [],
                },
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": {
            "prompt_tokens": 24,
            "completion_tokens": 16,
            "total_tokens": 40,
            "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
        },
    }
).encode()

PATH = "/v1/chat/completions"


class Call(msgspec.Struct, frozen=True):
    """How a proxy wants to be called: where, under which name of the model, with which fields."""

    path: str = PATH
    model: str = MODEL
    headers: Mapping[str, str] = msgspec.field(
        default_factory=lambda: {"authorization": f"Bearer {CLIENT_KEY}"}
    )

    def body(self, **more: object) -> bytes:
        """Return the body of the call, with more members."""
        if self.model == MODEL and not more:
            return REQUEST
        return json.dumps({**json.loads(REQUEST), "model": self.model, **more}).encode()

    def request(self, body: bytes, **more: str) -> bytes:
        """Return the whole request of HTTP/1.1, with more fields."""
        fields = {
            "host": "127.0.0.1",
            "content-type": "application/json",
            **self.headers,
            **more,
            "content-length": str(len(body)),
        }
        head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        return f"POST {self.path} HTTP/1.1\r\n{head}\r\n".encode() + body
