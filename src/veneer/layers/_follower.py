"""One client of a flight: what is told to it besides, and how it is let down."""

from collections.abc import Awaitable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from veneer import facts
from veneer.dialects import OPENAI, Dialect
from veneer.facts import Quotas, Replayed, ResponseFact
from veneer.idempotency.flight import SHUTTING_DOWN, Flight
from veneer.idempotency.replay import Replay
from veneer.idempotency.rules import lasting
from veneer.operations import endpoint_of
from veneer.wire import fields

BLANK_LINE = b"\n\n"


async def give(answer: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer a request whose call is over with what was recorded, or with why it is not."""
    if isinstance(answer, Replay):
        known = scope[facts.SCOPE_KEY]
        known[Replayed] = Replayed()
        answer = answer.with_field((known.get(Dialect) or OPENAI).replayed)
    await answer(scope, receive, send)


class Follower:
    """Passes the answer of a flight to one of those who asked for it.

    The one that came `first` shares the facts of the call with the layers above it; to all others
    the answer is a replay.
    """

    __slots__ = (
        "_dialect",
        "_events",
        "_first",
        "_flight",
        "_known",
        "_last",
        "_scope",
        "_send",
        "_started",
        "_streams",
    )

    def __init__(self, flight: Flight, scope: Scope, send: Send, *, first: bool) -> None:
        self._flight = flight
        self._scope = scope
        self._send = send
        self._first = first
        self._known = scope[facts.SCOPE_KEY]
        self._dialect = self._known.get(Dialect) or OPENAI
        self._started = False
        self._streams = False
        self._events = 0
        self._last = BLANK_LINE

    def send(self, message: Message) -> Awaitable[None]:
        """Pass a message on; it is no coroutine of its own, as most events only pass."""
        if message["type"] == "http.response.start":
            self._started = True
            message = self._begin(message)
        else:
            if self._streams:
                self._last = message["body"]
                self._events += self._last.count(BLANK_LINE)
            if not message.get("more_body", False):
                self.share_facts()
        return self._send(message)

    def share_facts(self) -> None:
        """Give the layers above what is known of the call by now, if it is theirs."""
        if self._first:
            for kind, fact in self._flight.facts.items():
                if isinstance(fact, (ResponseFact, Quotas)):
                    self._known[kind] = fact

    async def let_down(self, receive: Receive) -> None:
        """Say that the server stops, if it still can be said."""
        if not self._started:
            self._started = True
            await SHUTTING_DOWN(self._scope, receive, self._send)
        elif self._streams:
            endpoint = endpoint_of(self._scope)
            operation = "" if endpoint is None else endpoint.operation.name
            event = SHUTTING_DOWN.event(self._scope, operation, self._events)
            if not self._last.endswith(BLANK_LINE):
                event = BLANK_LINE + event
            await self._send({"type": "http.response.body", "body": event, "more_body": True})

    def _begin(self, start: Message) -> Message:
        headers = list(start["headers"])
        kind = fields.get(headers, b"content-type")
        self._streams = kind is not None and fields.is_event_stream(fields.media_type(kind))
        answer = self._flight.answer
        if isinstance(answer, Replay) or (answer is None and not self._first):
            self._known[Replayed] = Replayed()
            headers = [*lasting(headers, self._known), self._dialect.replayed]
        self.share_facts()
        if not self._flight.recorded:
            headers.append((self._dialect.idempotency_status, b"unrecorded"))
        return {**start, "headers": headers}
