"""Flights: the calls under way in this process, by their keys, and how each comes to its answer."""

import asyncio
import logging
from collections.abc import Mapping
from functools import partial
from http import HTTPStatus
from typing import Any, Literal

import msgspec
from starlette.types import ASGIApp, Scope

from veneer import facts
from veneer.errors import Error
from veneer.facts import Relayed
from veneer.idempotency.flight import Flight
from veneer.idempotency.lease import Lease
from veneer.idempotency.recorder import Landing
from veneer.idempotency.replay import IN_FLIGHT, MISMATCH, NOT_KEPT, UNAVAILABLE, Replay
from veneer.idempotency.store import (
    Claim,
    Done,
    InFlight,
    Recording,
    RecordingStore,
    StoreUnavailableError,
)

logger = logging.getLogger("veneer.idempotency")

# Seconds between two looks at a call that runs elsewhere: the first pause, and the longest.
FIRST_PAUSE = 0.02
LONGEST_PAUSE = 0.5

# Seconds that an app may take to end a call once it was told that its client has left.
FAREWELL = 5.0

# Seconds in which calls that are still under way are given up when we stop.
LAST_WORDS = 1.5

# Never kept, whatever the rule: they say that the call was not made, or not made well.
NEVER_KEPT = frozenset(
    [HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.CONFLICT, HTTPStatus.TOO_MANY_REQUESTS]
)

# Fields of a response that belong to the one request, and those of a connection.
OWN_FIELDS = frozenset(
    [b"date", b"x-request-id", b"server-timing", b"openai-processing-ms", b"set-cookie", b"age"]
)
# And what begins so, which tells how limits stood then.
OWN_PREFIXES = (b"x-ratelimit-", b"ratelimit")


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """How calls under a key are treated; see `IdempotencyMiddleware` for each."""

    in_flight: Literal["follow", "conflict"]
    keep: Literal["success", "answers"]
    ttl: float
    lease: float
    detach: float
    max_answer: int
    on_failure: Literal["open", "closed"]


class Flights:
    """Runs calls on `app` and keeps what they were answered in `store`, by `rules`."""

    def __init__(self, app: ASGIApp, store: RecordingStore, rules: Rules) -> None:
        self._app = app
        self._store = store
        self._rules = rules
        self._flights: dict[bytes, Flight] = {}

    def find(self, key: bytes) -> Flight | None:
        """Return the flight that is under way for a key."""
        return self._flights.get(key)

    def depart(self, key: bytes, fingerprint: bytes, scope: Scope, body: bytes) -> Flight:
        """Begin a flight with the request of this scope."""
        known = scope[facts.SCOPE_KEY]
        flight = Flight(fingerprint, known, limit=self._rules.max_answer, alone=self._left_alone)
        below = flight.client.replace_body({**scope, facts.SCOPE_KEY: flight.facts}, body)
        self._flights[key] = flight
        flight.begin(self._fly(flight, key, below))
        flight.task.add_done_callback(partial(self._forget, key, flight))
        return flight

    def refusal(self, flight: Flight, fingerprint: bytes) -> Error | None:
        """Return why a request cannot follow a flight."""
        if flight.fingerprint != fingerprint:
            return MISMATCH
        if self._rules.in_flight == "conflict":
            return IN_FLIGHT
        return None if flight.can_be_joined else NOT_KEPT

    async def close(self) -> None:
        """End the flights that are still under way."""
        tasks = [flight.task for flight in self._flights.values()]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=LAST_WORDS)

    def _forget(self, key: bytes, flight: Flight, _task: "asyncio.Task[None]") -> None:
        if self._flights.get(key) is flight:
            del self._flights[key]

    def _left_alone(self, flight: Flight) -> None:
        """Let a flight that nobody follows go on for a while."""
        asyncio.get_running_loop().call_later(self._rules.detach, self._give_up, flight)

    def _give_up(self, flight: Flight) -> None:
        if not flight.has_followers:
            flight.abandon()
            asyncio.get_running_loop().call_later(FAREWELL, flight.task.cancel)

    async def _fly(self, flight: Flight, key: bytes, scope: Scope) -> None:
        """Come to an answer: the one that is kept, or else that of the app."""
        try:
            token = await self._claim(flight, key)
        except StoreUnavailableError as error:
            logger.warning("idempotency keys cannot be looked up: %s", error)
            if self._rules.on_failure == "closed":
                flight.answer = UNAVAILABLE
            else:
                flight.recorded = False
                await flight.record(self._app, scope, _unkept)
            return
        if token is not None:
            await self._run(flight, key, token, scope)

    async def _claim(self, flight: Flight, key: bytes) -> int | None:
        """Return the token of our claim, or None where there is an answer without one."""
        pause = FIRST_PAUSE
        while True:
            outcome = await self._store.claim(key, flight.fingerprint, self._rules.lease)
            if isinstance(outcome, Claim):
                return outcome.token
            if isinstance(outcome, Done) or outcome.fingerprint != flight.fingerprint:
                flight.answer = answer_of(outcome, flight.fingerprint)
                return None
            if self._rules.in_flight == "conflict":
                flight.answer = IN_FLIGHT
                return None
            while isinstance(await self._store.look(key), InFlight):
                await asyncio.sleep(pause)
                pause = min(pause * 2, LONGEST_PAUSE)

    async def _run(self, flight: Flight, key: bytes, token: int, scope: Scope) -> None:
        lease = Lease(self._store, key, token, seconds=self._rules.lease, lost=flight.abandon)
        async with lease:
            await flight.record(self._app, scope, partial(self._land, flight, key, lease))

    async def _land(self, flight: Flight, key: bytes, lease: Lease, landing: Landing) -> bool:
        """Keep an answer, if it is to be kept; return whether it may be given."""
        if not self._is_kept(landing.status, flight.facts):
            return True
        recording = None
        if landing.body is not None:
            headers = tuple(pair for pair in landing.headers if not _is_own(pair[0]))
            recording = Recording(landing.status, headers, landing.body)
        try:
            if await lease.commit(recording, self._rules.ttl):
                return True
            flight.answer = answer_of(await self._store.look(key), flight.fingerprint)
        except StoreUnavailableError as error:
            # The model has answered: whoever waits for it is better off with that than without.
            logger.warning("an answer could not be kept, and may be made again: %s", error)
            return True
        return False

    def _is_kept(self, status: int, known: Mapping[type, Any]) -> bool:
        if status in NEVER_KEPT or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            return False
        if self._rules.keep == "success" and status >= HTTPStatus.MULTIPLE_CHOICES:
            return False
        relayed: Relayed | None = known.get(Relayed)
        if relayed is None:
            return True
        return relayed.complete and (relayed.observed or not relayed.stream)


def answer_of(found: Done | InFlight | None, fingerprint: bytes) -> Any:
    """Return the app that answers a request in place of its call."""
    if found is None:
        return IN_FLIGHT
    if found.fingerprint != fingerprint:
        return MISMATCH
    if isinstance(found, InFlight):
        return IN_FLIGHT
    return NOT_KEPT if found.recording is None else Replay(found.recording)


def _is_own(name: bytes) -> bool:
    return name in OWN_FIELDS or name.startswith(OWN_PREFIXES)


async def _unkept(_landing: Landing) -> bool:
    return True
