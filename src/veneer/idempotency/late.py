"""Late: answers that were given while the store was away, and wait to be kept."""

import asyncio
import logging

from veneer.idempotency.lease import Lease
from veneer.idempotency.store import Recording, StoreUnavailableError

logger = logging.getLogger("veneer.idempotency")

# For how many seconds an answer is tried to be kept, and how many answers wait at once.
LONGEST = 60.0
MAX_WAITING = 64

# Seconds between two tries: the first pause, and the longest.
FIRST_PAUSE = 0.02
LONGEST_PAUSE = 0.5


class Late:
    """Keeps answers for `ttl` seconds as soon as the store takes them; their keys stay taken."""

    def __init__(self, ttl: float) -> None:
        self._ttl = ttl
        self.tasks: set[asyncio.Task[None]] = set()

    @property
    def waiting(self) -> int:
        """How many answers wait."""
        return len(self.tasks)

    def keep(self, lease: Lease, recording: Recording | None) -> None:
        """See to it that an answer is kept, unless too many wait already."""
        if self.waiting >= MAX_WAITING:
            logger.error("an answer could not be kept, and may be made again")
            return
        task = asyncio.get_running_loop().create_task(self._try(lease, recording))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def _try(self, lease: Lease, recording: Recording | None) -> None:
        """Keep an answer when the store is back, unless another was kept by then."""
        loop = asyncio.get_running_loop()
        until = loop.time() + LONGEST
        pause = FIRST_PAUSE
        while loop.time() < until:
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE)
            try:
                kept = await lease.commit(recording, self._ttl)
            except StoreUnavailableError:
                # What is too large for it, or comes in the wrong moment, need not cost the claim.
                await lease.prolong()
                continue
            logger.warning("an answer was kept late" if kept else "an answer was made again")
            return
        logger.error("an answer could not be kept, and may be made again")
