"""What stands around the rate-limit layer in its tests: a watched limiter, callers, a clock."""

import asyncio
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

import msgspec
from starlette.types import ASGIApp, Receive, Scope, Send

from tests.asgi import Exchange
from tests.layers.probe import SSE, Script, call
from tests.layers.streams import CHAT, CHAT_WITH_USAGE, USAGE, compact
from tests.lint import Lint
from veneer import facts
from veneer.call import Call
from veneer.facts import Principal
from veneer.layer import Layer
from veneer.layers.ratelimit import RateLimitMiddleware
from veneer.layers.relay import RelayMiddleware
from veneer.limiters.memory import MemoryLimiter
from veneer.quotas.estimate import Estimate
from veneer.quotas.limiter import Decision, Limiter
from veneer.quotas.policy import QuotaPolicy
from veneer.quotas.quota import Charge

ALL = ("all", "")
ANSWER = compact({"id": "chatcmpl-1", "usage": USAGE})
ESTIMATE = Estimate(10, 20)

REQUESTS = QuotaPolicy("10/minute", partition="all")
TOKENS = QuotaPolicy("1000/minute", unit="tokens", partition="all")
SLOTS = QuotaPolicy(1, unit="concurrent-requests", partition="all")


def estimated(_call: Call, _body: bytes) -> Estimate:
    """Estimate every call alike."""
    return ESTIMATE


class Watched:
    """A limiter in memory on a clock that the test sets; it notes what it is asked and told.

    Each `taken` may be settled once. With `slow`, asking it takes two steps of the loop, and what
    a cancelled take has taken is given back, as limiters promise.
    """

    def __init__(self, *, slow: bool = False) -> None:
        self.now = 1000.0
        self.limiter = MemoryLimiter(clock=lambda: self.now)
        self.slow = slow
        self.asked = asyncio.Event()
        self.takes: list[list[Charge]] = []
        self.settled: list[int] = []
        self.decided = self.unsettled = 0
        self._open: dict[int, Any] = {}

    async def take(self, charges: Sequence[Charge], /) -> Decision:
        """Decide."""
        self.takes.append(list(charges))
        ticket = len(self.takes)
        self.asked.set()
        if self.slow:
            await asyncio.sleep(0)
        decision = await self.limiter.take(charges)
        self.decided += 1
        if self.slow:
            try:
                await asyncio.sleep(0)
            except asyncio.CancelledError:
                if decision.taken is not None:
                    self.limiter.settle(decision.taken, 0)
                raise
        if decision.taken is None:
            return decision
        self._open[ticket] = decision.taken
        self.unsettled += 1
        return msgspec.structs.replace(decision, taken=ticket)

    async def was_asked(self, times: int) -> None:
        """Wait until it was asked so often."""
        async with asyncio.timeout(5):
            while len(self.takes) < times:
                self.asked.clear()
                await self.asked.wait()

    def settle(self, taken: Any, tokens: int, /) -> None:
        """Correct it; KeyError for what was settled already."""
        self.limiter.settle(self._open.pop(taken), tokens)
        self.unsettled -= 1
        self.settled.append(tokens)

    def lifespan(self) -> AbstractAsyncContextManager[object]:
        """Return the inner one's."""
        return self.limiter.lifespan()

    async def left(self, policy: QuotaPolicy, partition: tuple[str, ...] = ALL) -> int:
        """Return what remains of the only quota of a policy."""
        [quota] = policy.quotas_for(None, "small", "chat.completions")
        return (await self.limiter.take([Charge(quota, partition, 0)])).standings[0].remaining


class Known(Layer):
    """A layer that says who calls: `principal`, whoever it is."""

    writes = (Principal,)

    def __init__(self, app: ASGIApp, principal: Principal) -> None:
        super().__init__(app)
        self.principal = principal

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Say it."""
        facts.put(scope, self.principal)
        await self.app(scope, receive, send)


def plain(*, status: int = 200, body: bytes = ANSWER) -> Script:
    """Return an app that answers with JSON."""
    return Script(body, status=status)


def streaming(*, usage: bool = True) -> Script:
    """Return an app that answers with a stream, which tells its usage or does not."""
    return Script(*(CHAT_WITH_USAGE if usage else CHAT), headers=SSE)


def limited(
    app: ASGIApp, *policies: QuotaPolicy, limiter: Limiter | None = None, **options: Any
) -> RateLimitMiddleware:
    """Return the layer around the relay around an app."""
    return RateLimitMiddleware(
        Lint(RelayMiddleware(Lint(app))),
        policies=policies,
        limiter=limiter,
        **{"estimator": estimated, **options},
    )


async def ask(layer: ASGIApp, exchange: Exchange | None = None) -> Exchange:
    """Run an exchange to its end, a plain call if none is given."""
    return await (exchange or call()).run(layer)
