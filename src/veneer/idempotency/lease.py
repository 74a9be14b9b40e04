"""The lease: the claim on a key while its call runs, renewed until the call has been answered."""

import asyncio
import logging
from collections.abc import Callable
from types import TracebackType
from typing import Self

import anyio

from veneer.idempotency.store import (
    Claim,
    Done,
    InFlight,
    Recording,
    RecordingStore,
    StoreUnavailableError,
)

logger = logging.getLogger("veneer.idempotency")

# Seconds that giving a claim up may take; what was not given up in time ends by itself.
RELEASE_TIMEOUT = 2.0


class Lease:
    """Claims a key, and holds it while inside: renews it, and gives it up unless it was kept.

    `seconds` is how long a claim lasts. Whoever was stopped for longer than that, and goes on,
    claims anew what nobody has claimed in the meantime. `lost` is called where somebody has.
    """

    def __init__(
        self,
        store: RecordingStore,
        key: bytes,
        fingerprint: bytes,
        *,
        seconds: float,
        lost: Callable[[], None],
    ) -> None:
        self._store = store
        self._key = key
        self._fingerprint = fingerprint
        self._token = 0
        self._seconds = seconds
        self._lost = lost
        self._held = True
        # A renewal may claim anew, and the commit needs to know that token.
        self._turn = asyncio.Lock()
        self._renewal: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None

    async def claim(self) -> Claim | InFlight | Done:
        """Claim the key, or tell what is there; it is to be entered only if it was claimed."""
        outcome = await self._store.claim(self._key, self._fingerprint, self._seconds)
        if isinstance(outcome, Claim):
            self._token = outcome.token
        return outcome

    def start(self) -> None:
        """Begin to renew the claim, until it is committed, given up or left."""
        loop = asyncio.get_running_loop()
        # Most calls are over before: they cost no task.
        self._timer = loop.call_later(self._seconds / 3, self._begin)

    async def __aenter__(self) -> Self:
        """Begin to renew the claim."""
        self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Give up what was neither committed nor given up."""
        try:
            if self._held:
                await self.give_up()
        finally:
            # Cancelled on the way; once more, then the lease ends by itself.
            if self._held:
                await self.give_up()

    async def give_up(self) -> None:
        """Let the next one run the call."""
        self._stop()
        with anyio.move_on_after(RELEASE_TIMEOUT, shield=True):
            try:
                await self._store.release(self._key, self._token)
            except StoreUnavailableError as reason:
                logger.warning("a key could not be given up, which its lease will do: %s", reason)
        # Only now: whoever is cancelled on the way tries again where the call ends.
        self._held = False

    def leave(self) -> None:
        """Leave the claim to its end, or to a later `commit`: nobody else is to run the call."""
        self._stop()
        self._held = False

    async def commit(self, recording: Recording | None, ttl: float) -> bool:
        """Keep the answer for `ttl` seconds; False if somebody else has the claim by now."""
        async with self._turn:
            # What is committed cannot be renewed: one that came late would be taken for a loss.
            self._stop()
            committed = await self._commit(recording, ttl)
            if not committed and await self._regain():
                committed = await self._commit(recording, ttl)
        self._held = not committed
        return committed

    async def _commit(self, recording: Recording | None, ttl: float) -> bool:
        return await self._store.commit(self._key, self._token, recording, ttl)

    async def _regain(self) -> bool:
        """Claim what is not held any more, unless somebody has, or has answered it."""
        regained = isinstance(await self.claim(), Claim)
        if regained:
            logger.warning("a call was stopped for longer than its lease; nobody else has it")
        return regained

    async def prolong(self) -> None:
        """Renew the claim once, if the store can do that at present."""
        try:
            await self._renew()
        except StoreUnavailableError as reason:
            logger.debug("a lease could not be renewed: %s", reason)

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._renewal is not None:
            self._renewal.cancel()

    def _begin(self) -> None:
        self._renewal = asyncio.get_running_loop().create_task(self._keep())

    async def _keep(self) -> None:
        """Renew the claim as long as it is held."""
        while True:
            try:
                if not await self._renew():
                    logger.warning("a call was stopped for longer than its lease: it is abandoned")
                    self._lost()
                    return
            except StoreUnavailableError as reason:
                logger.warning("a lease could not be renewed: %s", reason)
            await asyncio.sleep(self._seconds / 3)

    async def _renew(self) -> bool:
        async with self._turn:
            renewed = await self._store.renew(self._key, self._token, self._seconds)
            return renewed or await self._regain()
