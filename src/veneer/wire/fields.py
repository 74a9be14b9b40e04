"""Header fields, as raw pairs of bytes with names in lower case (RFC 9110 §5, §7.6)."""

import re
from collections.abc import Iterable

Fields = list[tuple[bytes, bytes]]

# Those that RFC 9110 §7.6.1 names, and the proxy's own credentials (§11.7); Trailer goes with the
# trailers that we discard (§6.5).
HOP_BY_HOP = frozenset([
    b"connection",
    b"keep-alive",
    b"proxy-authenticate",
    b"proxy-authorization",
    b"proxy-connection",
    b"te",
    b"trailer",
    b"transfer-encoding",
    b"upgrade",
])

# What Connection may not nominate away: without them the body is read differently on the two sides.
NOT_NOMINATED = frozenset([b"content-type", b"content-length", b"content-encoding"])

_PLAIN_CONNECTION = frozenset([b"keep-alive", b"close", b"Keep-Alive", b"Close"])
_TRACEPARENT = re.compile(
    rb"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}"
)


def get(fields: Iterable[tuple[bytes, bytes]], name: bytes) -> bytes | None:
    """Return the value of the first field of that name."""
    for field, value in fields:
        if field == name:
            return value
    return None


def end_to_end(fields: Iterable[tuple[bytes, bytes]]) -> Fields:
    """Return the fields without those meant for the next hop only (RFC 9110 §7.6.1).

    Connection may nominate more of them, but none that says how the body is to be read.
    """
    kept = []
    nominated: set[bytes] = set()
    for pair in fields:
        name, value = pair
        if name not in HOP_BY_HOP:
            kept.append(pair)
        elif name == b"connection" and value not in _PLAIN_CONNECTION:
            nominated.update(option.strip().lower() for option in value.split(b","))
    nominated -= NOT_NOMINATED
    return [pair for pair in kept if pair[0] not in nominated] if nominated else kept


def media_type(value: bytes) -> bytes:
    """Return the media type of a Content-Type value, in lower case and without parameters."""
    return value.partition(b";")[0].strip().lower()


def is_json(media: bytes) -> bool:
    """Whether a media type is JSON's, or one that is written in JSON (RFC 6839 §3.1)."""
    return media == b"application/json" or media.endswith(b"+json")


def is_event_stream(media: bytes) -> bool:
    """Whether a media type is that of server-sent events."""
    return media == b"text/event-stream"


def is_traceparent(value: bytes) -> bool:
    """Whether a value is a valid traceparent of version 00 (W3C Trace Context §3.2)."""
    return _TRACEPARENT.fullmatch(value) is not None
