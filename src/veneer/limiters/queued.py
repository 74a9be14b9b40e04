"""The queue: who is refused for a moment waits for it to pass, in order, instead of trying again.

It stands in front of any limiter, and knows what comes back only where it is settled through it;
what comes back elsewhere (in another process) is found when it was expected.
"""

import asyncio
import math
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from time import monotonic
from typing import Any

import msgspec

from veneer.limiters._lines import SHORTEST, Key, Lines
from veneer.limiters._request import Request
from veneer.quotas.limiter import Decision, Limiter, LimiterUnavailableError
from veneer.quotas.quota import CONCURRENT, REQUESTS, TOKENS, Charge

# Seconds after which those who wait are asked again when the limiter could not be.
PAUSE = 0.1

# So many settlements are remembered while the limiter is being asked.
MAX_REMEMBERED = 256


class Queued:
    """Lets a request wait that is refused for no longer than `max_wait` seconds.

    Those who take from the same counters wait in one line, first come, first served; lines that
    want the same counter take turns. Where somebody waits, a newcomer waits behind him unasked, for
    what it wants may be what he waits for. At most `max_waiting` wait at a time; beyond that, and
    after `max_wait`, a refusal stands. For slots one waits in any case: nobody knows how long the
    calls will last. `clock` (seconds) stands in for time in tests.

    Raises ValueError for options that cannot be.
    """

    def __init__(
        self,
        limiter: Limiter,
        *,
        max_wait: float,
        max_waiting: int = 1000,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        if not 0 < max_wait < math.inf or max_waiting < 1:
            raise ValueError(
                f"max_wait is {max_wait} and max_waiting {max_waiting}: "
                "both have to be more than 0, and finite."
            )
        self._limiter = limiter
        self._max_wait = max_wait
        self._max_waiting = max_waiting
        self._clock = clock
        self._lines = Lines()
        # All have the same time, so the first has to leave first.
        self._waiting: dict[Request, None] = {}
        self._timer: asyncio.TimerHandle | None = None
        # What came back while the limiter was being asked: its answer may not know of it.
        self._asked = 0
        self._settled = 0
        self._came_back: deque[frozenset[Key]] = deque(maxlen=MAX_REMEMBERED)
        self._users = 0

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        """Hold the limiter's lifespan open. At the last one's end nobody waits any longer."""
        async with self._limiter.lifespan():
            self._users += 1
            try:
                yield
            finally:
                self._users -= 1
                if not self._users and self._waiting:
                    for request in list(self._waiting):
                        request.expire()
                    # They ask a last time while the limiter is still there.
                    await asyncio.sleep(0)

    async def take(self, charges: Sequence[Charge], /) -> Decision:
        """Decide, and take what is admitted, after a wait if need be."""
        request = Request(charges)
        contended = self._lines.contended(request.line)
        decision: Decision | None = None
        if contended and not any(charge.cost > charge.quota.limit for charge in charges):
            if len(self._waiting) >= self._max_waiting:
                return await self._turn_away(request, contended)
        else:
            decision, stale = await self._ask(request)
            if not self._is_to_wait(decision, self._max_wait):
                return request.result(decision)
            if len(self._waiting) >= self._max_waiting:
                return request.result(decision)
            contended = request.keys_of(decision.refused)
            if stale:
                decision = None
        try:
            decision = await self._wait(request, contended, decision)
            if decision is None:
                # Its time is over. It is the oldest of all who wait: it overtakes nobody.
                decision, _ = await self._ask(request)
            return request.result(decision)
        finally:
            for part in request.parts:
                self._limiter.settle(part, 0)

    def settle(self, taken: Any, tokens: int, /) -> None:
        """Correct what was taken, and wake those who wait for what comes back."""
        for part in taken.parts:
            self._limiter.settle(part, tokens)
        if not self._lines and not self._asked:
            return
        keys = taken.returned(tokens)
        if self._asked:
            self._settled += 1
            self._came_back.append(keys)
        for key in keys:
            self._lines.wake(key)

    async def _wait(
        self, request: Request, keys: frozenset[Key], decision: Decision | None
    ) -> Decision | None:
        """Wait for these keys; return the decision, or None where there is none in time.

        `decision` is the one that refused it, None where nobody has asked.
        """
        request.until = self._clock() + self._max_wait
        self._waiting[request] = None
        self._arm()
        try:
            while True:
                woken = request.wait()
                if decision is None:
                    self._lines.join(request, keys)
                else:
                    self._lines.refused(request, keys, decision.wait)
                await woken
                if request.expired:
                    return None
                decision = await self._ask_in_turn(request)
                if not decision.refused:
                    self._lines.admitted(request)
                    return decision
                left = request.until - self._clock()
                if not self._is_to_wait(decision, left):
                    return decision
                keys = request.keys_of(decision.refused)
        except LimiterUnavailableError:
            self._lines.give_up(request, PAUSE)
            raise
        finally:
            self._lines.leave(request)
            self._waiting.pop(request, None)
            self._arm()

    async def _ask_in_turn(self, request: Request) -> Decision:
        decision, stale = await self._ask(request)
        while stale and not request.expired:
            decision, stale = await self._ask(request)
        return decision

    async def _ask(self, request: Request) -> tuple[Decision, bool]:
        """Ask for what is not taken yet; return whether what refused it came back meanwhile."""
        since = self._settled
        self._asked += 1
        try:
            decision = await self._limiter.take(request.charges)
            request.note(decision)
            new = self._settled - since
            if not new or not decision.refused:
                return decision, False
            keys = request.keys_of(decision.refused)
            stale = new > MAX_REMEMBERED or any(
                keys & self._came_back[-index] for index in range(1, new + 1)
            )
            return decision, stale
        finally:
            self._asked -= 1
            if not self._asked:
                self._came_back.clear()

    async def _turn_away(self, request: Request, contended: frozenset[Key]) -> Decision:
        """Refuse one for whom there is no room to wait: asked, it could overtake who waits.

        A refused request counts as a request, unless requests are what the others wait for.
        """
        held = tuple(
            index
            for index, charge in enumerate(request.charges)
            if charge.cost and request.keys[index] in contended
        )
        counts = all(request.charges[index].quota.unit != REQUESTS for index in held)
        request.only_ask((TOKENS, CONCURRENT) if counts else (REQUESTS, TOKENS, CONCURRENT))
        decision, _ = await self._ask(request)
        if not decision.refused:
            # By then, all who wait now will have gone.
            decision = msgspec.structs.replace(decision, refused=held, wait=self._max_wait)
        return request.result(decision)

    def _is_to_wait(self, decision: Decision, left: float) -> bool:
        """Whether a request that was refused may have what it wants in so many seconds."""
        refused = decision.refused
        if not refused or decision.wait == math.inf or left <= 0:
            return False
        return decision.wait <= left or any(
            decision.standings[index].unit == CONCURRENT for index in refused
        )

    def _arm(self) -> None:
        """See to it that the first leaves in time."""
        first = next(iter(self._waiting), None)
        if first is None:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
        elif self._timer is None:
            delay = max(first.until - self._clock(), SHORTEST)
            self._timer = asyncio.get_running_loop().call_later(delay, self._expire)

    def _expire(self) -> None:
        self._timer = None
        now = self._clock()
        while self._waiting and (request := next(iter(self._waiting))).until <= now:
            # It may be asking just now: it waits no more in any case.
            del self._waiting[request]
            request.expire()
        self._arm()
