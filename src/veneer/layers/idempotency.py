"""Idempotency: a POST with a key runs once; whoever asks again gets the same answer.

Answers 400 for what is no key, 422 for one that was used for another request, 409 for one whose
call still runs (by option) or whose answer was too large to keep, 413 for a body too large to be
compared, 503 while nobody can tell. Reads `Principal`; writes `Call` and `Replayed`. The call runs
in a task of its own below, so what stands below belongs to the call, and what stands above to each
client: limits on requests stand above, whatever counts tokens or money below.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Iterable
from contextlib import asynccontextmanager
from operator import itemgetter
from typing import Literal

import anyio
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from veneer import facts
from veneer.call import Call
from veneer.client import client_of
from veneer.dialects import OPENAI, Dialect
from veneer.errors import Error
from veneer.facts import Principal, Replayed
from veneer.idempotency.flights import Flights
from veneer.idempotency.memory import MemoryRecordingStore
from veneer.idempotency.rules import Rules
from veneer.idempotency.store import RecordingStore, StoreUnavailableError
from veneer.layer import Layer
from veneer.layers._asked import IGNORED_STREAMING, Asked, Asking, fields_named
from veneer.layers._follower import Follower, give
from veneer.layers._warned import Warned
from veneer.operations import endpoint_of

DEFAULT_NAMES = ("Idempotency-Key",)

_name_of = itemgetter(0)

# How long a stream that is being cut off may take to say so, in seconds.
FAREWELL = 1.0


class IdempotencyMiddleware(Layer):
    """Runs a POST with an idempotency key once, and replays its answer.

    `store` keeps the answers (this process's memory, if none is given) for `ttl` seconds. `names`
    are the fields that may hold a key. `share` says among whom keys are the same: a `team` (those
    who have none, a key), a `key`, or `all`, which asks for no principal: then those who show the
    same credentials, or none, for what goes through to the upstream. `streams` are recorded
    (`record`), or run without their key (`ignore`), or as the `dialect` has it. A duplicate follows
    a call in flight (`follow`), or gets a 409 (`conflict`). `keep` is which answers are kept:
    `success`, or all `answers` but those that say that the call was not made. `lease` (seconds) is
    after what time the call of a process that died may run again. `detach` (seconds) is how long a
    call goes on that nobody waits for; 0 ends it with its last client. A request over `max_request`
    bytes is refused, or runs without its key: `oversized`; an answer over `max_answer` bytes is not
    kept. `on_failure` is what happens while the store is away: calls run without the promise
    (`open`), or are refused (`closed`).

    Raises ValueError for options that cannot be.
    """

    writes = (Call, Replayed)

    def __init__(  # noqa: PLR0913 - each is a setting with a name, and all have a default
        self,
        app: ASGIApp,
        *,
        store: RecordingStore | None = None,
        names: Iterable[str] = DEFAULT_NAMES,
        share: Literal["team", "key", "all"] = "team",
        streams: Literal["dialect", "record", "ignore"] = "dialect",
        in_flight: Literal["follow", "conflict"] = "follow",
        keep: Literal["success", "answers"] = "success",
        ttl: float = 86400.0,
        lease: float = 30.0,
        detach: float = 600.0,
        max_request: int = 8 * 1024 * 1024,
        max_answer: int = 16 * 1024 * 1024,
        oversized: Literal["refuse", "pass"] = "refuse",
        on_failure: Literal["open", "closed"] = "closed",
    ) -> None:
        self.reads = () if share == "all" else (Principal,)
        super().__init__(app)
        self.replayable_by = fields_named(names)
        self._asking = Asking(
            share=share, streams=streams, max_request=max_request, oversized=oversized
        )
        self._store = MemoryRecordingStore() if store is None else store
        rules = Rules(
            in_flight=in_flight,
            keep=keep,
            ttl=ttl,
            lease=lease,
            detach=detach,
            max_answer=max_answer,
            on_failure=on_failure,
        )
        self._flights = Flights(app, self._store, rules)

    @property
    def under_way(self) -> int:
        """How many calls are being run, or kept, whether anybody waits for them or not."""
        return self._flights.under_way

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        """Hold the store open; calls that are under way at the end are ended."""
        async with self._store.lifespan():
            try:
                yield
            finally:
                await self._flights.close()

    def handle(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Answer a request with a key by its flight; pass on any other."""
        # Most requests have no key.
        if self.replayable_by.isdisjoint(map(_name_of, scope["headers"])):
            return self.below(scope, receive, send)
        return self._handle_keyed(scope, receive, send)

    async def _handle_keyed(self, scope: Scope, receive: Receive, send: Send) -> None:
        endpoint = endpoint_of(scope)
        if endpoint is None or scope["method"] != "POST":
            await self.below(scope, receive, send)
            return
        given = [value for name, value in scope["headers"] if name in self.replayable_by]
        asked = await self._asking.read(given, endpoint.operation, scope, receive)
        if isinstance(asked, Error):
            await asked(scope, receive, send)
        elif isinstance(asked, Asked):
            await self._join(asked, scope, receive, send)
        else:
            await self._pass(asked, scope, receive, send)

    async def _join(self, asked: Asked, scope: Scope, receive: Receive, send: Send) -> None:
        """Replay what was answered, or follow the flight, which begins with the first that asks."""
        flight, recorded = self._flights.find(asked.key), True
        if flight is None:
            try:
                answer = await self._flights.recall(asked.key, asked.fingerprint)
            except StoreUnavailableError:
                # To ask a second time would only take as long again.
                recorded = False
            else:
                if answer is not None:
                    await give(answer, scope, receive, send)
                    return
            flight = self._flights.find(asked.key)
        first = flight is None
        if flight is None:
            flight = self._flights.depart(
                asked.key, asked.fingerprint, scope, asked.body, recorded=recorded
            )
        else:
            refusal = self._flights.refusal(flight, asked.fingerprint)
            if refusal is not None:
                await refusal(scope, receive, send)
                return
        follower = Follower(flight, scope, send, first=first)
        try:
            with client_of(scope, receive).while_connected():
                await flight.follow(scope, receive, follower.send)
        except asyncio.CancelledError:
            with anyio.move_on_after(FAREWELL, shield=True):
                await follower.let_down(receive)
            raise
        finally:
            follower.share_facts()

    async def _pass(self, status: bytes, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on without its key, and say so."""
        dialect = facts.get(scope, Dialect) or OPENAI
        if status == IGNORED_STREAMING and dialect.warns_in_streams:
            send = Warned(send).send
        field = (dialect.idempotency_status, status)

        def send_with_status(message: Message) -> Awaitable[None]:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", ()), field]}
            return send(message)

        await self.below(scope, receive, send_with_status)
