"""Whatever calls cost and however they end, what was taken and what was settled balance."""

import asyncio
from typing import Any

import hypothesis.strategies as st
import msgspec
import pytest
from hypothesis import given, settings
from starlette.types import ASGIApp, Receive, Scope, Send

from tests.asgi import Exchange
from tests.layers.limits import Watched, ask, limited
from tests.layers.probe import SSE, Script, call
from tests.layers.streams import DONE, chunk, compact, usage_chunk
from veneer.call import Call
from veneer.layers.ratelimit import RateLimitMiddleware
from veneer.quotas.estimate import Estimate
from veneer.quotas.policy import QuotaPolicy

REQUESTS = QuotaPolicy("12/minute", partition="all")
TOKENS = QuotaPolicy("500/minute", unit="tokens", partition="all")
SLOTS = QuotaPolicy(3, unit="concurrent-requests", partition="all")
STRICT = QuotaPolicy("500/minute", unit="tokens", partition="all", strict=True)


class Planned(msgspec.Struct, frozen=True):
    """A call: what is estimated, what it uses (None: it does not say), how it ends, and when."""

    estimate: int
    truth: int | None
    end: str
    steps: int


planned = st.builds(
    Planned,
    st.integers(0, 600),
    st.none() | st.integers(1, 900),
    st.sampled_from(["ok", "stream", "error", "exception", "torso", "disconnect", "cancelled"]),
    st.integers(0, 6),
)


def app_for(plan: Planned, exchange: Exchange) -> Script:
    """Return the app that makes of a call what is planned."""

    async def step() -> None:
        await asyncio.sleep(0)

    async def leaves() -> None:
        exchange.disconnect.set()

    steps = [step] * plan.steps
    usage = None if plan.truth is None else {"prompt_tokens": 0, "total_tokens": plan.truth}
    events = [chunk("Hel"), chunk(finish="stop"), usage_chunk(usage=usage), DONE]
    match plan.end:
        case "ok":
            return Script(*steps, compact({"usage": usage}))
        case "error":
            return Script(*steps, b'{"error":{"message":"no"}}', status=500)
        case "exception":
            return Script(events[0], *steps, RuntimeError("broken"), headers=SSE)
        case "torso":
            return Script(events[0], *steps, headers=SSE, torso=True)
        case "disconnect":
            return Script(events[0], *steps, leaves, headers=SSE, torso=True)
        case _:
            return Script(*events[:2], *steps, *events[2:], headers=SSE)


class Calls:
    """Two layers around an app that does with each call what is planned for it."""

    def __init__(self, watched: Watched, tokens: QuotaPolicy) -> None:
        self._apps: dict[bytes, ASGIApp] = {}
        self._plans: dict[str, Planned] = {}
        options: dict[str, Any] = {"limiter": watched, "estimator": self._estimated}
        lower = limited(self._app, tokens, SLOTS, **options)
        self._layer = RateLimitMiddleware(lower, policies=[REQUESTS], **options)

    async def live(self, plan: Planned) -> None:
        """Make a call."""
        name = str(len(self._plans))
        exchange = call(stream=plan.end not in ("ok", "error"), model=name)
        exchange.scope["headers"].append((b"x-plan", name.encode()))
        self._plans[name] = plan
        self._apps[name.encode()] = app_for(plan, exchange)
        task = asyncio.create_task(ask(self._layer, exchange))
        if plan.end == "cancelled":
            for _ in range(plan.steps):
                await asyncio.sleep(0)
            task.cancel()
        await asyncio.wait({task})
        if not task.cancelled():
            task.exception()

    async def _app(self, scope: Scope, receive: Receive, send: Send) -> None:
        [name] = [value for field, value in scope["headers"] if field == b"x-plan"]
        await self._apps[name](scope, receive, send)

    def _estimated(self, asked: Call, _body: bytes) -> Estimate:
        plan = self._plans[str(asked.model)]
        return Estimate(plan.estimate // 2, plan.estimate - plan.estimate // 2)


@pytest.mark.parametrize("tokens", [TOKENS, STRICT], ids=["even", "strict"])
@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(planned, min_size=1, max_size=5), max_size=8))
def test_what_was_taken_and_what_was_settled_balance(
    tokens: QuotaPolicy, rounds: list[list[Planned]]
) -> None:
    async def main() -> None:
        watched = Watched(slow=True)
        calls = Calls(watched, tokens)
        for together in rounds:
            await asyncio.gather(*map(calls.live, together))
            assert watched.unsettled == 0
            assert await watched.left(SLOTS) == 3
            assert await watched.left(tokens) == max(0, 500 - sum(watched.settled))
            assert await watched.left(REQUESTS) == max(0, 12 - watched.decided)

    asyncio.run(main())
