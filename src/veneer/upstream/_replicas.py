"""The replicas of a fleet: who has how many calls, who is asked next, who leaves."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Sequence
from typing import Any

from starlette.types import ASGIApp

from veneer.breaker import Breaker
from veneer.upstream._dns import Place
from veneer.wiring import chain

logger = logging.getLogger("veneer.upstream")

# A replica that has the prompt in its cache may have so many times the calls of the least busy one,
# and so many more, before another is asked. A call more slows the others a little; a prompt of
# thousands of tokens that is read anew holds them up. With 2 more in place of 4, answers took half
# as long again in benchmarks/bench_affinity.py.
FACTOR = 1.5
FEW = 4

# Answers that a replica breaks off, one after the other, before it rests: one may be chance.
BREAKS = 3


class Replica:
    """One of several servers: its app, its calls under way, whether it is there."""

    __slots__ = ("_broken", "app", "breaker", "member", "outstanding", "place", "turn")

    def __init__(
        self, place: Place, app: ASGIApp, *, fleet: str, clock: Callable[[], float]
    ) -> None:
        self.place = place
        self.app = app
        self.member = f"{fleet} {place.url} {place.address or ''}"
        self.outstanding = 0
        self.turn = 0
        self._broken = 0
        self.breaker = Breaker(
            f"{fleet}: {place.shown}", meanwhile="others are asked", logger=logger, clock=clock
        )

    def ended(self, *, whole: bool) -> None:
        """Note how an answer that had begun has ended; rest where all break off of late."""
        self._broken = 0 if whole else self._broken + 1
        attempt = self.breaker.begin() if self._broken >= BREAKS else None
        if attempt is not None:
            self.breaker.failed(attempt, "it breaks off its answers")
            self.breaker.end(attempt)

    async def reachable(self) -> bool:
        """Whether the server answers; one whose app cannot be asked is taken to."""
        for ask in _of(self.app, "reachable"):
            return bool(await ask())
        return True

    async def aclose(self) -> None:
        """Close the connections to it."""
        for close in _of(self.app, "aclose"):
            await close()


def _of(app: ASGIApp, method: str) -> Iterator[Callable[[], Awaitable[Any]]]:
    """Yield this method of the app and of what it wraps, where they have it."""
    return filter(None, (getattr(part, method, None) for part in chain(app)))


class Replicas:
    """Those that are asked, and those that are gone from the list but have calls under way.

    `make` makes the app of a place; `most` bounds the calls of each.
    """

    def __init__(
        self, make: Callable[[Place], Replica], *, most: int | None, gone: Callable[[str], None]
    ) -> None:
        self._make = make
        self._most = most
        self._gone = gone
        self._asked: dict[Place, Replica] = {}
        self._leaving: dict[Place, Replica] = {}
        self._closing: set[asyncio.Task[None]] = set()
        self._turn = 0

    def __len__(self) -> int:
        """Return how many may be asked."""
        return len(self._asked)

    def __iter__(self) -> Iterator[Replica]:
        """Yield those that may be asked."""
        return iter(tuple(self._asked.values()))

    @property
    def outstanding(self) -> int:
        """How many calls are under way, at those that leave, too."""
        everybody = (*self._asked.values(), *self._leaving.values())
        return sum(replica.outstanding for replica in everybody)

    @property
    def leaving(self) -> int:
        """How many are gone from the list and have calls under way."""
        return len(self._leaving)

    def set(self, places: Iterable[Place]) -> None:
        """Ask those at these places from now on; the others get no new calls, and end theirs.

        Raises what `make` raises; then nothing changes.
        """
        known = {**self._leaving, **self._asked}
        asked = {place: known.get(place) or self._make(place) for place in places}
        before, self._asked = self._asked, asked
        for place in asked:
            self._leaving.pop(place, None)
            if place not in before:
                logger.info("%s is asked from now on", place.shown)
        for place, replica in before.items():
            if place not in asked:
                logger.info("%s leaves, with %d calls", place.shown, replica.outstanding)
                self._leaving[place] = replica
                self._close_unused(replica)

    def candidates(
        self, warm: Callable[[Replica], int] | None, tried: Collection[Replica]
    ) -> list[Replica]:
        """Return who may take a call and has not been tried, best first.

        That is who has most of its prompt in its cache, while it has no more than `FACTOR` times
        the calls of the least busy and `FEW` more; then who has the fewest calls, and of those who
        was not asked for longest.
        """
        most = self._most
        free = [
            replica
            for replica in self._asked.values()
            if (most is None or replica.outstanding < most) and replica not in tried
        ]
        if warm is None or len(free) == 1:
            return sorted(free, key=_load)
        least = min((r.outstanding for r in free if not r.breaker.away), default=0)
        allowed = FACTOR * least + FEW
        return sorted(free, key=lambda r: (-warm(r) if r.outstanding <= allowed else 0, *_load(r)))

    def take(self, replica: Replica) -> None:
        """Count a call of this replica, until `give_back`."""
        replica.outstanding += 1
        self._turn += 1
        replica.turn = self._turn

    def give_back(self, replica: Replica) -> None:
        """Count a call no more; close who has left and had no other."""
        replica.outstanding -= 1
        if self._leaving:
            self._close_unused(replica)

    async def aclose(self) -> None:
        """Close everybody's connections; calls under way fail."""
        everybody: Sequence[Replica] = (*self._asked.values(), *self._leaving.values())
        self._asked = {}
        self._leaving = {}
        for replica in everybody:
            await replica.aclose()
        if self._closing:
            await asyncio.wait(self._closing)

    def _close_unused(self, replica: Replica) -> None:
        if replica.outstanding or self._leaving.get(replica.place) is not replica:
            return
        del self._leaving[replica.place]
        self._gone(replica.member)
        task = asyncio.get_running_loop().create_task(replica.aclose())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)


def _load(replica: Replica) -> tuple[int, int]:
    return replica.outstanding, replica.turn
