"""The run: one call whose completion can be asked for, and which can be ended, while it lasts."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

import anyio

from veneer.client import Client
from veneer.completions.documents import Head
from veneer.idempotency.lease import Lease
from veneer.idempotency.store import Recording, StoreUnavailableError

logger = logging.getLogger("veneer.completions")

# Seconds that keeping a document may take where the call was cancelled.
PATIENCE = 2.0
# Seconds that an app may take to end a call once it was told that its client has left.
FAREWELL = 5.0
# Seconds between two looks whether another process has been asked to end a call.
PAUSE = 1.0

Wanted = Callable[[], Awaitable[bool]]


class Run:
    """One call, asked for by `client`; `lease` is its claim in the store, None while that is away.

    `document` is what is told of it now, and kept for `ttl` seconds when it is over. `wanted` tells
    whether another process was asked to cancel it, None where there is no other. `forget` is called
    when all is over.
    """

    def __init__(  # noqa: PLR0913 - all of a run, said once
        self,
        head: Head,
        document: bytes,
        client: Client,
        lease: Lease | None,
        *,
        ttl: float,
        wanted: Wanted | None,
        forget: Callable[[], object],
    ) -> None:
        self.head = head
        self.document = document
        self.cancelled = False
        # Whether its end is known, which cannot be changed any more.
        self.ended = False
        self._client = client
        self._lease = lease
        self._ttl = ttl
        self._wanted = wanted
        self._forget = forget
        self._over = asyncio.Event()
        self._deadline = asyncio.timeout(None)
        self._timer: asyncio.TimerHandle | None = None
        self._watch: asyncio.Task[None] | None = None

    def begin(self) -> "asyncio.Timeout":
        """Begin; return the context in which the app is called, which is left when it is ended."""
        if self._wanted is not None:
            # Most calls are over before: they cost no task.
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(PAUSE, self._start_watch)
        return self._deadline

    def cancel(self) -> bool:
        """End the call as if its client had left; False where it has ended by itself."""
        if self.ended:
            return False
        if not self.cancelled:
            self.cancelled = True
            self._client.hang_up()
            self._deadline.reschedule(asyncio.get_running_loop().time() + FAREWELL)
        return True

    async def keep(self, document: bytes) -> None:
        """Have this told of it from now on."""
        self.ended = True
        self.document = document
        if self._lease is None:
            return
        try:
            await self._lease.commit(Recording(200, (), document), self._ttl)
        except StoreUnavailableError as error:
            logger.warning("a completion cannot be kept at present: %s", error)
            self._lease.leave()

    async def close(self, document: bytes | None = None) -> None:
        """Be over: with this document, or with what was kept, or with nothing to be told."""
        self._stop()
        ended, self.ended = self.ended, True
        try:
            if document is not None:
                with anyio.move_on_after(PATIENCE, shield=True):
                    await self.keep(document)
            elif not ended and self._lease is not None:
                await self._lease.give_up()
        finally:
            self._over.set()
            self._forget()

    async def wait(self, seconds: float) -> bool:
        """Wait until it is over; False if that takes longer."""
        with anyio.move_on_after(seconds):
            await self._over.wait()
        return self._over.is_set()

    def _start_watch(self) -> None:
        if self._wanted is not None:
            self._watch = asyncio.get_running_loop().create_task(self._look(self._wanted))

    async def _look(self, wanted: Wanted) -> None:
        """Ask from time to time whether somebody wants the call to end."""
        while not await wanted():  # noqa: ASYNC110 - it is another process that is waited for
            await asyncio.sleep(PAUSE)
        self.cancel()

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._watch is not None:
            self._watch.cancel()
