"""Forwarding: which header fields cross the proxy, in each direction (RFC 9110 §7.6)."""

from collections.abc import Iterable

from veneer.wire import fields

Headers = list[tuple[bytes, bytes]]

# What shows who is calling: meant for us, never for the upstream once it is shown a key of its own.
CREDENTIALS = frozenset(
    [
        b"authorization",
        b"api-key",
        b"x-api-key",
        b"cookie",
        b"openai-organization",
        b"openai-project",
    ]
)

# Host and framing are the transport's; Expect was answered by the server; the rest tells a third
# party where the client sits (RFC 7239 §8.3).
NOT_TO_UPSTREAM = frozenset(
    [
        b"host",
        b"content-length",
        b"expect",
        b"forwarded",
        b"x-forwarded-for",
        b"x-forwarded-host",
        b"x-forwarded-port",
        b"x-forwarded-proto",
        b"x-real-ip",
    ]
)

NOT_TO_KEYED_UPSTREAM = NOT_TO_UPSTREAM | CREDENTIALS

# The server's own, the upstream's account, and what holds for the upstream's origin only.
NOT_TO_CLIENT = frozenset(
    [
        b"date",
        b"server",
        b"set-cookie",
        b"openai-organization",
        b"openai-project",
        b"x-request-id",
        b"alt-svc",
        b"strict-transport-security",
    ]
)


def to_upstream(
    headers: Iterable[tuple[bytes, bytes]], http_version: str, *, keyed: bool
) -> Headers:
    """Return the fields that go on, with Via added; `keyed` where the upstream has its own key.

    A traceparent that is not valid goes no further, nor does its tracestate (W3C Trace Context §3.2).
    """
    dropped = NOT_TO_KEYED_UPSTREAM if keyed else NOT_TO_UPSTREAM
    kept = []
    traced = True
    via = http_version.encode() + b" veneer"
    for pair in fields.end_to_end(headers):
        name, value = pair
        if name in dropped or (keyed and name.startswith(b"proxy-")):
            continue
        if name == b"via":
            via = value + b", " + via
        elif name == b"traceparent" and not fields.is_traceparent(value):
            traced = False
        else:
            kept.append(pair)
    if not traced:
        kept = [pair for pair in kept if pair[0] != b"tracestate"]
    kept.append((b"via", via))
    return kept


def to_client(headers: Iterable[tuple[bytes, bytes]]) -> Headers:
    """Return the fields of an upstream's response that its client may see."""
    return [
        pair
        for pair in fields.end_to_end(headers)
        if pair[0] not in NOT_TO_CLIENT and not pair[0].startswith(b"access-control-")
    ]
