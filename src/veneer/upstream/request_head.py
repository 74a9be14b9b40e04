"""The head of an HTTP/1.1 request as bytes (RFC 9112 §3 and §5)."""

import re
from functools import lru_cache
from operator import itemgetter

from veneer.upstream.transport import Request

# A request with one of these methods that has no body needs no Content-Length (RFC 9110 §8.6).
_BODILESS = frozenset((b"GET", b"HEAD", b"DELETE", b"OPTIONS", b"TRACE"))
_METHODS = frozenset((b"GET", b"POST"))
_TARGET = re.compile(rb"[^\x00-\x20\x7f]+").fullmatch
_LINE = b": ".join
_NAME = itemgetter(0)
_END = (b"", b"")
_OURS = frozenset((b"host", b"connection", b"content-length", b"transfer-encoding"))


def host_line(authority: str) -> bytes:
    """Return the end of the request line and the Host field, the same for all of an origin."""
    return b" HTTP/1.1\nhost: %b" % authority.encode("ascii")


def framing(request: Request) -> tuple[bytes, bytes] | None:
    """Return the field that says where the body of `request` ends; None where there is no body."""
    body = request.body
    if isinstance(body, bytes):
        if not body and request.method in _BODILESS:
            return None
        return b"content-length", b"%d" % len(body)
    if request.content_length is None:
        return b"transfer-encoding", b"chunked"
    return b"content-length", b"%d" % request.content_length


def render_head(request: Request, host: bytes) -> bytes:
    """Return the head of `request`, up to and with its empty line; `host` is from `host_line`.

    Raises ValueError for what could be read as another request (RFC 9112 §11.2): line ends or NUL
    in a field, blanks in the method or the target, a field that the transport has to write.
    Names of fields are expected in lower case.
    """
    method, target, fields = request.method, request.target, request.headers
    frame = framing(request)
    lines = [method + b" " + target + host, *map(_LINE, fields)]
    if frame is not None:
        lines.append(_LINE(frame))
    lines += _END
    # With one character between lines, replacing it tells how many there are at a fraction of what
    # counting costs.
    drawn = b"\n".join(lines)
    head = drawn.replace(b"\n", b"\r\n")
    # `host` ends one line and is another, so there are as many breaks as parts were joined. Not
    # `in`: for bytes, that raises and drops an exception first.
    if len(head) - len(drawn) != len(lines) or drawn.find(b"\r") >= 0 or drawn.find(b"\0") >= 0:
        raise ValueError("a request holds a line end or NUL where none may stand")
    if not (_is_method(method) and _is_target(target)):
        raise ValueError("a request needs a method and an encoded target, neither with blanks")
    if not _OURS.isdisjoint(map(_NAME, fields)):
        raise ValueError("host, framing and connection fields are the transport's to write")
    return head


def _is_method(method: bytes) -> bool:
    return method in _METHODS or (method.isalpha() and method != b"CONNECT")


@lru_cache(maxsize=64)
def _is_target(target: bytes) -> bool:
    return _TARGET(target) is not None
