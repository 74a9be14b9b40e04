"""Headers: a request id, the API's version, timing and CORS on every response.

Stands outermost, so that every error below has a request id. Reads nothing; writes `RequestId` and
`Dialect`. Uses `Principal` when the response starts, if a layer below has found one by then: its
team may have a version of its own.
"""

from collections.abc import Awaitable, Sequence
from importlib import import_module
from time import perf_counter

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from veneer import facts
from veneer.dialects import OPENAI, Dialect, Kind
from veneer.dialects.dialect import Versions
from veneer.errors import Error
from veneer.facts import Principal, RequestId, Route
from veneer.layer import Layer
from veneer.wire import fields
from veneer.wire.ids import request_id

CLIENT_ID = b"x-client-request-id"
CLIENT_ID_LENGTH = 512
PROCESSING = b"openai-processing-ms"


class HeadersMiddleware(Layer):
    """Stamps every response with who answered, how, and in what time.

    `dialect` is how this API speaks; everything below asks it. `client_ids` keeps the
    `X-Client-Request-Id` that a client sends (up to 512 visible characters) and echoes it; our own
    id never comes from a client. `server_timing` adds the field of that name (W3C Server Timing).
    `cors_origins` are those whose scripts may call: `["*"]` for all, none for no CORS at all; where
    it is on, preflights are answered here and need no key.
    """

    writes = (RequestId, Dialect)

    def __init__(
        self,
        app: ASGIApp,
        *,
        dialect: Dialect = OPENAI,
        client_ids: bool = False,
        server_timing: bool = True,
        cors_origins: Sequence[str] = (),
    ) -> None:
        if cors_origins:
            # Imported by those who use it: it brings in Starlette's requests and responses.
            cors = import_module("starlette.middleware.cors")
            app = cors.CORSMiddleware(
                app,
                allow_origins=cors_origins,
                allow_methods=["GET", "POST", "DELETE"],
                allow_headers=["*"],
                expose_headers=dialect.exposed,
            )
        super().__init__(app)
        self._dialect = dialect
        self._client_ids = client_ids
        self._server_timing = server_timing
        self._id_names = tuple(dialect.request_id_headers)
        self._constant = [] if dialect.version is None else [dialect.version]
        self._versions = dialect.versions
        said = [name for name, _ in self._constant]
        if dialect.versions is not None:
            said.append(dialect.versions.field)
        self._replaced = frozenset([*dialect.request_id_headers, *said, CLIENT_ID])

    def handle(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Pass the request on, and add our fields to the start of its response."""
        started = perf_counter()
        known = scope[facts.SCOPE_KEY]
        client_id = self._client_id(scope) if self._client_ids else None
        own_id = request_id()
        known[RequestId] = RequestId(own_id, client_id)
        known[Dialect] = self._dialect
        versions = self._versions
        version, refused = (None, None) if versions is None else asked_version(scope, versions)

        # No coroutine of its own: all but the start of a response only passes.
        def send_with_headers(message: Message) -> Awaitable[None]:
            if message["type"] == "http.response.start":
                seconds = perf_counter() - started
                # A loop costs half of what a comprehension does.
                headers, is_timed, replaced = [], False, self._replaced
                for pair in message.get("headers", ()):
                    name = pair[0]
                    if name not in replaced:
                        headers.append(pair)
                        is_timed = is_timed or name == PROCESSING
                for name in self._id_names:
                    headers.append((name, own_id.encode()))  # noqa: PERF401 - as said
                headers += self._constant
                if versions is not None:
                    applied = version or versions.default_of(known.get(Principal))
                    headers.append((versions.field, applied.encode()))
                if client_id is not None:
                    headers.append((CLIENT_ID, client_id.encode()))
                if not is_timed:
                    headers.append((PROCESSING, b"%d" % (seconds * 1000)))
                if self._server_timing:
                    headers.append((b"server-timing", timing(seconds, known.get(Route))))
                message = {**message, "headers": headers}
            return send(message)

        return (refused or self.below)(scope, receive, send_with_headers)

    @staticmethod
    def _client_id(scope: Scope) -> str | None:
        value = fields.get(scope["headers"], CLIENT_ID)
        if value is None or len(value) > CLIENT_ID_LENGTH or not value.isascii():
            return None
        text = value.decode("ascii")
        return text if text.isprintable() and text else None


def asked_version(scope: Scope, versions: Versions) -> tuple[str | None, Error | None]:
    """Return the version that is asked for, if one is, and the error where there is no such."""
    wanted = fields.get(scope["headers"], versions.field)
    if wanted is None:
        return None, None
    version = wanted.decode("latin-1")
    if version in versions.known:
        return version, None
    return versions.known[0], Error(
        Kind.UNKNOWN_VERSION,
        f"There is no such version of this API. Known are {', '.join(versions.known)}.",
        param=versions.field.decode("ascii"),
    )


def timing(seconds: float, route: Route | None) -> bytes:
    """Return a Server-Timing value: all the time until here, and the upstream's part of it."""
    total = b"total;dur=%.1f" % (seconds * 1000)
    return total if route is None else b"%b, upstream;dur=%.1f" % (total, route.seconds * 1000)
