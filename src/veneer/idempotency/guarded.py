"""The guard of a store that may be away: who asks then does not wait for it."""

import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import TypeVar

from veneer.breaker import Breaker
from veneer.idempotency.store import (
    Claim,
    Done,
    InFlight,
    Recording,
    RecordingStore,
    StoreUnavailableError,
    UnreadableRecordingError,
)

logger = logging.getLogger("veneer.idempotency")

T = TypeVar("T")


class GuardedStore:
    """Asks `store`, which bounds the time of each call, and nobody while it is away.

    A store is away when calls have failed for 0.25 s and none was answered; one that failed alone
    says only that we, or it, were busy for a moment. Then calls raise `StoreUnavailableError` at
    once for 0.5 s, doubled with each failure up to 10 s (by `clock`), and one at a time tries. The
    change is logged, once each way.

    Looking up and writing are away each for itself: of a file that a stopped process has locked,
    recordings can still be read.
    """

    def __init__(
        self, store: RecordingStore, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._store = store
        breaker = partial(Breaker, meanwhile="on_failure decides", logger=logger, clock=clock)
        name = f"the store {type(store).__name__}"
        self._looks = breaker(f"{name} (to look up)")
        self._writes = breaker(f"{name} (to write)")

    async def claim(
        self, key: bytes, fingerprint: bytes, lease: float, /
    ) -> Claim | InFlight | Done:
        """Claim a key, or tell what is there; see `RecordingStore`."""
        return await self._ask(
            self._writes, partial(self._store.claim, key, fingerprint, lease), _has_written
        )

    async def look(self, key: bytes, /) -> InFlight | Done | None:
        """Tell what is there; see `RecordingStore`."""
        return await self._ask(self._looks, partial(self._store.look, key))

    async def renew(self, key: bytes, token: int, lease: float, /) -> bool:
        """Hold a claim for longer; see `RecordingStore`."""
        return await self._ask(self._writes, partial(self._store.renew, key, token, lease))

    async def commit(
        self, key: bytes, token: int, recording: Recording | None, ttl: float, /
    ) -> bool:
        """Keep an answer in place of a claim; see `RecordingStore`."""
        return await self._ask(
            self._writes, partial(self._store.commit, key, token, recording, ttl)
        )

    async def release(self, key: bytes, token: int, /) -> None:
        """Give a claim up; see `RecordingStore`."""
        await self._ask(self._writes, partial(self._store.release, key, token))

    def lifespan(self) -> AbstractAsyncContextManager[object]:
        """Return the store's own lifespan."""
        return self._store.lifespan()

    async def _ask(
        self,
        breaker: Breaker,
        call: Callable[[], Awaitable[T]],
        tells: Callable[[T], bool] = lambda _: True,
    ) -> T:
        """Call; `tells` is whether an answer says that others can be had, too."""
        attempt = breaker.begin()
        if attempt is None:
            raise StoreUnavailableError("the store failed a moment ago, and is tried again soon")
        try:
            answer = await call()
        except UnreadableRecordingError:
            breaker.succeeded(attempt)
            raise
        except StoreUnavailableError as error:
            breaker.stalled(attempt, str(error))
            raise
        else:
            if tells(answer):
                breaker.succeeded(attempt)
            return answer
        finally:
            breaker.end(attempt)


def _has_written(outcome: Claim | InFlight | Done) -> bool:
    """Whether something was claimed: what is there already may be told without writing."""
    return isinstance(outcome, Claim)
