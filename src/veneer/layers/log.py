"""Log: one line a call on the logger `veneer.access`.

Answers nothing by itself. Reads, where they are known, `RequestId`, `RequestMetadata`, `Endpoint`,
`Call`, `Route`, `Usage`, `Relayed` and `Replayed`; writes nothing. Stands below what gives requests
their id, above all that may refuse them. A line holds no body, no query string and no credential,
and what comes from outside cannot break out of its field.
"""

import logging
import time
from asyncio import CancelledError
from collections.abc import Awaitable, Mapping
from typing import Any, Literal
from urllib.parse import quote

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from veneer import facts
from veneer.call import Call
from veneer.client import Client, ClientDisconnectedError
from veneer.errors import BrokenResponseError
from veneer.facts import Relayed, Replayed, RequestId, RequestMetadata, Route, Usage
from veneer.layer import Layer
from veneer.layers._logged import MAX_FIELD, Entry, add_route, as_json, as_text, shown
from veneer.operations import Endpoint

logger = logging.getLogger("veneer.access")

Format = Literal["text", "json"]


class LogMiddleware(Layer):
    """Writes one line a call to the logger `veneer.access`, at INFO, when the call is over.

    `format` is `text` (`key=value`, values quoted as JSON where they need it) or `json` (one object
    a line). `outcome` is `complete`, `client_disconnected`, `upstream_interrupted`, `cancelled` (we
    were told to stop) or `error` (a bug of ours or of the app). While the logger is disabled,
    nothing is counted.
    """

    def __init__(self, app: ASGIApp, *, format: Format = "text") -> None:  # noqa: A002 - the option's name
        if format not in ("text", "json"):
            raise ValueError(f"format is {format!r}; say 'text' or 'json'.")
        super().__init__(app)
        self._render = as_json if format == "json" else as_text
        self._second = (0, "")
        self._constant: Mapping[str, Any] | None = None

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and write its line when it is over."""
        if not logger.isEnabledFor(logging.INFO):
            await self.below(scope, receive, send)
            return
        seen = _Seen(send)
        try:
            await self.below(scope, receive, seen.send)
        except BaseException as error:
            seen.raised = type(error)
            raise
        finally:
            self._write(scope, seen)

    def _write(self, scope: Scope, seen: "_Seen") -> None:
        now = time.time()
        line = self._render(entry_of(scope, seen, self._stamp(now)))
        if self._constant is None:
            self._constant = vars(
                logger.makeRecord(logger.name, logging.INFO, __file__, 0, "", (), None, "handle")
            )
        logger.handle(_Record(self._constant, line, now))

    def _stamp(self, now: float) -> str:
        """Return a time in UTC (RFC 3339); all but its milliseconds is made once a second."""
        second = int(now)
        if second != self._second[0]:
            self._second = second, time.strftime("%Y-%m-%dT%H:%M:%S.", time.gmtime(second))
        return f"{self._second[1]}{int(now * 1000) % 1000:03d}Z"


class _Record(logging.LogRecord):
    """A record that asks for nothing anew that is the same for every line.

    The ordinary way (a walk up the stack, names of file, thread and process) costs more than all
    the rest of a line.
    """

    def __init__(self, constant: Mapping[str, Any], line: str, now: float) -> None:
        self.__dict__.update(constant)
        self.msg = line
        self.created = now
        self.msecs = now % 1 * 1000


def entry_of(scope: Scope, seen: "_Seen", stamp: str) -> Entry:
    """Return what is known of a call that is over."""
    known = scope[facts.SCOPE_KEY]
    entry = Entry(
        time=stamp,
        method=scope["method"],
        status=seen.status,
        ms=round((time.perf_counter() - seen.started) * 1000, 1),
        bytes=seen.bytes,
        outcome=_outcome(seen, known.get(Client), known.get(Relayed)),
    )
    if seen.first_byte is not None:
        entry.first_byte_ms = round((seen.first_byte - seen.started) * 1000, 1)
    own = known.get(RequestId)
    if own is not None:
        entry.request_id = own.value
        entry.client_id = own.client and shown(own.client)
    said = known.get(RequestMetadata)
    if said is not None:
        entry.user_id = said.user_id and shown(said.user_id)
        entry.trace_id = said.trace_id and shown(said.trace_id)
    endpoint = known.get(Endpoint)
    if endpoint is None:
        entry.path = quote(scope["path"][:MAX_FIELD], safe="/:@!$&'()*+,;=~", errors="replace")
    else:
        entry.operation = endpoint.operation.name
    call = known.get(Call)
    if call is not None:
        entry.model = call.model and shown(call.model)
        entry.stream = call.stream
    route = known.get(Route)
    if route is not None:
        add_route(entry, route)
    usage = known.get(Usage)
    if usage is not None:
        entry.input_tokens = usage.input_tokens
        entry.output_tokens = usage.output_tokens
    if Replayed in known:
        entry.replayed = True
    return entry


class _Seen:
    """What passes through `send` during one call."""

    __slots__ = ("_send", "bytes", "ended", "first_byte", "raised", "started", "status")

    def __init__(self, send: Send) -> None:
        self._send = send
        self.started = time.perf_counter()
        self.status: int | None = None
        self.bytes = 0
        self.first_byte: float | None = None
        self.ended = False
        self.raised: type[BaseException] | None = None

    def send(self, message: Message) -> Awaitable[None]:
        """Count a message and hand it on; only the last costs a coroutine here."""
        if message["type"] != "http.response.body":
            self.status = message.get("status", self.status)
            return self._send(message)
        body = message.get("body")
        if body:
            if self.first_byte is None:
                self.first_byte = time.perf_counter()
            self.bytes += len(body)
        return self._send(message) if message.get("more_body") else self._end(message)

    async def _end(self, message: Message) -> None:
        await self._send(message)
        self.ended = True


def _outcome(seen: _Seen, client: Client | None, relayed: Relayed | None) -> str:
    whole = seen.ended and (relayed is None or relayed.complete)
    # Who has had all of it may leave before the call has returned.
    if whole and (seen.raised is None or issubclass(seen.raised, ClientDisconnectedError)):
        outcome = "complete"
    elif not seen.ended and client is not None and client.disconnected:
        outcome = "client_disconnected"
    elif seen.raised is None or issubclass(seen.raised, BrokenResponseError):
        outcome = "error" if whole or relayed is None else "upstream_interrupted"
    else:
        outcome = "cancelled" if issubclass(seen.raised, CancelledError) else "error"
    return outcome
