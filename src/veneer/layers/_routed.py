"""What a dialect tells of every call in its answer: its usage unasked, and how it was routed."""

from collections.abc import Awaitable, Callable
from time import perf_counter
from typing import cast

from starlette.types import Message, Scope, Send

from veneer import facts
from veneer.call import Call
from veneer.catalog.model import Resolved
from veneer.dialects import Dialect
from veneer.dialects.routing import STRATEGIES, STRATEGY, Routing, Strategy
from veneer.edits import Edits
from veneer.facts import Cost, Route, Usage
from veneer.routing.preferences import Preferences

# Calls whose answers tell how they were routed.
ROUTED = frozenset(["chat.completions", "completions", "responses", "embeddings"])
# Who answers where nobody says: the app below.
PROVIDER = "upstream"
# Seconds of a stream below which its throughput says more of buffers than of the model.
SHORTEST = 0.01


def telling(dialect: Dialect, scope: Scope, send: Send, call: Call, edits: Edits) -> Send:
    """Have an answer tell what its dialect tells of every call; return how it is to be sent."""
    if call.operation.name not in ROUTED or scope["method"] != "POST":
        return send
    edits.usage_shown = edits.usage_shown or (dialect.shows_usage and call.stream)
    edits.output_text = dialect.output_text and call.operation.name == "responses"
    if dialect.metadata is None:
        return send
    routed = Routed(scope, send, call, edits, dialect.metadata)
    edits.at_end.append(routed.at_end)
    edits.beside = routed.beside
    return routed.send if call.stream else send


class Routed:
    """Tells how one call was routed; `write` says it in the dialect.

    It has to stand below whoever works out the cost.
    """

    __slots__ = ("_call", "_edits", "_first", "_known", "_members", "_send", "_started", "_write")

    def __init__(
        self,
        scope: Scope,
        send: Send,
        call: Call,
        edits: Edits,
        write: Callable[[Routing], bytes],
    ) -> None:
        self._known = scope[facts.SCOPE_KEY]
        self._send = send
        self._call = call
        self._edits = edits
        self._write = write
        self._started = perf_counter()
        self._first: float | None = None
        self._members = b""

    def send(self, message: Message) -> Awaitable[None]:
        """Pass a message on; it is no coroutine of its own, as most events only pass."""
        if self._first is None and message.get("body"):
            self._first = perf_counter() - self._started
        return self._send(message)

    def at_end(self, usage: Usage | None) -> bytes:
        """Return the members for the last object of the answer; nothing for one that failed."""
        routing = None if self._edits.failed else self._routing(usage)
        self._members = b"" if routing is None else self._write(routing)
        return self._members

    def beside(self) -> bytes:
        """Return the same once more."""
        return self._members

    def _routing(self, usage: Usage | None) -> Routing | None:
        """Return how the call was routed, None where nobody knows which model answered it."""
        known, answered = self._known, self._edits.answered
        route, resolved, cost = known.get(Route), known.get(Resolved), known.get(Cost)
        canonical = self._call.model if resolved is None else resolved.model.id
        model = self._call.model
        if route is not None:
            canonical, model = route.canonical or canonical, route.model or model
        if model is None:
            model = None if answered is None else answered.model
        if model is None:
            return None
        return Routing(
            provider=PROVIDER if route is None else route.target,
            model=model,
            canonical=canonical or model,
            strategy=strategy_of(route, known.get(Preferences)),
            cost=None if cost is None else cost.total,
            first=self._until_first(),
            throughput=self._throughput(usage),
            warnings=tuple(dict.fromkeys(self._edits.warnings)),
        )

    def _until_first(self) -> float | None:
        """Return the seconds until the first event; what is being told may be all of a stream."""
        if not self._call.stream or self._first is not None:
            return self._first
        return perf_counter() - self._started

    def _throughput(self, usage: Usage | None) -> float | None:
        """Return the tokens a second of a stream since its first event, None where none is known.

        The first one came with that event, so its time is not counted.
        """
        if usage is None or usage.output_tokens <= 1 or usage.malformed or self._first is None:
            return None
        seconds = perf_counter() - self._started - self._first
        return (usage.output_tokens - 1) / seconds if seconds >= SHORTEST else None


def strategy_of(route: Route | None, preferences: Preferences | None) -> Strategy:
    """Return by what a target was chosen, or was to be; other words would break Auriko's client."""
    if route is not None and route.strategy in STRATEGIES:
        return cast("Strategy", route.strategy)
    if preferences is None:
        return STRATEGY
    return "custom" if preferences.weights is not None else preferences.optimize or STRATEGY
