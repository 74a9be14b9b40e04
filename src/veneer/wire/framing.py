"""Header fields that tell of the bytes of a body: read, and mended for others."""

from collections.abc import Iterable

from veneer.wire import fields

Headers = Iterable[tuple[bytes, bytes]]


def uncoded(headers: Headers) -> list[tuple[bytes, bytes]]:
    """Return the fields of a request whose answer is to come as plain bytes."""
    kept = [pair for pair in headers if pair[0] != b"accept-encoding"]
    kept.append((b"accept-encoding", b"identity"))
    return kept


def without_length(headers: Headers) -> list[tuple[bytes, bytes]]:
    """Return the fields of an answer whose bytes change as they pass."""
    return [pair for pair in headers if pair[0] not in (b"content-length", b"etag")]


def with_length(headers: Headers, length: int) -> list[tuple[bytes, bytes]]:
    """Return the fields of an answer with other bytes, so many."""
    kept = without_length(headers)
    kept.append((b"content-length", b"%d" % length))
    return kept


def unbuffered(headers: Headers) -> list[tuple[bytes, bytes]]:
    """Return the fields of a stream's start with those that keep proxies from holding it back."""
    kept = [pair for pair in headers if pair[0] not in (b"content-length", b"x-accel-buffering")]
    if fields.get(kept, b"cache-control") is None:
        kept.append((b"cache-control", b"no-cache, no-transform"))
    kept.append((b"x-accel-buffering", b"no"))
    return kept


def form_of(headers: Headers) -> tuple[bytes, bool]:
    """Return the media type of a body, empty where none is told, and whether it is coded."""
    media = coding = None
    for name, value in headers:
        if name == b"content-type" and media is None:
            media = fields.media_type(value)
        elif name == b"content-encoding" and coding is None:
            coding = value
    return media or b"", coding is not None and coding != b"identity"
