"""Forwarding: which header fields cross the proxy, in each direction (RFC 9110 §7.6)."""

from types import MappingProxyType

import msgspec

from veneer.client import FRAMING
from veneer.wire import fields

Headers = list[tuple[bytes, bytes]]

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
        b"x-forwarded-prefix",
        b"x-forwarded-proto",
        b"x-forwarded-server",
        b"x-real-ip",
        b"x-client-ip",
        b"true-client-ip",
        b"cf-connecting-ip",
        b"cf-connecting-ipv6",
    ]
)

# What is looked at one by one, because its value matters.
JUDGED = frozenset([b"connection", b"via", b"traceparent", b"tracestate"])

TRACE = frozenset([b"traceparent", b"tracestate"])

# What we add to Via, by the version that the client speaks (RFC 9110 §7.6.3).
VIA = MappingProxyType({"1.1": b"1.1 veneer"})

# The server's own, the upstream's account, and what holds for the upstream's origin only.
NOT_TO_CLIENT = frozenset(
    [
        b"date",
        b"server",
        b"set-cookie",
        b"set-cookie2",
        b"openai-organization",
        b"openai-project",
        b"x-request-id",
        b"alt-svc",
        b"authorization",
        b"clear-site-data",
        b"strict-transport-security",
    ]
)

HIDDEN = fields.HOP_BY_HOP | NOT_TO_CLIENT

# What lies between these begins with `proxy-` or `access-control-`; cutting the beginning off each
# name to compare it would cost more.
PROXY, AFTER_PROXY = b"proxy-", b"proxy."
ACCESS, AFTER_ACCESS = b"access-control-", b"access-control."


def withheld(key_header: bytes | None) -> frozenset[bytes]:
    """Return the names of what an upstream is not told; its own key stands in `key_header`."""
    dropped = fields.HOP_BY_HOP | NOT_TO_UPSTREAM | JUDGED
    return dropped if key_header is None else dropped | fields.CREDENTIALS | {key_header}


def to_upstream(
    headers: Headers, http_version: str, dropped: frozenset[bytes]
) -> tuple[Headers, Headers]:
    """Return the fields that go on, and apart from them those that frame the body.

    Names in `dropped` do not go on, and Via is added. A traceparent that is not valid goes no
    further; without a valid one, nor does tracestate (W3C Trace Context §3.2, §3.3).
    """
    kept = []
    framing = []
    judged = []
    for pair in headers:
        name = pair[0]
        if name not in dropped:
            if not PROXY <= name < AFTER_PROXY:
                kept.append(pair)
        elif name in FRAMING:
            framing.append(pair)
        elif name in JUDGED and pair[1] not in fields.PLAIN_CONNECTION:
            judged.append(pair)
    via = VIA.get(http_version) or http_version.encode("ascii") + b" veneer"
    if judged:
        traced = [pair for pair in judged if pair[0] == b"traceparent"]
        if len(traced) == 1 and fields.is_traceparent(traced[0][1]):
            kept += [pair for pair in judged if pair[0] in TRACE]
        nominated = fields.nominated(judged)
        if nominated:
            kept = [pair for pair in kept if pair[0] not in nominated]
        via = b", ".join([*(value for name, value in judged if name == b"via"), via])
    kept.append((b"via", via))
    return kept, framing


class Answer(msgspec.Struct, frozen=True, gc=False):
    """What an upstream's header comes to: the fields that its client may see, and two of them.

    `request_id`, the upstream's own, is none that the client sees.
    """

    headers: Headers
    content_type: bytes | None
    request_id: bytes | None


def to_client(headers: Headers) -> Answer:
    """Return what there is for the client in the header of an upstream's response."""
    kept = []
    nominating = []
    content_type = request_id = None
    for pair in headers:
        name = pair[0]
        if name in HIDDEN:
            if name == b"connection":
                if pair[1] not in fields.PLAIN_CONNECTION:
                    nominating.append(pair)
            elif name == b"x-request-id" and request_id is None:
                request_id = pair[1]
        elif not ACCESS <= name < AFTER_ACCESS:
            kept.append(pair)
            if name == b"content-type" and content_type is None:
                content_type = pair[1]
    if nominating:
        nominated = fields.nominated(nominating)
        if nominated:
            kept = [pair for pair in kept if pair[0] not in nominated]
    return Answer(kept, content_type, request_id)
