"""Settlements on their way to Redis, and the leases of running calls."""

import asyncio
import logging
import secrets
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING

from veneer.limiters._script import Taken, settlement
from veneer.quotas.limiter import LimiterUnavailableError

if TYPE_CHECKING:
    from veneer.limiters._server import Server

logger = logging.getLogger("veneer.limiters")

# How many settlements, and how many leases, one call of the script sees to: about a millisecond.
_BATCH = 200
# The part of a lease after which it is renewed.
_RENEWAL = 1 / 3
# Seconds until it is tried again while Redis is away: doubled from the first to the last.
_FIRST_PAUSE = 0.05
_LAST_PAUSE = 2.0


class Settlements:
    """Sends settlements as soon as they are there, as many at once as have piled up.

    One batch is under way at a time, and is sent again until Redis has answered. Batches are
    numbered, and Redis notes the last number of this process: one that arrives a second time, or
    late, does nothing there. At most `most` settlements wait; the oldest are given up for new ones,
    counted in `dropped` and logged. Their slots are free again after the lease, and what they took
    drains with its window.
    """

    def __init__(self, server: "Server", *, prefix: str, lease: float, most: int) -> None:
        self._server = server
        self._lease = lease
        self._most = most
        self.process = secrets.token_hex(8)
        self._marker = f"{{{prefix}}}:process:{self.process}"
        self._number = 0
        self._waiting: deque[tuple[Taken, int]] = deque()
        self._running: dict[str, Taken] = {}
        self._outdated: deque[Taken] = deque()
        self._unsent = 0
        self._renewal = 0.0
        self._awake = asyncio.Event()
        self._closing = False
        self._task: asyncio.Task[None] | None = None
        self.dropped = 0

    def start(self) -> None:
        """See to it that what waits is sent, in the loop that runs now."""
        self._closing = False
        if self._task is None or self._task.done():
            loop = asyncio.get_running_loop()
            self._renewal = loop.time() + self._lease * _RENEWAL
            self._awake = asyncio.Event()
            self._task = loop.create_task(self._run())
            self._task.add_done_callback(_report)

    def hold(self, taken: Taken) -> None:
        """Renew the lease of a call's slots from now on, until it is settled."""
        if taken.slots:
            self._running[taken.call] = taken

    def put(self, taken: Taken, used: int) -> None:
        """Settle what a call took."""
        self._running.pop(taken.call, None)
        if len(self._waiting) >= self._most:
            self._waiting.popleft()
            self._drop(1)
        self._waiting.append((taken, used))
        self._awake.set()

    async def aclose(self, seconds: float) -> None:
        """Send what waits, for so many seconds at most."""
        self.start()
        self._closing = True
        self._awake.set()
        task = self._task
        if task is None:
            return
        await asyncio.wait({task}, timeout=seconds)
        if not task.done():
            task.cancel()
            await asyncio.wait({task})
        if self._waiting or self._unsent:
            self._drop(len(self._waiting) + self._unsent)
            self._waiting.clear()
            self._unsent = 0

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            if not self._waiting and not self._outdated:
                if self._closing:
                    return
                await self._idle()
            if loop.time() >= self._renewal:
                self._renewal = loop.time() + self._lease * _RENEWAL
                self._outdated = deque(self._running.values())
            settled = [self._waiting.popleft() for _ in range(min(len(self._waiting), _BATCH))]
            outdated = [self._outdated.popleft() for _ in range(min(len(self._outdated), _BATCH))]
            renewed = [taken for taken in outdated if taken.call in self._running]
            self._unsent = len(settled)
            if settled or renewed:
                await self._send(settled, renewed)
            self._unsent = 0

    async def _idle(self) -> None:
        """Wait until something is to be settled, or leases are to be renewed."""
        self._awake.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout_at(self._renewal):
                await self._awake.wait()

    async def _send(self, settled: list[tuple[Taken, int]], renewed: list[Taken]) -> None:
        """Send a batch until Redis has answered."""
        self._number += 1
        keys, document = settlement(self._number, self._lease, self._marker, settled, renewed)
        pause = _FIRST_PAUSE
        while True:
            try:
                await self._server.ask("settle", keys, document)
            except LimiterUnavailableError as error:
                if pause == _FIRST_PAUSE:
                    logger.warning("rate limits cannot be settled, trying again: %s", error)
                await asyncio.sleep(pause)
                pause = min(pause * 2, _LAST_PAUSE)
            else:
                if pause > _FIRST_PAUSE:
                    logger.info("rate limits are being settled again")
                return

    def _drop(self, count: int) -> None:
        if not self.dropped:
            logger.error(
                "settlements of rate limits are given up: Redis has not taken them, and %d wait; "
                "slots come back after %g s, other units with their window",
                len(self._waiting),
                self._lease,
            )
        self.dropped += count


def _report(task: asyncio.Task[None]) -> None:
    """Say what has ended the sending, which the next take begins again."""
    if not task.cancelled() and (error := task.exception()) is not None:
        logger.error("settling rate limits has failed", exc_info=error)
