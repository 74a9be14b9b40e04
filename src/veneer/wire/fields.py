"""Header fields, as raw pairs of bytes with names in lower case (RFC 9110 §5, §7.6)."""

import re
from collections.abc import Iterable
from functools import lru_cache

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

# Those that RFC 9110 §7.6.1 names, and the proxy's own credentials (§11.7); Trailer goes with the
# trailers that we discard (§6.5).
HOP_BY_HOP = frozenset(
    [
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    ]
)

# What Connection may not nominate away. RFC 9110 §7.6.1 forbids senders to nominate what is meant
# for all recipients; obeyed, `Connection: content-type` would make the two sides of us read one
# body differently, and `Connection: authorization` would make a call anonymous.
NOT_NOMINATED = frozenset(
    [
        b"authorization",
        b"cache-control",
        b"content-encoding",
        b"content-length",
        b"content-range",
        b"content-type",
        b"host",
    ]
)

# What Connection says of the connection itself; it nominates nothing.
PLAIN_CONNECTION = frozenset([b"keep-alive", b"close", b"Keep-Alive", b"Close"])
# A version later than 00 may append more parts.
_TRACEPARENT = re.compile(
    rb"(?P<version>(?!ff)[0-9a-f]{2})-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}"
    rb"(?P<more>-.*)?"
)
_TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")


def get(fields: Iterable[tuple[bytes, bytes]], name: bytes) -> bytes | None:
    """Return the value of the first field of that name."""
    for field, value in fields:
        if field == name:
            return value
    return None


def get_all(fields: Iterable[tuple[bytes, bytes]], name: bytes) -> list[bytes]:
    """Return the values of all fields of that name, in their order."""
    return [value for field, value in fields if field == name]


def nominated(fields: Iterable[tuple[bytes, bytes]]) -> set[bytes]:
    """Return the names that Connection nominates as meant for the next hop only, where it may.

    That is any but `NOT_NOMINATED`.
    """
    names: set[bytes] = set()
    for name, value in fields:
        if name == b"connection" and value not in PLAIN_CONNECTION:
            names.update(option.strip(b" \t").lower() for option in value.split(b","))
    return names - NOT_NOMINATED if names else names


@lru_cache(maxsize=64)
def media_type(value: bytes) -> bytes:
    """Return the media type of a Content-Type value, in lower case and without parameters."""
    return value.partition(b";")[0].strip(b" \t").lower()


def is_json(media: bytes) -> bool:
    """Tell whether a media type is JSON's, or one that is written in JSON (RFC 6839 §3.1)."""
    return media == b"application/json" or media.endswith(b"+json")


def is_event_stream(media: bytes) -> bool:
    """Tell whether a media type is that of server-sent events."""
    return media == b"text/event-stream"


def is_traceparent(value: bytes) -> bool:
    """Tell whether a value is a valid traceparent (W3C Trace Context §3.2).

    A version later than 00 is valid if it begins like one of version 00 (§4.3).
    """
    match = _TRACEPARENT.fullmatch(value)
    return match is not None and (match["more"] is None or match["version"] != b"00")


def is_token(text: bytes) -> bool:
    """Tell whether text can be a field name or another token (RFC 9110 §5.6.2)."""
    return _TOKEN.fullmatch(text) is not None
