"""HTTP/1.1 towards clients: uvicorn's protocol on httptools, with bounds on a request's header.

uvicorn waits for ever for a header that does not end, and keeps all of it. Deviations from it:
1. a header must come whole within a time and a size, its URL within another, and the body's framing
   (chunk extensions, trailers) may not grow without data;
2. trailers are dropped: uvicorn appends them to the header of a request that is being served;
3. a request to upgrade keeps its body: Java's HTTP client asks for HTTP/2 with its first request,
   and uvicorn would serve that without what it carries;
4. its options that we do not have (a root path, a bound on connections, an access log) are not
   asked about with each request;
5. refusals are said in the API's envelope, and the rest of what the client sends is read and thrown
   away for a moment, as a reset could overtake our answer (RFC 9112 §9.6).
"""

import asyncio
from typing import Any
from urllib.parse import unquote

import httptools
import msgspec
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from veneer.cli.cycle import Cycle
from veneer.cli.idle import Idle
from veneer.cli.refusal import LATE, MALFORMED, rendered, too_large, too_long
from veneer.dialects import OPENAI, Dialect
from veneer.errors import Error

# Seconds in which a refused client may read why before its connection is closed.
LINGER = 2.0

FRAMING = frozenset([b"content-length", b"transfer-encoding"])


class HeadBounds(msgspec.Struct, frozen=True, kw_only=True):
    """What the header of a request may take: seconds, bytes, and bytes of its URL."""

    timeout: float = 30.0
    size: int = 65536
    url: int = 8192


class _RefusedError(Exception):
    """Stops the parser; why stands in the protocol."""


class BoundedProtocol(HttpToolsProtocol):
    """uvicorn's protocol with bounds; a subclass sets others, and the dialect of refusals."""

    bounds = HeadBounds()
    dialect: Dialect = OPENAI

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # The bytes of this segment; of a header in the segments after its first; of a body's
        # framing since the last data.
        self._segment = 0
        self._head_bytes = 0
        self._framing_bytes = 0
        self._current: Cycle | None = None
        self._declining = False
        self._refusal: Error | None = None
        self._refused = False
        self._head_timer: asyncio.TimerHandle | None = None
        self._idle = Idle(self.loop, self.timeout_keep_alive, self.timeout_keep_alive_handler)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting."""
        self._stop_waiting()
        self._idle.stop()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Feed the parser, and see that a header or a body's framing does not grow without end."""
        if self._refused:
            return
        head, cycle = self.scope, self._current
        held = 0 if cycle is None else len(cycle.body)
        self._segment = len(data)
        self._idle.end()
        try:
            self._feed(data)
        except httptools.HttpParserError:
            self._refuse(self._refusal or MALFORMED)
        else:
            # Nearly always, a segment is one whole request, and that is all.
            now = self._current
            if now is cycle or now is None or now.more_body or self._in_head():
                self._bound(begun=self.scope is not head, grown=_grew(now, cycle, held))

    def _feed(self, data: bytes) -> None:
        while data:
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:
                data = data[upgrade.args[0] :]
                self._decline_upgrade()
            else:
                return

    def _in_head(self) -> bool:
        """Whether a header has begun and not ended; only then uvicorn knows the method."""
        scope: Any = self.scope
        return scope is not None and "method" not in scope

    def _bound(self, *, begun: bool, grown: bool) -> None:
        """Judge a segment that ended inside a request, or that held none."""
        if self._in_head() and not begun:
            self._head_bytes += self._segment
            if self._head_bytes > self.bounds.size:
                self._refuse(too_large(self.bounds.size))
                return
        elif begun or grown:
            self._framing_bytes = 0
        else:
            self._framing_bytes += self._segment
            if self._framing_bytes > self.bounds.size:
                self._refuse(MALFORMED)
                return
        if self._in_head() or self._current is None or self._current.response_complete:
            self._await_head()

    def _decline_upgrade(self) -> None:
        """Go on with a request to upgrade as if it were none (RFC 9110 §7.8).

        Its parser takes what follows for another protocol and its body for ended, so that the body
        needs a parser of its own.
        """
        scope, cycle = self.scope, self.cycle
        framing = [b"%b: %b\r\n" % pair for pair in scope["headers"] if pair[0] in FRAMING]
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        cycle.more_body = True
        cycle.message_event.clear()
        self._declining = True
        self.parser.feed_data(b"POST / HTTP/1.1\r\n%b\r\n" % b"".join(framing))
        self._declining = False
        self.scope = scope

    def on_headers_complete(self) -> None:
        """Judge the size of a header, and hand its request to the app."""
        if self._declining:
            return
        if self._head_timer is not None:
            self._stop_waiting()
        if len(self.url) > self.bounds.url:
            self._refusal = too_long(self.bounds.url)
            raise _RefusedError
        if self._head_bytes + self._segment > self.bounds.size:
            # Only now is it worth counting, for a body may stand in the same segment.
            size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
            if size > self.bounds.size:
                self._refusal = too_large(self.bounds.size)
                raise _RefusedError
        self._begin()
        self._head_bytes = 0
        # Whatever comes later under the name of a header is a trailer.
        self.headers = []

    def _begin(self) -> None:
        """Hand a request to the app, after those before it on this connection."""
        url = httptools.parse_url(self.url)
        scope: Any = self.scope
        scope["method"] = self.parser.get_method().decode("ascii")
        scope["path"] = unquote(url.path.decode("ascii"))
        scope["raw_path"] = url.path
        scope["query_string"] = url.query or b""
        version = scope["http_version"] = self.parser.get_http_version()
        before = self._current
        cycle = self.cycle = self._current = Cycle(
            scope=scope,
            transport=self.transport,
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=False,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=self.expect_100_continue,
            keep_alive=version != "1.0" and self.parser.should_keep_alive(),
            on_response=self.on_response_complete,
        )
        if before is None or before.response_complete:
            self._start_asgi_task(cycle, self.app)
        else:
            self.flow.pause_reading()
            self.pipeline.appendleft((cycle, self.app))

    def on_response_complete(self) -> None:
        """Go on with the next request that has come, or rest until there is one."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
        else:
            self._idle.begin()

    def _await_head(self) -> None:
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(self.bounds.timeout, self._head_is_late)

    def _stop_waiting(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _head_is_late(self) -> None:
        self._head_timer = None
        if self._current is not None and not self._current.response_complete:
            # The late one came behind a request that is being answered; its time begins after that.
            self._await_head()
        elif self._in_head():
            self._refuse(LATE)
        else:
            self.transport.close()

    def _refuse(self, error: Error) -> None:
        """Answer with an error, if there is room for an answer, and close the connection."""
        self._refused = True
        self._stop_waiting()
        cycle = self._current
        if cycle is not None and not cycle.response_complete:
            if cycle.response_started or self._in_head() or self.pipeline:
                self.transport.close()
                return
            # The app learns that its client is gone, and what it sends goes nowhere.
            cycle.disconnected = True
            cycle.message_event.set()
        self.transport.write(rendered(error, self.dialect, self.server_state.default_headers))
        self.transport.write_eof()
        self.loop.call_later(LINGER, self.transport.close)


def _grew(cycle: Cycle | None, before: Cycle | None, held: int) -> bool:
    """Whether a segment brought data for a body."""
    return cycle is not None and (cycle is not before or len(cycle.body) > held)
