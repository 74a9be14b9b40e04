"""The guard: what happens to limits while whoever counts is away, slow, or being restarted."""

import logging
import math
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import msgspec

from veneer.breaker import Breaker
from veneer.facts import Standing
from veneer.limiters._within import within
from veneer.limiters.memory import MemoryLimiter
from veneer.quotas.limiter import (
    Decision,
    Limiter,
    LimiterBusyError,
    LimiterFullError,
    LimiterUnavailableError,
)
from veneer.quotas.quota import Charge, Quota

logger = logging.getLogger("veneer.limits")

DEFAULT_TIMEOUT = 0.05

# Seconds between two lines in the log about a limiter that is full.
_BETWEEN_COMPLAINTS = 60.0


class Guarded:
    """Asks `limiter` within `timeout` seconds; where that fails, each quota's `on_failure` decides.

    A take fails that is late or raises `LimiterUnavailableError`. If it costs anything of a quota
    that is `closed`, `LimiterUnavailableError` is raised and nothing is taken anywhere. Otherwise
    what is `local` is decided by `local` (a `MemoryLimiter` made when it is first needed, if none
    is given), and what is `open` is admitted uncounted, with a standing as if nothing were used; so
    is what only asks about a quota that is `closed`.

    After a failure nobody asks for 0.5 s, doubled with each failure up to 10 s (by `clock`). Then
    one take at a time does, until one succeeds; all others go on without waiting. A take that fails
    although another was answered after it began changes nothing for the others. The change is
    logged, once each way. `failures` counts the takes that failed. A limiter that says it is full
    (`LimiterFullError`) failed that one take only: for others it may have room. One that is late,
    or says it is busy (`LimiterBusyError`), did so too, unless nobody is answered for 0.25 s: that
    a machine was busy for a moment is no reason to count by ourselves.

    Relies on this of the limiter: a take that is cancelled, here for being late, ends promptly, and
    what may have been taken for it is given back without anybody's settling it; the same holds when
    a client leaves, which is no failure.
    """

    def __init__(
        self,
        limiter: Limiter,
        *,
        timeout: float = DEFAULT_TIMEOUT,
        local: Limiter | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if not 0 < timeout < math.inf:
            raise ValueError(f"A limiter's timeout is a positive number of seconds, not {timeout}.")
        self.failures = 0
        self._limiter = limiter
        self._timeout = timeout
        self._local = local
        self._clock = clock
        self._complain_at = -math.inf
        self._breaker = Breaker(
            f"the limiter {type(limiter).__name__}",
            meanwhile="each quota's on_failure decides",
            logger=logger,
            clock=clock,
        )

    async def take(self, charges: Sequence[Charge], /) -> Decision:
        """Decide, and take what is admitted."""
        attempt = self._breaker.begin()
        if attempt is None:
            return await self._by_policy(charges)
        try:
            decision = await within(self._timeout, self._limiter.take(charges))
        except LimiterFullError as error:
            self.failures += 1
            self._breaker.succeeded(attempt)
            self._complain(error)
        except (LimiterBusyError, TimeoutError) as error:
            self.failures += 1
            self._breaker.stalled(attempt, _reason(error))
        except LimiterUnavailableError as error:
            self.failures += 1
            self._breaker.failed(attempt, _reason(error))
        else:
            self._breaker.succeeded(attempt)
            return decision
        finally:
            self._breaker.end(attempt)
        return await self._by_policy(charges)

    def settle(self, taken: Any, tokens: int, /) -> None:
        """Correct what was taken, with whoever took it."""
        if isinstance(taken, _Local):
            taken.limiter.settle(taken.taken, tokens)
        else:
            self._limiter.settle(taken, tokens)

    def lifespan(self) -> AbstractAsyncContextManager[object]:
        """Return the context in which both limiters can be used."""
        return self._lifespan()

    @asynccontextmanager
    async def _lifespan(self) -> AsyncIterator[None]:
        async with self._limiter.lifespan():
            if self._local is None:
                yield
                return
            async with self._local.lifespan():
                yield

    def _complain(self, error: LimiterFullError) -> None:
        now = self._clock()
        if now >= self._complain_at:
            self._complain_at = now + _BETWEEN_COMPLAINTS
            logger.warning(
                "the limiter %s has no room, and each quota's on_failure decides: %s",
                type(self._limiter).__name__,
                error,
            )

    async def _by_policy(self, charges: Sequence[Charge]) -> Decision:
        closed = [c.quota for c in charges if c.cost > 0 and c.quota.on_failure == "closed"]
        if closed:
            raise LimiterUnavailableError(
                f"The limiter cannot be asked at present: the quota {closed[0].policy!r} admits "
                "nothing meanwhile."
            )
        standings = [_untouched(charge.quota) for charge in charges]
        own = [i for i, charge in enumerate(charges) if charge.quota.on_failure == "local"]
        if not own:
            return Decision(standings=tuple(standings))
        if self._local is None:
            self._local = MemoryLimiter(clock=self._clock)
        decision = await self._local.take([charges[i] for i in own])
        for i, standing in zip(own, decision.standings, strict=True):
            standings[i] = standing
        return Decision(
            standings=tuple(standings),
            refused=tuple(own[i] for i in decision.refused),
            wait=decision.wait,
            taken=None if decision.taken is None else _Local(self._local, decision.taken),
        )


class _Local(msgspec.Struct, frozen=True):
    """What was taken while the limiter was away, and who took it."""

    limiter: Limiter
    taken: Any


def _untouched(quota: Quota) -> Standing:
    return Standing(
        policy=quota.policy,
        unit=quota.unit,
        limit=quota.limit,
        window=quota.window,
        remaining=quota.limit,
        reset=0.0,
    )


def _reason(error: BaseException) -> str:
    """Return the type of what went wrong; a limiter's own error says less than what led to it."""
    if isinstance(error, LimiterUnavailableError) and error.__cause__ is not None:
        error = error.__cause__
    return type(error).__name__
