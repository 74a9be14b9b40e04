"""Health checks: targets that can tell are asked whether they are reachable."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

from veneer.routing.target import Target
from veneer.tasks import telling
from veneer.upstream._roster import Roster
from veneer.wiring import chain

logger = logging.getLogger("veneer.upstream")

FAILED = "targets are no longer asked whether they are there"

Check = Callable[[], Awaitable[bool]]


class Checks:
    """Asks all targets every `interval` seconds, for as long as it runs."""

    def __init__(self, roster: Roster, interval: float) -> None:
        self._roster = roster
        self._interval = interval

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Ask, at once and then regularly."""
        task = asyncio.get_running_loop().create_task(self._run())
        task.add_done_callback(telling(logger, FAILED))
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait((task,))

    async def _run(self) -> None:
        while True:
            async with asyncio.TaskGroup() as asked:
                for target in self._roster.targets:
                    asked.create_task(self._look(target))
            await asyncio.sleep(self._interval)

    async def _look(self, target: Target) -> None:
        check = check_of(target)
        if check is not None:
            # A connection that idled may have died unnoticed: that is no answer yet.
            healthy = await check() or await check()
            self._roster.standing(target.name).checked(healthy=healthy)


def check_of(target: Target) -> Check | None:
    """Return what tells whether a target is reachable, None where nothing does."""
    return next((p.reachable for p in chain(target.app) if hasattr(p, "reachable")), None)


async def any_reachable(targets: Sequence[Target]) -> bool:
    """Whether any of the targets is reachable, or cannot tell."""
    checks = [check_of(target) for target in targets]
    if None in checks:
        return True
    return any(await asyncio.gather(*(check() for check in checks if check is not None)))
