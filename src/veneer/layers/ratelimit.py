"""Rate limits: requests, tokens and concurrent requests are taken before a call, settled after it.

Answers 429 for what does not fit, 503 where nobody can tell. Reads `Usage` where tokens are
counted, and what the partitions of its policies need; writes `Call` and `Quotas`. It may stand
twice: requests above what replays answers, tokens and concurrent requests below, so that a replay
costs a request and nothing else. The outer one says on every response how all of them stand.

Where it stands twice, both ask once: a request that nothing between them can replay is judged by
the outer one for both, and the inner one lets it pass.
"""

import time
from collections.abc import Iterable, Sequence
from contextlib import AbstractAsyncContextManager

from starlette.types import ASGIApp, Receive, Scope, Send

from veneer import facts
from veneer.auth.peers import Peers
from veneer.call import Call, read_call
from veneer.client import client_of
from veneer.dialects import OPENAI, Dialect
from veneer.dialects.rate_limits import ietf_fields
from veneer.edits import edits_of
from veneer.errors import Error
from veneer.facts import Quotas, RequestFact, Standing, Usage
from veneer.layer import Layer
from veneer.layers._metered import Field, Metered
from veneer.limiters.memory import MemoryLimiter
from veneer.limiters.queued import Queued
from veneer.operations import Body, endpoint_of
from veneer.quotas.charging import Bill, Charging
from veneer.quotas.estimate import Estimator, bound
from veneer.quotas.limiter import Decision, Limiter, LimiterUnavailableError
from veneer.quotas.policy import QuotaPolicy
from veneer.quotas.refusal import UNAVAILABLE, refusal
from veneer.quotas.upstream_fields import combiner
from veneer.wiring import chain


class TakenAhead(RequestFact, frozen=True):
    """A layer above has taken what the limits below it would."""


class RateLimitMiddleware(Layer):
    """Holds callers to `policies`, counted by `limiter` (in this process, if none is given).

    `estimator` says how many tokens a call may need; what it used in truth is settled when it is
    over. `upstream_fields` says what becomes of the upstream's own fields about its limits: `hide`,
    `pass` (they stand in place of ours), or `merge` (the stricter ones stand). `draft` adds those
    of the IETF's draft of that name, `draft-11` or `draft-7`. `trusted_proxies` are for partitions
    by peer, as for `AuthMiddleware`. With `max_wait` (seconds), what does not fit yet waits its
    turn that long, up to `max_waiting` requests at a time.

    Raises ValueError for options that cannot be.
    """

    writes = (Call, Quotas)

    def __init__(  # noqa: PLR0913 - each is a setting with a name, and most have a default
        self,
        app: ASGIApp,
        *,
        policies: Sequence[QuotaPolicy],
        limiter: Limiter | None = None,
        estimator: Estimator | None = None,
        upstream_fields: str = "hide",
        draft: str | None = None,
        trusted_proxies: Iterable[str] = (),
        max_wait: float = 0.0,
        max_waiting: int = 1000,
        provides: Iterable[type] = (),
    ) -> None:
        self._charging = Charging(
            policies, peers=Peers(trusted_proxies), estimator=estimator or bound()
        )
        read = [kind for policy in policies for kind in policy.reads if kind is not Call]
        self.reads = tuple(
            dict.fromkeys([*read, Usage] if self._charging.counts_tokens else read)
        )
        super().__init__(app, provides=provides)
        self._given = limiter or MemoryLimiter()
        self._waits = max_wait > 0
        self._limiter: Limiter = self._given
        if self._waits:
            self._limiter = Queued(self._given, max_wait=max_wait, max_waiting=max_waiting)
        self._combine = combiner(upstream_fields)
        self._ietf = None if draft is None else ietf_fields(draft)
        self._inner, self._replayable_by = self._below()
        self._reads_call = self._charging.reads_call or (
            self._inner is not None and self._inner.reads_call
        )

    def lifespan(self) -> AbstractAsyncContextManager[object]:
        """Return the limiter's own lifespan."""
        return self._limiter.lifespan()

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Take what the request is charged and pass it on, or refuse it."""
        known = scope[facts.SCOPE_KEY]
        endpoint = endpoint_of(scope)
        if endpoint is None or TakenAhead in known:
            await self.app(scope, receive, send)
            return
        call: Call | None = None
        if self._reads_call and endpoint.operation.body is Body.JSON:
            read = await read_call(scope, receive)
            if isinstance(read, Error):
                await read(scope, receive, send)
                return
            call = read
        bill = self._bill(scope, endpoint.operation.name, call, client_of(scope, receive).kept)
        if not bill.charges:
            await self.app(scope, receive, send)
            return
        stamp = None if Quotas in known else self._stamp
        try:
            decision = await self._take(bill, scope, receive)
        except LimiterUnavailableError:
            await UNAVAILABLE(scope, receive, send)
            return
        known[Quotas] = merged(known.get(Quotas), decision.standings)
        metered = Metered(
            scope,
            send,
            stamp,
            limiter=self._limiter,
            taken=decision.taken,
            estimate=bill.estimate,
        )
        try:
            if decision.refused:
                model = None if call is None else call.model
                await refusal(bill.charges, decision, model)(scope, receive, metered.send)
            else:
                await self.app(scope, receive, metered.send)
        finally:
            metered.settle()

    def _below(self) -> tuple[Charging | None, frozenset[bytes]]:
        """Return what the layer of our kind below charges, and which fields ask for a replay.

        Only one that counts on the same limiter can be asked together with this one.
        """
        replayable_by: set[bytes] = set()
        for part in chain(self.app):
            if isinstance(part, RateLimitMiddleware):
                same = part._given is self._given  # noqa: SLF001 - one of our own class
                return (part._charging if same else None), frozenset(replayable_by)  # noqa: SLF001 - as above
            replayable_by.update(getattr(part, "replayable_by", ()))
        return None, frozenset()

    def _bill(self, scope: Scope, operation: str, call: Call | None, body: bytes) -> Bill:
        """Return what is charged here: for both layers, unless something between may answer."""
        bill = self._charging.bill(scope, operation, call, body)
        if self._inner is not None:
            look = any(name in self._replayable_by for name, _ in scope["headers"])
            inner = self._inner.bill(scope, operation, call, body, look=look)
            bill = Bill([*bill.charges, *inner.charges], bill.estimate or inner.estimate)
            if not look:
                facts.put(scope, TakenAhead())
        if bill.estimate is not None:
            edits_of(scope).usage_wanted = True
        return bill

    async def _take(self, bill: Bill, scope: Scope, receive: Receive) -> Decision:
        if not self._waits:
            return await self._limiter.take(bill.charges)
        with client_of(scope, receive).while_connected():
            return await self._limiter.take(bill.charges)

    def _stamp(self, scope: Scope, headers: Iterable[Field]) -> list[Field]:
        """Return the fields of a response with those that say how the quotas stand."""
        known = scope[facts.SCOPE_KEY]
        standings = known[Quotas].standings
        dialect = known.get(Dialect) or OPENAI
        fields = dialect.rate_limit_fields(standings, time.time())
        if self._ietf is not None:
            fields += self._ietf(standings)
        return self._combine(list(headers), fields)


def merged(earlier: Quotas | None, now: Sequence[Standing]) -> Quotas:
    """Return how all quotas stand: those judged now, and those of before that were not."""
    if earlier is None:
        return Quotas(tuple(now))
    judged = {(standing.policy, standing.window) for standing in now}
    kept = [s for s in earlier.standings if (s.policy, s.window) not in judged]
    return Quotas((*kept, *now))
