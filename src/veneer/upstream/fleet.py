"""Fleet: several replicas of one model server, as one upstream."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send

from veneer import facts
from veneer.call import Call
from veneer.client import BodyTimeoutError, Client
from veneer.errors import BODY_LATE, BrokenResponseError, Error
from veneer.facts import Route, Unreached
from veneer.lifetime import Lifetime
from veneer.routing.affinity import Affinity
from veneer.routing.prefix import Prefix
from veneer.upstream._asking import Asking
from veneer.upstream._discovery import Discovery
from veneer.upstream._dns import Place, by_asking, by_name, listed
from veneer.upstream._repeatable import Repeatable
from veneer.upstream._replicas import Replica, Replicas
from veneer.upstream.failures import BUSY, UNREACHABLE
from veneer.upstream.proxy import Upstream

logger = logging.getLogger("veneer.upstream")

UNREACHED = Unreached()
NO_PREFIX = Prefix()

DEFAULT_REFRESH = 10.0
# Who is asked, and the breaker's number for that.
Taken = tuple[Replica, int]

# How many replicas a call is tried at where none of them can be reached.
TRIES = 3


class Fleet:
    """Shares calls out among the replicas of one model server, and streams their answers back.

    `replicas` are their base URLs, or one URL whose host has an address for each (A and AAAA
    records: a headless service), or an asynchronous callable that returns the URLs. What may change
    is asked for anew every `refresh` seconds; where that fails, those known stay. A replica that is
    no longer listed gets no new calls; it is closed when it has ended its own.

    `make` makes the app that talks to a replica from its URL (`partial(Upstream, api_key=...)`);
    with the addresses of a name it is also given `address`, to connect to in the name of the URL.
    Its `reachable` and `aclose` are used, or those of what it wraps, as far as they are there.

    A call goes to the replica with the fewest, or, with an `affinity`, to the one that likely has
    its prompt cached: as long as that has no more than 1.5 times the calls of the least busy, and 4
    more. `max_outstanding` bounds the calls of each replica; beyond, calls are refused at once as
    those for a busy upstream are. A replica that fails rests. Where nothing was sent because no
    connection could be made, the call is tried at others, 3 in all; what a replica may have got is
    sent to no other.

    Operations that keep something on their server (files, batches, stored responses) would find it
    on one replica only. `name` is the target in `Route`; logs tell the replica. Raises ValueError
    for settings, or replicas, that cannot be.
    """

    writes = (Route, Unreached)

    def __init__(  # noqa: PLR0913 - each is a setting with a name, and most have a default
        self,
        replicas: str | Sequence[str] | Callable[[], Awaitable[Sequence[str]]],
        *,
        make: Callable[..., ASGIApp] | None = None,
        name: str = "upstream",
        affinity: Affinity | None = None,
        max_outstanding: int | None = None,
        refresh: float = DEFAULT_REFRESH,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if max_outstanding is not None and max_outstanding < 1:
            raise ValueError(f"max_outstanding is {max_outstanding}: give 1 or more, or none.")
        self.name = name
        self._make = make or partial(Upstream, name=name)
        self._affinity = affinity
        self._clock = clock
        forget = affinity.forget if affinity is not None else _forget
        self._replicas = Replicas(self._replica, most=max_outstanding, gone=forget)
        self._closed = False
        self._lifetime: Lifetime | None = None
        if isinstance(replicas, Sequence) and not isinstance(replicas, str):
            self._replicas.set(listed(replicas))
        else:
            lookup = by_name(replicas) if isinstance(replicas, str) else by_asking(replicas)
            discovery = Discovery(lookup, self._replicas.set, name=name, refresh=refresh)
            self._lifetime = Lifetime(discovery.lifespan)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one ASGI connection."""
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
            return
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008})
            return
        await self._prepare()
        if facts.SCOPE_KEY not in scope:
            scope = dict(scope)
            facts.open_in(scope)
        await self._answer(scope, receive, send)

    @property
    def outstanding(self) -> int:
        """How many calls are under way."""
        return self._replicas.outstanding

    async def reachable(self) -> bool:
        """Whether one of the replicas answers HTTP at all."""
        await self._prepare()
        probes = [asyncio.ensure_future(replica.reachable()) for replica in self._replicas]
        try:
            for answer in asyncio.as_completed(probes):
                if await answer:
                    return True
        finally:
            for task in probes:
                task.cancel()
            if probes:
                await asyncio.wait(probes)
        return False

    async def aclose(self) -> None:
        """Look for replicas no more, and close every connection; calls under way fail."""
        self._closed = True
        if self._lifetime is not None:
            await self._lifetime.stop()
        await self._replicas.aclose()

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        await self._prepare()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self.aclose()
        await send({"type": "lifespan.shutdown.complete"})

    async def _prepare(self) -> None:
        """See to it that replicas are looked for, once anybody needs them."""
        if self._lifetime is not None and not self._lifetime.started and not self._closed:
            await self._lifetime.start()

    def _replica(self, place: Place) -> Replica:
        more = {} if place.address is None else {"address": place.address}
        app = self._make(place.url, **more)
        return Replica(place, app, fleet=self.name, clock=self._clock)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = Repeatable(receive)
        try:
            prefix = await self._prefix(scope, body)
        except BodyTimeoutError:
            await self._refuse(BODY_LATE, scope, receive, send)
            return
        known: dict[type, Any] = scope[facts.SCOPE_KEY]
        # Without layers above, each try watches the client itself.
        watched = Client in known
        tried: list[Replica] = []
        asking: Asking | None = None
        while len(tried) < TRIES and (taken := self._take(prefix, tried)) is not None:
            replica, _ = taken
            known.pop(Unreached, None)
            begun = partial(self._begun, taken, prefix, body)
            asking = Asking(known, self.name, send, begun=begun)
            try:
                await replica.app(scope, body.receive, asking.send)
            except BrokenResponseError:
                replica.ended(whole=False)
                raise
            else:
                if asking.succeeded:
                    replica.ended(whole=True)
            finally:
                self._settle(taken, asking, prefix)
                if not watched:
                    known.pop(Client, None)
            tried.append(replica)
            if not (asking.kept and body.rewind()):
                break
        if asking is None:
            busy = any(not replica.breaker.away for replica in self._replicas)
            await self._refuse(BUSY if busy else UNREACHABLE, scope, receive, send)
        else:
            for message in asking.kept:
                await send(message)

    async def _prefix(self, scope: Scope, body: Repeatable) -> Prefix:
        """Return the prefix of the call, as far as its body is here."""
        if self._affinity is None or len(self._replicas) == 1:
            return NO_PREFIX
        client = facts.get(scope, Client)
        text = client.kept if client is not None else b""
        call = facts.get(scope, Call)
        model = None if call is None else call.model
        return self._affinity.prefix(text or await body.first(), model)

    def _take(self, prefix: Prefix, tried: list[Replica]) -> Taken | None:
        """Return who is asked next, with a call of theirs taken, and the breaker's attempt."""
        warm = None
        if self._affinity is not None and prefix.blocks:
            warm = partial(_warm, self._affinity, prefix)
        for replica in self._replicas.candidates(warm, tried):
            attempt = replica.breaker.begin()
            if attempt is not None:
                self._replicas.take(replica)
                return replica, attempt
        return None

    def _begun(self, taken: Taken, prefix: Prefix, body: Repeatable, asking: Asking) -> None:
        """Note that an answer begins: its prompt has been read, and is not sent again."""
        body.forget()
        replica, attempt = taken
        if asking.answered or asking.succeeded:
            replica.breaker.succeeded(attempt)
            logger.debug("%s: %s answered %s", self.name, replica.place.shown, asking.status)
        if self._affinity is not None and asking.succeeded:
            self._affinity.note(prefix, replica.member)

    def _settle(self, taken: Taken, asking: Asking, prefix: Prefix) -> None:
        """Note how the asking of a replica has ended, whatever ended it."""
        replica, attempt = taken
        if asking.failed:
            replica.breaker.failed(attempt, "it gave no answer")
            logger.warning("%s: %s gave no answer", self.name, replica.place.shown)
        elif self._affinity is not None and asking.succeeded and asking.cached is not None:
            self._affinity.note(prefix, replica.member, asking.cached)
        replica.breaker.end(attempt)
        self._replicas.give_back(replica)

    async def _refuse(self, error: Error, scope: Scope, receive: Receive, send: Send) -> None:
        facts.put(scope, UNREACHED)
        await error(scope, receive, send)


def _warm(affinity: Affinity, prefix: Prefix, replica: Replica) -> int:
    return affinity.warm(prefix, replica.member)


def _forget(_member: str) -> None:
    """There is nothing to forget."""
