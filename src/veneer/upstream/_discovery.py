"""Discovery: asking again and again where the replicas of a fleet are."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from veneer.upstream._dns import Lookup, Place

logger = logging.getLogger("veneer.upstream")

# Seconds that a lookup may take.
TIMEOUT = 5.0


class Discovery:
    """Tells `found` what `lookup` finds, every `refresh` seconds; a failure leaves all as it is.

    `name` is what logs call the fleet. Raises ValueError for a time that cannot be.
    """

    def __init__(
        self,
        lookup: Lookup,
        found: Callable[[Sequence[Place]], None],
        *,
        name: str,
        refresh: float,
    ) -> None:
        if not refresh > 0:
            raise ValueError(f"refresh is {refresh}: give seconds, above 0.")
        self._lookup = lookup
        self._found = found
        self._name = name
        self._refresh = refresh

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        """Ask before it opens, and then regularly for as long as it is open."""
        await self._look()
        task = asyncio.get_running_loop().create_task(self._keep_looking())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait((task,))

    async def _keep_looking(self) -> None:
        while True:
            await asyncio.sleep(self._refresh)
            await self._look()

    async def _look(self) -> None:
        try:
            async with asyncio.timeout(TIMEOUT):
                places = await self._lookup()
            self._found(places)
        except (OSError, ValueError) as error:
            reason = str(error) or f"no answer within {TIMEOUT:g} s"
            logger.warning(
                "%s: its replicas were not found, those known stay: %s", self._name, reason
            )
        except Exception:
            # A callable of somebody else's may raise what its client raises; the next may succeed.
            logger.exception("%s: its replicas were not found, those known stay", self._name)
