"""Routing: how a call says it is to be routed, read from it and taken out of it.

Answers 400 for what cannot be said. Needs no facts; writes `Preferences`, `RequestMetadata`, and
`Call` anew with the model's name without its suffix. Stands below what replays answers, so that a
replay goes by the request as its client wrote it, and above all that goes by the model.
"""

import re
from collections.abc import Iterable

import msgspec
from starlette.types import ASGIApp, Receive, Scope, Send

from veneer import facts
from veneer.call import MAX_BODY, Call, read_call
from veneer.client import Client
from veneer.dialects import Dialect
from veneer.errors import Error, unreadable
from veneer.facts import RequestMetadata
from veneer.layer import Layer
from veneer.operations import Endpoint, endpoint_of
from veneer.routing.preferences import NO_PREFERENCES, Preferences
from veneer.routing.reading import GATEWAY, Gateway, read_gateway
from veneer.routing.suffix import without_suffixes
from veneer.wire import splice
from veneer.wire.naming import renamed

# Operations whose calls may go to one target or another.
ROUTED = frozenset(["chat.completions", "completions", "responses", "embeddings"])

NOTHING = Gateway()

# The member's name, and what may stand for it where letters are written as escapes.
QUOTED = b'"gateway"'
_escaped = re.compile(
    b'"%b"' % b"".join(rb"(?:%c|\\u00%02x)" % (letter, letter) for letter in GATEWAY.encode())
).search


class RoutingMiddleware(Layer):
    """Reads what calls say of how they are routed: in a member `gateway`, and in the model's name.

    That is `{"routing": {...}, "metadata": {...}, "models": [...]}`, and a suffix such as `:cost`.
    Both are read, and do not go on, where the dialect has them, or everywhere with `gateway`; with
    `gateway` False they pass as they came, for an upstream that may know them. What a call does not
    say is as in `preferences`. `names` are those of models that end like a suffix and have none.
    """

    writes = (Call, Preferences, RequestMetadata)

    def __init__(  # noqa: PLR0913 - each is a setting with a name, and most have a default
        self,
        app: ASGIApp,
        *,
        preferences: Preferences = NO_PREFERENCES,
        gateway: bool | None = None,
        names: Iterable[str] = (),
        max_body: int = MAX_BODY,
        provides: Iterable[type] = (),
    ) -> None:
        super().__init__(app, provides=provides)
        self._preferences = preferences
        self._gateway = gateway
        self._names = frozenset(names)
        self._max_body = max_body

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a call on with its preferences, or refuse it."""
        known = scope[facts.SCOPE_KEY]
        endpoint = known.get(Endpoint) or endpoint_of(scope)
        routed = endpoint is not None and endpoint.operation.name in ROUTED
        if not routed or scope["method"] != "POST":
            await self.below(scope, receive, send)
            return
        found: Scope | Error = scope
        if self._is_read(scope):
            call = known.get(Call) or await read_call(scope, receive, max_body=self._max_body)
            found = call if isinstance(call, Error) else self._read(scope, call)
        else:
            known[Preferences] = self._preferences
        if isinstance(found, Error):
            await found(scope, receive, send)
            return
        await self.below(found, receive, send)

    def _is_read(self, scope: Scope) -> bool:
        """Whether this call may say how it is to be routed."""
        if self._gateway is not None:
            return self._gateway
        dialect = facts.get(scope, Dialect)
        return dialect is not None and dialect.gateway

    def _read(self, scope: Scope, call: Call) -> Scope | Error:
        """Return the scope of a call without what it says of routing, or the error that it gets."""
        known = scope[facts.SCOPE_KEY]
        client: Client = known[Client]
        body = client.kept
        taken = taken_out(body) if says_gateway(body) else (body, NOTHING)
        if isinstance(taken, Error):
            return taken
        rest, gateway = taken
        found = without_suffixes(call.model, gateway, self._names)
        if isinstance(found, Error):
            return found
        model, gateway = found
        known[Preferences] = gateway.over(self._preferences)
        if gateway.metadata is not None:
            known[RequestMetadata] = gateway.metadata
        if model is not None and model != call.model:
            known[Call] = msgspec.structs.replace(call, model=model)
            rest = renamed(rest, model, named=bool(call.model))
        return scope if rest is body else client.replace_body(scope, rest)


def says_gateway(body: bytes) -> bool:
    """Whether the member may be in a body, at whatever depth."""
    # Not `in`: for bytes, that raises and drops an exception first.
    if body.find(QUOTED) >= 0:
        return True
    return body.find(b"\\u00") >= 0 and _escaped(body) is not None


def taken_out(body: bytes) -> tuple[bytes, Gateway] | Error:
    """Return a body without the member, and what that says; or why not."""
    try:
        text = splice.value(body, (GATEWAY,))
        if text is None:
            return body, NOTHING
        gateway = read_gateway(text)
        if isinstance(gateway, Error):
            return gateway
        return splice.remove(body, (GATEWAY,)), gateway
    except ValueError as error:
        return unreadable(error)
