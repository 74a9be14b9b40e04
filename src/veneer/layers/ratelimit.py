"""Rate limits: requests, tokens and concurrent requests are taken before a call, settled after it.

Answers 429 for what does not fit, 503 where nobody can tell. Reads `Usage` where tokens are
counted, and what the partitions of its policies need; writes `Call` and `Quotas`. It may stand
twice: requests above what replays answers, tokens and concurrent requests below, so that a replay
costs a request and nothing else. The outer one says on every response how all of them stand.

Where it stands twice, both ask once: a request that nothing between them can replay is judged by
the outer one for both, and the inner one lets it pass.
"""

from collections.abc import Awaitable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager

from starlette.types import ASGIApp, Receive, Scope, Send

from veneer import facts
from veneer.auth.peers import Peers
from veneer.call import MAX_BODY, Call, read_call
from veneer.client import Client
from veneer.dialects.rate_limits import ietf_fields
from veneer.edits import edits_of
from veneer.errors import Error
from veneer.facts import Quotas, RequestFact, Standing, Usage
from veneer.layer import Layer
from veneer.layers._counting import Counting
from veneer.layers._metered import Field, Metered
from veneer.limiters.memory import MemoryLimiter
from veneer.operations import Allowed, Body, Endpoint, Operation
from veneer.quotas.charging import Bill, Charging, holding
from veneer.quotas.estimate import Estimator, bound
from veneer.quotas.fields import quota_fields
from veneer.quotas.limiter import Limiter, LimiterUnavailableError
from veneer.quotas.policy import QuotaPolicy
from veneer.quotas.quota import REQUESTS, Charge
from veneer.quotas.refusal import UNAVAILABLE, refusal
from veneer.quotas.upstream_fields import combiner

JSON = Body.JSON

UNDERSCORES = str.maketrans("./", "__")


class Ahead(RequestFact, frozen=True):
    """What a layer above has done for this one: taken all that it would, or `looked` at so many."""

    counting: Counting
    looked: int = 0


class RateLimitMiddleware(Layer):
    """Holds callers to `policies`, counted by `limiter` (in this process, if none is given).

    `estimator` says how many tokens a call may need; what it used in truth is settled when it is
    over. `upstream_fields` says what becomes of the upstream's own fields about its limits: `hide`,
    `pass` (they stand in place of ours), or `merge` (the stricter ones stand). `draft` adds those
    of the IETF's draft of that name, `draft-11` or `draft-7`. `trusted_proxies` are for partitions
    by peer, as for `AuthMiddleware`. With `max_wait` (seconds), what does not fit yet waits its
    turn that long, up to `max_waiting` requests at a time; who leaves meanwhile is noticed unless
    it has sent something other than JSON. `allow` and `max_body` are as for `OperationsMiddleware`,
    above which it may stand: a request that cannot be read has cost a request then.

    Raises ValueError for options that cannot be, and for two policies of one name on one limiter.
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
        allow: Iterable[str] = (),
        max_body: int = MAX_BODY,
        provides: Iterable[type] = (),
    ) -> None:
        held = holding(policies, peers=Peers(trusted_proxies), estimator=estimator or bound())
        charging = Charging(held)
        read = [kind for policy in policies for kind in policy.reads if kind is not Call]
        self.reads = tuple(dict.fromkeys([*read, Usage] if charging.counts_tokens else read))
        super().__init__(app, provides=provides)
        self.counting = Counting(
            charging,
            self.reads,
            limiter=MemoryLimiter() if limiter is None else limiter,
            max_wait=max_wait,
            max_waiting=max_waiting,
        )
        self._allowed = Allowed(allow)
        self._max_body = max_body
        self._inner = self.counting.join(app)
        # What both layers charge, where the outer one takes it for both.
        self._joint = charging
        if self._inner is not None:
            self._joint = Charging([*held, *self._inner.counting.charging.held])
            self._taken = Ahead(self._inner.counting)
        self._combine = combiner(upstream_fields)
        self._ietf = None if draft is None else ietf_fields(draft)
        # Who waits is known to have left only where its body has been read.
        self._reads_call = self.counting.waits or self._joint.reads_call

    def lifespan(self) -> AbstractAsyncContextManager[object]:
        """Return the limiter's own lifespan."""
        return self.counting.limiter.lifespan()

    def handle(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Take what the request is charged and pass it on, or refuse it."""
        known = scope[facts.SCOPE_KEY]
        ahead = known.get(Ahead)
        if ahead is not None and ahead.counting is self.counting and not ahead.looked:
            return self.below(scope, receive, send)
        endpoint = known.get(Endpoint) or self._allowed.find(scope)
        if endpoint is None:
            return self.below(scope, receive, send)
        known[Endpoint] = endpoint
        return self._hold(scope, receive, send, endpoint.operation, ahead)

    async def _hold(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        operation: Operation,
        ahead: Ahead | None,
    ) -> None:
        known = scope[facts.SCOPE_KEY]
        call: Call | Error | None = None
        if self._reads_call:
            call = known.get(Call)
            # What has no JSON is not read here.
            if call is None and operation.body is JSON and scope["method"] in operation.methods:
                call = await read_call(
                    scope, receive, max_body=self._max_body, stored=self._allowed.stored
                )
        answer = self.below
        if isinstance(call, Error):
            answer, bill = call, self._bill_unread(scope, operation.name)
        else:
            bill = self._bill(scope, operation, call)
        if not bill.charges:
            await answer(scope, receive, send)
            return
        try:
            if self.counting.waits:
                with known[Client].while_connected():
                    decision = await self.counting.limiter.take(bill.charges)
            else:
                decision = await self.counting.limiter.take(bill.charges)
        except LimiterUnavailableError:
            await UNAVAILABLE(scope, receive, send)
            return
        earlier = known.get(Quotas)
        known[Quotas] = (
            Quotas(decision.standings, self._ietf)
            if earlier is None
            else self._stand(earlier, decision.standings, ahead)
        )
        stamp = self._stamp if earlier is None else None
        limiter = self.counting.limiter
        metered = Metered(scope, send, stamp, limiter, decision.taken, bill.estimate)
        try:
            if decision.refused:
                model = call.model if isinstance(call, Call) else None
                asked = _endpoint(operation.name, scope["method"])
                answer = refusal(bill.charges, decision, model, asked)
            await answer(scope, receive, metered.send)
        finally:
            metered.settle()

    def _bill_unread(self, scope: Scope, operation: str) -> Bill:
        """Return what is charged for a request that cannot be read: that it was one."""
        bill = self.counting.charging.bill(scope, operation, None, b"", look=True)
        return Bill(
            [
                Charge(charge.quota, charge.partition, 1)
                if charge.quota.unit == REQUESTS
                else charge
                for charge in bill.charges
            ]
        )

    def _bill(self, scope: Scope, operation: Operation, call: Call | None) -> Bill:
        """Return what is charged here: for both layers, unless something between may answer.

        Nor for both where the one below goes by the model of an upload, which is read between.
        """
        known, inner, charging = scope[facts.SCOPE_KEY], self._inner, self.counting.charging
        look: Bill | None = None
        if inner is not None and (operation.body is JSON or not inner.counting.charging.reads_call):
            below = inner.counting
            if inner.is_asked_below(operation.name, scope["headers"]):
                look = below.charging.bill(scope, operation.name, call, b"", look=True)
                known[Ahead] = Ahead(below, len(look.charges))
            else:
                charging = self._joint
                known[Ahead] = self._taken
        bill = charging.bill(scope, operation.name, call, known[Client].kept)
        if bill.estimate is not None:
            edits_of(scope).usage_wanted = True
        return bill if look is None else Bill([*bill.charges, *look.charges], bill.estimate)

    def _stand(self, earlier: Quotas, now: tuple[Standing, ...], ahead: Ahead | None) -> Quotas:
        """Return how all quotas stand: those judged now in place of what was looked at for us."""
        looked = 0 if ahead is None or ahead.counting is not self.counting else ahead.looked
        kept = earlier.standings[: len(earlier.standings) - looked]
        return Quotas((*kept, *now), earlier.draft)

    def _stamp(self, scope: Scope, headers: Iterable[Field]) -> list[Field]:
        """Return the fields of a response with those that say how the quotas stand."""
        return self._combine(list(headers), quota_fields(scope))


def _endpoint(operation: str, method: str) -> str:
    """Name what was asked for as Aurous does: `chat_completions_post`."""
    return f"{operation.strip('/')}_{method.lower()}".translate(UNDERSCORES)
