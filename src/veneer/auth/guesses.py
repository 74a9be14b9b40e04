"""Guesses: failed attempts, counted for each peer, so that trying keys out is slow."""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from time import monotonic

# So many credentials that were good behind a peer that guesses are remembered, by their hashes.
MAX_REMEMBERED = 1024


class Guesses:
    """A leaky bucket of failed attempts for each peer.

    `limit` failures may come at once, and drain away evenly within `window` seconds. A peer beyond
    that gets no answer as to whether its guess was right, and `at_once` of its credentials that
    are not known good are verified at a time. At most `max_peers` are remembered; beyond that, the
    one that has been quiet for longest is forgotten. `clock` (seconds) stands in for time in tests.
    `quiet` is whether nobody has failed of late, so that there is nothing to look up.
    Raises ValueError for numbers that cannot be.
    """

    def __init__(
        self,
        *,
        limit: int = 20,
        window: float = 60.0,
        at_once: int = 2,
        max_peers: int = 10_000,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        if limit < 1 or not window > 0 or at_once < 1 or max_peers < 1:
            raise ValueError(
                f"limit is {limit}, window {window}, at_once {at_once} and max_peers {max_peers}: "
                "all have to be more than 0."
            )
        self._limit = limit
        self._rate = limit / window
        self._at_once = at_once
        self._max_peers = max_peers
        self._clock = clock
        # By peer: how full its bucket was, and when; the quietest peer first.
        self._buckets: OrderedDict[bytes, tuple[float, float]] = OrderedDict()
        self._gates: dict[bytes, tuple[asyncio.Semaphore, int]] = {}
        self._good: OrderedDict[int, None] = OrderedDict()
        self.quiet = True

    def failed(self, peer: bytes) -> float:
        """Count a failure; return 0 where there was room for it, else seconds until there is."""
        now = self._clock()
        level = self._level(peer, now)
        wait = max(0.0, (level + 1 - self._limit) / self._rate)
        self._buckets[peer] = (level if wait else level + 1, now)
        self._buckets.move_to_end(peer)
        self.quiet = False
        if len(self._buckets) > self._max_peers:
            self._buckets.popitem(last=False)
        return wait

    def over(self, peer: bytes) -> bool:
        """Whether a failure of this peer would find no room."""
        now = self._clock()
        # Whoever asks sweeps: the quietest peer goes once its bucket is empty.
        quietest = next(iter(self._buckets), None)
        if quietest is not None and not self._level(quietest, now):
            del self._buckets[quietest]
            self.quiet = not self._buckets
        return self._level(peer, now) + 1 > self._limit

    def is_good(self, credential: str) -> bool:
        """Whether this credential was accepted from a peer that guesses.

        Told by a hash of 64 bits under a key of this process; a false yes costs one verification
        that does not wait its turn.
        """
        return hash(credential) in self._good

    def remember(self, credential: str) -> None:
        """Note a credential that was accepted."""
        self._good[hash(credential)] = None
        if len(self._good) > MAX_REMEMBERED:
            self._good.popitem(last=False)

    @asynccontextmanager
    async def turn(self, peer: bytes) -> AsyncIterator[None]:
        """Wait for one of the few turns that a peer has."""
        gate, users = self._gates.get(peer) or (asyncio.Semaphore(self._at_once), 0)
        self._gates[peer] = (gate, users + 1)
        try:
            async with gate:
                yield
        finally:
            gate, users = self._gates[peer]
            if users == 1:
                del self._gates[peer]
            else:
                self._gates[peer] = (gate, users - 1)

    def _level(self, peer: bytes, now: float) -> float:
        level, at = self._buckets.get(peer, (0.0, now))
        return max(0.0, level - (now - at) * self._rate)
