"""The events of the measured streams: chunks of a completion that carry when they were sent."""

import re

# Digits of a time in nanoseconds, as CLOCK_MONOTONIC has it, the same for all processes.
DIGITS = 19

HEAD = (
    b'data: {"id":"chatcmpl-0123456789abcdef0123456789","object":"chat.completion.chunk",'
    b'"created":1700000000,"model":"small-model","system_fingerprint":"fp_0123456789",'
    b'"choices":[{"index":0,"delta":{"content":" '
)
TAIL = b'"},"logprobs":null,"finish_reason":null}]}\n\n'
END = (
    b'data: {"id":"chatcmpl-0123456789abcdef0123456789","object":"chat.completion.chunk",'
    b'"created":1700000000,"model":"small-model","choices":[{"index":0,"delta":{},'
    b'"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
)

SENT = re.compile(rb'"content":" (\d{19})"')


def event(sent: int) -> bytes:
    """Return an event that says when it was sent."""
    return b"%b%019d%b" % (HEAD, sent, TAIL)
