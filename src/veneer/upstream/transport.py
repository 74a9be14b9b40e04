"""The seam between `Upstream` and what carries its requests: two transports stand behind it."""

from collections.abc import AsyncIterable
from typing import Protocol

import msgspec

Headers = list[tuple[bytes, bytes]]


class Timeouts(msgspec.Struct, frozen=True, kw_only=True):
    """How long each wait on an upstream may last, in seconds; None waits for ever.

    `pool` is the wait for a free connection, `connect` covers TCP and TLS, `write` the time without
    a byte of the request taken, `response_header` the time from the whole request to the response's
    header, `read` the time without a byte of the body while somebody waits for one.
    """

    connect: float | None = 5.0
    write: float | None = 30.0
    response_header: float | None = 600.0
    read: float | None = 300.0
    pool: float | None = 5.0


class PoolLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds of a pool: connections in all, callers that wait for one, connections that idle.

    `keepalive_expiry` is how long one idles, in seconds; an upstream's own `Keep-Alive: timeout`
    shortens it, never lengthens it (a POST cannot be sent again when an idle connection dies under
    it).
    """

    max_connections: int = 4096
    max_waiting: int = 4096
    max_idle: int = 256
    keepalive_expiry: float = 4.0


class Request(msgspec.Struct):
    """A request to an upstream.

    `target` is the origin-form of RFC 9112 §3.2.1 (path and query), encoded; `headers` hold neither
    Host nor framing (Content-Length, Transfer-Encoding), which the transport adds. A body of bytes
    is sent with its length; an iterable with `content_length` where it is known, else chunked. The
    iterable is left where an early response ends the upload; closing it is its maker's business.
    `begun` is set by the transport when the upstream may have got any of it.
    """

    method: bytes
    target: bytes
    headers: Headers
    body: bytes | AsyncIterable[bytes] = b""
    content_length: int | None = None
    begun: bool = False


class Response(Protocol):
    """An upstream's answer, from its header on."""

    @property
    def status(self) -> int:
        """The final status code; interim responses (1xx) never show."""

    @property
    def headers(self) -> Headers:
        """The fields in the order and number they came, names in lower case."""

    @property
    def ended(self) -> bool:
        """Whether the whole body has been handed out: another `read` returns no bytes at once."""

    async def read(self) -> bytes:
        """Return what has arrived of the body, waiting for at least one byte; no bytes at its end.

        Raises `Truncated`, `ReadTimeout` or `MalformedResponse` when the body cannot be completed.
        """

    async def aclose(self) -> None:
        """Give the connection back if the body has ended, else close it. May be called twice."""


class Transport(Protocol):
    """Carries requests to one origin."""

    async def request(self, request: Request) -> Response:
        """Send a request and return the response once its header is here.

        Raises a `TransportError`, or what the request's body raised. Cancelling it closes the
        connection it used. Nothing is sent twice.
        """

    async def aclose(self) -> None:
        """Close every connection. Calls under way fail with `Truncated`."""


class TransportError(Exception):
    """What went wrong between us and an upstream; its text is for logs, never for clients."""


class ConnectFailed(TransportError):
    """No connection could be made: refused, unreachable, unknown name, or TLS not acceptable."""


class ConnectTimeout(TransportError):
    """No connection within `Timeouts.connect`."""


class PoolTimeout(TransportError):
    """Every connection is in use, and none came free in time."""


class BodyMismatch(TransportError):
    """The request body was not of the length announced; the upstream saw a request cut short."""


class WriteTimeout(TransportError):
    """The upstream stopped taking the request."""


class HeaderTimeout(TransportError):
    """The upstream took the request and sent no response header in time."""


class ReadTimeout(TransportError):
    """The upstream went silent in the middle of its body."""


class MalformedResponse(TransportError):
    """What came is not HTTP that can be trusted, or is over a limit."""


class Truncated(TransportError):
    """The upstream closed the connection before its response was whole."""
