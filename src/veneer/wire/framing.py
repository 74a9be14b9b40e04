"""Header fields that hold for the bytes of a body as they are, mended for others."""

from collections.abc import Iterable

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
    return [*without_length(headers), (b"content-length", b"%d" % length)]
