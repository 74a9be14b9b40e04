"""Reading HTTP/1.1 responses strictly: llhttp's own strictness, and what it leaves open.

What two readers could understand differently is refused (RFC 9112 §6.3, §11): llhttp refuses folded
fields, bare line ends, control characters, and lengths that are doubled, mixed or no numbers; here
follow other transfer codings than chunked, versions other than 1.0 and 1.1, upgrades, and sizes.
"""

import re

import httptools

from veneer.upstream.response import H1Response, Wire
from veneer.upstream.transport import Headers, MalformedResponse

_INTERIM, _SWITCHING_PROTOCOLS, _OK, _NO_CONTENT, _NOT_MODIFIED, _LAST = (
    100,
    101,
    200,
    204,
    304,
    599,
)
# What of a header says how its message ends, and how long its connection stays.
_NOTED = frozenset([b"content-length", b"transfer-encoding", b"keep-alive"])
_KEEP_ALIVE_TIMEOUT = re.compile(rb"\btimeout\s*=\s*(\d{1,9})", re.IGNORECASE)


class ResponseReader:
    """Makes one `H1Response` after another from the bytes of one connection.

    After `begin`, `response` is set as soon as its header is whole, `complete` once nothing more
    belongs to it. `reusable` says whether another may follow, `keepalive` how many seconds the
    upstream promises to wait for that, `until_eof` that only the connection's end can complete it.
    """

    def __init__(self, wire: Wire, max_header_bytes: int) -> None:
        self.response: H1Response | None = None
        self.complete = False
        self.reusable = True
        self.until_eof = False
        self.keepalive: float | None = None
        self._wire = wire
        self._max_header_bytes = max_header_bytes
        self._headers: Headers = []
        self._head_only = False
        self._version_1_1 = False
        self._interim = False
        # Bytes received since something came of them: a head, or a part of the body.
        self._fruitless = 0
        self._parser = httptools.HttpResponseParser(self)

    def begin(self, method: bytes) -> None:
        """Expect a response to a request of this method."""
        self.response = None
        self.complete = False
        self._headers = []
        self._head_only = method == b"HEAD"
        self._fruitless = 0

    def feed(self, data: bytes) -> None:
        """Take what was received. After a `MalformedResponse` nothing more may be fed."""
        if self._fruitless == 0 and self.response is None:
            self._version_1_1 = data[:9] == b"HTTP/1.1 "
            # llhttp takes RTSP and ICE as well, and empty lines before them.
            if not self._version_1_1 and not data.startswith(b"HTTP/"[: len(data)]):
                raise MalformedResponse("the upstream does not answer in HTTP")
        self._fruitless += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self.reusable = False
            # Whatever follows a whole response cannot harm it.
            if not self.complete:
                cause = error.__context__
                if isinstance(cause, MalformedResponse):
                    raise cause from None
                raise MalformedResponse(f"the upstream's response is malformed: {error}") from error
        if self._fruitless > self._max_header_bytes and not self.complete:
            raise MalformedResponse("the upstream sends a header without end")

    def on_message_begin(self) -> None:
        """Refuse a response that nobody asked for."""
        if self.complete:
            raise MalformedResponse("the upstream sends more than its response")

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a field of the header, or of the trailers, of which nothing is made."""
        name = name.lower()
        # llhttp leaves the blanks after a value on it (RFC 9112 §5.1); for the coding they matter.
        self._headers.append((name, value if name == b"transfer-encoding" else value.rstrip()))

    def on_headers_complete(self) -> None:
        """Judge the header, and make the response unless it is an interim one."""
        status = self._parser.get_status_code()
        headers = self._headers
        if self._fruitless > self._max_header_bytes:
            self._check_size()
        if not _OK <= status <= _LAST:
            self._interim_response(status)
            return
        sized = False
        for name, value in headers:
            if name in _NOTED:
                if name == b"keep-alive":
                    found = _KEEP_ALIVE_TIMEOUT.search(value)
                    self.keepalive = float(found[1]) if found else None
                    continue
                sized = True
                if name == b"transfer-encoding":
                    self._check_coding(value)
        if not self._version_1_1:
            self._check_version()
        bodiless = self._head_only or status in (_NO_CONTENT, _NOT_MODIFIED)
        self.until_eof = not bodiless and not sized
        # llhttp cannot be told of a HEAD, and 204 has no length: what comes next is doubtful.
        self.reusable = (
            self._version_1_1
            and self._parser.should_keep_alive()
            and not self._head_only
            and not (status == _NO_CONTENT and sized)
        )
        self._fruitless = 0
        self.complete = self._head_only
        self.response = H1Response(status, headers, self._wire)
        self._headers = []

    def on_body(self, data: bytes) -> None:
        """Hand on a part of the body."""
        if self.response is not None and not self.complete:
            self._fruitless = 0
            self.response.arrived(data)

    def on_message_complete(self) -> None:
        """Note the end of a final response."""
        if self.response is not None:
            self.complete = True

    def _interim_response(self, status: int) -> None:
        """Forget a 1xx response (RFC 9110 §15.2), unless it means to change the protocol."""
        lengths = (b"content-length", b"transfer-encoding")
        if not _INTERIM <= status < _OK or status == _SWITCHING_PROTOCOLS:
            raise MalformedResponse(f"the upstream answers with the unusable status {status}")
        if any(name in lengths for name, _ in self._headers):
            raise MalformedResponse("the upstream gives an interim response a body")
        self._headers = []
        self._version_1_1 = False

    def _check_size(self) -> None:
        """Tell a header over the bound from one whose body came along."""
        if (
            sum(len(name) + len(value) + 4 for name, value in self._headers)
            > self._max_header_bytes
        ):
            raise MalformedResponse("the upstream's header is too long")

    def _check_coding(self, coding: bytes) -> None:
        """Allow one transfer coding, chunked, which HTTP/1.0 does not have (RFC 9112 §6.1).

        Not even a blank may follow it: llhttp would not see the chunks then.
        """
        names = [name for name, _ in self._headers]
        if coding.lower() != b"chunked" or names.count(b"transfer-encoding") != 1:
            raise MalformedResponse("the upstream uses a transfer coding other than chunked")
        if self._parser.get_http_version() != "1.1":
            raise MalformedResponse("the upstream sends chunks in a version without them")

    def _check_version(self) -> None:
        version = self._parser.get_http_version()
        if version not in ("1.0", "1.1"):
            raise MalformedResponse(f"the upstream answers in HTTP/{version}")
        self._version_1_1 = version == "1.1"
