"""The call that is measured, and its answer: small, as chat completions mostly are."""

import json

# The key that its client shows.
CLIENT_KEY = "sk-client"

REQUEST = json.dumps(
    {
        "model": "small-model",
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
        "model": "small-model",
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
