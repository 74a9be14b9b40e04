"""Health: answers probes, so that whoever runs us knows when to send calls and when to restart us.

Answers `/healthz` (this process is alive) and `/readyz` (calls will be served); everything else
passes. Reads and writes nothing; stands outermost, so that probes need no key and fill no log.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable

import msgspec
from starlette.types import ASGIApp, Receive, Scope, Send

from veneer.answers import send_document
from veneer.layer import Layer
from veneer.paths import path_of

LIVE = "/healthz"
READY = "/readyz"


class HealthMiddleware(Layer):
    """Answers 200 on `/healthz` always, on `/readyz` while calls will be served, else 503.

    `ready` says whether what stands below can serve; its answer is kept for `ttl` seconds, asked
    for once however many probes wait, and taken for no after `timeout` seconds. After `drain()` the
    answer is no for good. `clock` (seconds) stands in for time in tests.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        ready: Callable[[], Awaitable[bool]] | None = None,
        ttl: float = 2.0,
        timeout: float = 2.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if ttl < 0 or timeout <= 0:
            raise ValueError(
                f"ttl is {ttl} and timeout is {timeout}: give seconds, 0 or more for the first, "
                "more than 0 for the second."
            )
        super().__init__(app)
        self._ask = ready
        self._ttl = ttl
        self._timeout = timeout
        self._clock = clock
        self._asking = asyncio.Lock()
        self._known: tuple[float, bool] | None = None
        self._draining = False

    def drain(self) -> None:
        """Say from now on that no further calls are wanted: the process is about to stop."""
        self._draining = True

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a probe; pass everything else on."""
        path = path_of(scope)
        if path == LIVE:
            await _answer(200, {"status": "alive"}, scope, send)
        elif path != READY:
            await self.app(scope, receive, send)
        elif self._draining:
            await _answer(503, {"status": "unavailable", "reason": "shutting down"}, scope, send)
        elif await self._is_ready():
            await _answer(200, {"status": "ready"}, scope, send)
        else:
            reason = "the upstream is not reachable"
            await _answer(503, {"status": "unavailable", "reason": reason}, scope, send)

    async def _is_ready(self) -> bool:
        if self._ask is None:
            return True
        async with self._asking:
            now = self._clock()
            if self._known is None or now - self._known[0] >= self._ttl:
                try:
                    async with asyncio.timeout(self._timeout):
                        answer = await self._ask()
                except TimeoutError:
                    answer = False
                self._known = self._clock(), answer
            return self._known[1]


async def _answer(status: int, document: dict[str, str], scope: Scope, send: Send) -> None:
    """Send a small document; a probe's method makes no difference, but HEAD gets no body."""
    await send_document(scope, send, msgspec.json.encode(document), status=status)
