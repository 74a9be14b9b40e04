"""Log: one line a call on the logger `veneer.access`.

Answers nothing by itself. Reads, where they are known, `RequestId`, `Endpoint`, `Call`, `Route`,
`Usage` and `Relayed`; writes nothing. Stands below what gives requests their id, above all that may
refuse them. A line holds no body, no query string and no credential, and what comes from outside
cannot break out of its field.
"""

import json
import logging
import re
import time
from asyncio import CancelledError
from typing import Literal
from urllib.parse import quote

import msgspec
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from veneer import facts
from veneer.call import Call
from veneer.client import Client
from veneer.facts import Relayed, RequestId, Route, Usage
from veneer.layer import Layer
from veneer.operations import Endpoint

logger = logging.getLogger("veneer.access")

Format = Literal["text", "json"]

# What is longer tells an operator nothing more.
MAX_FIELD = 200

_bare = re.compile(r"[A-Za-z0-9._:/@+%,-]+")
_encoder = msgspec.json.Encoder()


class Entry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is told of one call, in the order of its line; unknown members are left out.

    `path` stands where the request asked for no operation that we know. Times are in milliseconds
    from the request's arrival here, but `upstream_ms`, which is counted by what asked the upstream.
    """

    time: str
    request_id: str | None = None
    client_id: str | None = None
    method: str
    operation: str | None = None
    path: str | None = None
    model: str | None = None
    stream: bool | None = None
    status: int | None = None
    ms: float
    first_byte_ms: float | None = None
    bytes: int
    upstream: str | None = None
    upstream_status: int | None = None
    upstream_request_id: str | None = None
    upstream_ms: float | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    outcome: str


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

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and write its line when it is over."""
        if not logger.isEnabledFor(logging.INFO):
            await self.app(scope, receive, send)
            return
        seen = _Seen(send)
        try:
            await self.app(scope, receive, seen.send)
        except BaseException as error:
            seen.raised = type(error)
            raise
        finally:
            line = self._render(self._entry(scope, seen))
            # Logger.info would walk the stack for a caller's name, which no line shows.
            logger.handle(
                logger.makeRecord(logger.name, logging.INFO, "", 0, line, (), None, "handle")
            )

    def _entry(self, scope: Scope, seen: "_Seen") -> Entry:
        ms = (time.perf_counter() - seen.started) * 1000
        known = scope[facts.SCOPE_KEY]
        own = known.get(RequestId)
        endpoint = known.get(Endpoint)
        call = known.get(Call)
        route = known.get(Route)
        usage = known.get(Usage)
        return Entry(
            time=self._now(),
            request_id=None if own is None else own.value,
            client_id=None if own is None else _shown(own.client),
            method=scope["method"],
            operation=None if endpoint is None else endpoint.operation.name,
            path=_shown_path(scope["path"]) if endpoint is None else None,
            model=None if call is None else _shown(call.model),
            stream=None if call is None else call.stream,
            status=seen.status,
            ms=round(ms, 1),
            first_byte_ms=seen.first_byte_ms,
            bytes=seen.bytes,
            upstream=None if route is None else route.target,
            upstream_status=None if route is None else route.status,
            upstream_request_id=None if route is None else _shown(route.request_id),
            upstream_ms=None if route is None else round(route.seconds * 1000, 1),
            input_tokens=None if usage is None else usage.input_tokens,
            output_tokens=None if usage is None else usage.output_tokens,
            outcome=_outcome(seen, known.get(Client), known.get(Relayed)),
        )

    def _now(self) -> str:
        """Return the time in UTC (RFC 3339); all but its milliseconds is made once a second."""
        now = time.time()
        second = int(now)
        if second != self._second[0]:
            self._second = second, time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
        return f"{self._second[1]}.{int(now * 1000) % 1000:03d}Z"


class _Seen:
    """What passes through `send` during one call."""

    __slots__ = ("_send", "bytes", "ended", "first_byte_ms", "raised", "started", "status")

    def __init__(self, send: Send) -> None:
        self._send = send
        self.started = time.perf_counter()
        self.status: int | None = None
        self.bytes = 0
        self.first_byte_ms: float | None = None
        self.ended = False
        self.raised: type[BaseException] | None = None

    async def send(self, message: Message) -> None:
        """Count a message and hand it on."""
        if message["type"] == "http.response.body":
            body = message.get("body")
            if body:
                if self.first_byte_ms is None:
                    self.first_byte_ms = round((time.perf_counter() - self.started) * 1000, 1)
                self.bytes += len(body)
            await self._send(message)
            if not message.get("more_body"):
                self.ended = True
            return
        if message["type"] == "http.response.start":
            self.status = message["status"]
        await self._send(message)


def _outcome(seen: _Seen, client: Client | None, relayed: Relayed | None) -> str:
    if seen.ended and (relayed is None or relayed.complete):
        return "complete"
    if client is not None and client.disconnected:
        return "client_disconnected"
    if seen.raised is not None and issubclass(seen.raised, CancelledError):
        return "cancelled"
    if relayed is not None and not relayed.complete:
        return "upstream_interrupted"
    return "error"


def as_json(entry: Entry) -> str:
    """Render an entry as one JSON object."""
    return _encoder.encode(entry).decode()


def as_text(entry: Entry) -> str:
    """Render an entry as `key=value` pairs, values in JSON's quotes where they need them."""
    pairs = []
    for name in Entry.__struct_fields__:
        value = getattr(entry, name)
        if value is None:
            continue
        if value is True or value is False:
            value = "true" if value else "false"
        elif isinstance(value, str) and _bare.fullmatch(value) is None:
            value = json.dumps(value)
        pairs.append(f"{name}={value}")
    return " ".join(pairs)


def _shown(text: str | None) -> str | None:
    """Return a text from outside, cut and without anything that a terminal would obey."""
    if text is None:
        return None
    text = text[:MAX_FIELD]
    return text if text.isprintable() else ascii(text)[1:-1]


def _shown_path(path: str) -> str:
    return quote(path[:MAX_FIELD], safe="/:@!$&'()*+,;=~-._", errors="replace")
