"""Flights: the calls under way in this process, by their keys, and how each comes to its answer."""

import asyncio
import logging
from functools import partial

from starlette.types import ASGIApp, Scope

from veneer import facts
from veneer.client import ClientDisconnectedError
from veneer.errors import BrokenResponseError, Error
from veneer.idempotency.flight import Flight
from veneer.idempotency.late import Late
from veneer.idempotency.lease import Lease
from veneer.idempotency.recorder import Landing, recordable
from veneer.idempotency.replay import IN_FLIGHT, MISMATCH, NOT_KEPT, UNAVAILABLE, Replay
from veneer.idempotency.rules import Rules, lasting
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

# How many calls may go on at once that nobody waits for.
MAX_ALONE = 1000

# Seconds in which calls that are still under way are given up when we stop.
LAST_WORDS = 1.5


class Flights:
    """Runs calls on `app` and keeps what they were answered in `store`, by `rules`."""

    def __init__(self, app: ASGIApp, store: RecordingStore, rules: Rules) -> None:
        self._app = app
        self._store = store
        self._rules = rules
        self._flights: dict[bytes, Flight] = {}
        self._running: set[asyncio.Task[None]] = set()
        # Those that nobody followed when it was last looked, the longest first.
        self._alone: dict[Flight, None] = {}
        self._late = Late(rules.ttl)

    @property
    def under_way(self) -> int:
        """How many calls are being run, or kept."""
        return len(self._running) + self._late.waiting

    def find(self, key: bytes) -> Flight | None:
        """Return the flight that is to be answered for a key."""
        flight = self._flights.get(key)
        return flight if flight is not None and flight.can_be_found else None

    async def recall(self, key: bytes, fingerprint: bytes) -> ASGIApp | None:
        """Return what answers a request whose call is over, or None where it is not.

        A replay costs no flight of its own so; a call costs one look more at the store. Raises
        `StoreUnavailableError` where nobody can tell, and calls run all the same.
        """
        try:
            found = await self._store.look(key)
        except StoreUnavailableError as error:
            logger.warning("idempotency keys cannot be looked up: %s", error)
            if self._rules.on_failure == "open":
                raise
            return UNAVAILABLE
        return answer_of(found, fingerprint) if isinstance(found, Done) else None

    def depart(
        self, key: bytes, fingerprint: bytes, scope: Scope, body: bytes, *, recorded: bool = True
    ) -> Flight:
        """Begin a flight with the request of this scope; `recorded` is whether to ask the store."""
        rules = self._rules
        known = scope[facts.SCOPE_KEY]
        flight = Flight(
            fingerprint,
            known,
            limit=rules.max_answer,
            detach=rules.detach,
            alone=self._left_alone,
        )
        flight.recorded = recorded
        below = flight.client.replace_body(recordable(scope), body)
        below[facts.SCOPE_KEY] = flight.facts
        self._flights[key] = flight
        task = flight.begin(self._fly(flight, key, below))
        self._running.add(task)
        task.add_done_callback(partial(self._forget, key, flight))
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
        running = self._running | self._late.tasks
        for task in running:
            task.cancel()
        if running:
            await asyncio.wait(running, timeout=LAST_WORDS)

    def _forget(self, key: bytes, flight: Flight, task: "asyncio.Task[None]") -> None:
        self._running.discard(task)
        self._alone.pop(flight, None)
        if self._flights.get(key) is flight:
            del self._flights[key]

    def _left_alone(self, flight: Flight) -> None:
        """Let a call go on that nobody waits for, unless too many do: then end the oldest."""
        self._alone.pop(flight, None)
        self._alone[flight] = None
        if len(self._alone) > MAX_ALONE:
            oldest = next(iter(self._alone))
            del self._alone[oldest]
            if not oldest.has_followers:
                logger.warning("more than %d calls go on without a client: one ends", MAX_ALONE)
                oldest.abandon()

    async def _fly(self, flight: Flight, key: bytes, scope: Scope) -> None:
        """Come to an answer: the one that is kept, or else that of the app."""
        lease = Lease(
            self._store,
            key,
            flight.fingerprint,
            seconds=self._rules.lease,
            lost=partial(_lose, flight),
        )
        try:
            claimed = flight.recorded and await self._claim(flight, key, lease)
        except StoreUnavailableError as error:
            logger.warning("idempotency keys cannot be looked up: %s", error)
            if self._rules.on_failure == "closed":
                flight.answer = UNAVAILABLE
                return
            claimed = flight.recorded = False
        if not flight.recorded:
            await flight.record(self._app, scope, _unkept)
        elif claimed:
            await self._run(flight, key, lease, scope)

    async def _claim(self, flight: Flight, key: bytes, lease: Lease) -> bool:
        """Claim the key; False where there is an answer without that."""
        pause = FIRST_PAUSE
        while True:
            outcome = await lease.claim()
            if isinstance(outcome, Claim):
                return True
            if isinstance(outcome, Done) or outcome.fingerprint != flight.fingerprint:
                flight.answer = answer_of(outcome, flight.fingerprint)
                return False
            if self._rules.in_flight == "conflict":
                flight.answer = IN_FLIGHT
                return False
            while isinstance(await self._store.look(key), InFlight):
                if not flight.has_followers:
                    flight.abandon()
                    return False
                await asyncio.sleep(pause)
                pause = min(pause * 2, LONGEST_PAUSE)

    async def _run(self, flight: Flight, key: bytes, lease: Lease, scope: Scope) -> None:
        try:
            async with lease:
                await flight.record(self._app, scope, partial(self._land, flight, key, lease))
        except (BrokenResponseError, ClientDisconnectedError):
            if flight.answer is None or flight.begun:
                raise

    async def _land(self, flight: Flight, key: bytes, lease: Lease, landing: Landing) -> bool:
        """Keep an answer, if it is to be kept; return whether it may be given."""
        if flight.answer is not None:
            # The lease was lost, and this is what the app says because it was given up.
            return False
        if not self._rules.keeps(landing, flight.facts):
            # Before the answer is out: who tries again is to find the key free.
            await lease.give_up()
            return True
        recording = None
        if landing.body is not None:
            headers = tuple(lasting(landing.headers, flight.facts))
            recording = Recording(landing.status, headers, landing.body)
        try:
            if await lease.commit(recording, self._rules.ttl):
                return True
        except StoreUnavailableError as error:
            # The model has answered: whoever waits for it is better off with that than without.
            logger.warning("an answer cannot be kept at present: %s", error)
            flight.recorded = False
            lease.leave()
            self._late.keep(lease, recording)
            return True
        flight.answer = await self._others(key, flight.fingerprint)
        return False

    async def _others(self, key: bytes, fingerprint: bytes) -> ASGIApp:
        """Return what answers in place of a call that another has taken over."""
        logger.warning("a call was stopped for longer than its lease: another has answered it")
        try:
            return answer_of(await self._store.look(key), fingerprint)
        except StoreUnavailableError:
            return UNAVAILABLE


def answer_of(found: Done | InFlight | None, fingerprint: bytes) -> ASGIApp:
    """Return the app that answers a request in place of its call."""
    if found is None:
        return IN_FLIGHT
    if found.fingerprint != fingerprint:
        return MISMATCH
    if isinstance(found, InFlight):
        return IN_FLIGHT
    return NOT_KEPT if found.recording is None else Replay(found.recording)


def _lose(flight: Flight) -> None:
    """Give up a call that another has taken over; who asks again follows that one."""
    flight.answer = IN_FLIGHT
    flight.abandon()


async def _unkept(_landing: Landing) -> bool:
    return True
