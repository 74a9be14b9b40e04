"""The relay: passes answers on as they come, reads their usage, applies the edits of other layers.

What a dialect tells of every call, such as how it was routed, is told here, too. Answers 502 for an
upstream whose answer is not what was asked for (JSON for a stream, a stream for JSON, nothing at
all), and ends a stream that breaks with one error event and a cut connection. Needs no facts;
writes `Call`, `Usage`, `Answered` and `Relayed`. Stands right above the app, or above what
translates for it.
"""

import asyncio

import anyio
from starlette.types import ASGIApp, Receive, Scope, Send

from veneer import facts
from veneer.call import Call, read_call
from veneer.client import Client, ClientDisconnectedError, client_of
from veneer.dialects import Dialect, Kind
from veneer.edits import Edits, edits_of
from veneer.errors import INTERNAL, BrokenResponseError, Error
from veneer.facts import Answered, Relayed, Usage
from veneer.layer import Layer
from veneer.layers._answer import Answer, Asked
from veneer.layers._routed import telling
from veneer.layers._stream import CHUNKED
from veneer.operations import Endpoint, endpoint_of
from veneer.wire import splice
from veneer.wire.framing import uncoded

# A JSON answer or an event beyond this is not held for edits.
MAX_OBSERVED = 4 * 1024 * 1024

# How long a stream that is being cut off may take to say so, in seconds.
FAREWELL = 1.0

# Ways of sending a body that do not show it (asgiref, extensions).
UNSEEN = frozenset(["http.response.pathsend", "http.response.zerocopysend"])

INTERRUPTED = Error(Kind.UPSTREAM_INTERRUPTED, "The model server broke off its response.")
SHUTTING_DOWN = Error(Kind.SHUTTING_DOWN, "The server is shutting down.")


class RelayMiddleware(Layer):
    """Relays plain answers and streams.

    `inject_usage` asks the upstream for the usage of a stream (`stream_options.include_usage`)
    where a layer needs it and the client did not ask; the extra chunk is then withheld. Switch it
    off for an upstream that does not know the option. `max_observed` (bytes) bounds the JSON body,
    and the event of a stream, that is held for edits and read for usage; a larger one passes as it
    is, unobserved, but that the usage at the end of a body is found.
    """

    writes = (Call, Usage, Answered, Relayed)

    def __init__(
        self, app: ASGIApp, *, inject_usage: bool = True, max_observed: int = MAX_OBSERVED
    ) -> None:
        if max_observed <= 0:
            raise ValueError(f"max_observed is {max_observed}; give the bytes of a JSON answer.")
        super().__init__(app)
        self._inject_usage = inject_usage
        self._max_observed = max_observed

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and its answer back."""
        known = scope[facts.SCOPE_KEY]
        endpoint = known.get(Endpoint) or endpoint_of(scope)
        if endpoint is None or not endpoint.operation.default:
            await self.below(scope, receive, send)
            return
        call = known.get(Call) or await read_call(scope, receive)
        if isinstance(call, Error):
            await call(scope, receive, send)
            return
        edits = known.get(Edits) or edits_of(scope)
        dialect = known.get(Dialect)
        if dialect is not None:
            send = telling(dialect, scope, send, call, edits)
        inject = call.stream and self._inject_usage and needs_usage(call, edits)
        below = observable(scope)
        if inject:
            below = asking_for_usage(below, client_of(scope, receive))
        asked = Asked(call, edits, self._max_observed, inject)
        try:
            await self._relay(Answer(scope, receive, send, asked), below, receive)
        finally:
            edits.forget()

    async def _relay(self, answer: Answer, scope: Scope, receive: Receive) -> None:
        """Call the app; see that its answer reaches the client whole, or as a failure."""
        try:
            await self.below(scope, receive, answer.send)
        except ClientDisconnectedError:
            raise
        except asyncio.CancelledError:
            with anyio.move_on_after(FAREWELL, shield=True):
                await answer.break_off(SHUTTING_DOWN)
            raise
        except BrokenResponseError:
            if await answer.break_off(INTERRUPTED):
                raise
        except Exception:
            if answer.started:
                await answer.break_off(INTERNAL)
            raise
        else:
            if answer.finished or client_of(scope, receive).disconnected:
                return
            if await answer.break_off(INTERRUPTED):
                raise BrokenResponseError("the app below ended its response before it was whole")
        finally:
            answer.settle()


def needs_usage(call: Call, edits: Edits) -> bool:
    """Whether a layer needs the usage of a stream whose client did not ask for it."""
    return (
        call.include_usage is not True
        and (edits.usage_wanted or edits.usage_shown)
        and call.operation.name in CHUNKED
    )


def asking_for_usage(scope: Scope, client: Client) -> Scope:
    """Return the scope of a request whose stream is to tell its usage.

    Options that are no object stay: their error is the upstream's to find.
    """
    body = client.kept
    options = splice.value(body, ("stream_options",))
    if options is None:
        body = splice.insert(body, (), b'"stream_options":{"include_usage":true}')
    elif options == b"null":
        body = splice.set_member(body, (), "stream_options", b'{"include_usage":true}')
    elif options[:1] == b"{":
        body = splice.set_member(body, ("stream_options",), "include_usage", b"true")
    return client.replace_body(scope, body)


def observable(scope: Scope) -> Scope:
    """Return the scope of a request whose answer comes as plain bytes, which can be read."""
    below = {**scope, "headers": uncoded(scope["headers"])}
    extensions = scope.get("extensions")
    if extensions and not UNSEEN.isdisjoint(extensions):
        below["extensions"] = {k: v for k, v in extensions.items() if k not in UNSEEN}
    return below
