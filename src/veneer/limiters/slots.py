"""Slots: concurrent requests, counted as they begin and end."""

from math import inf

import msgspec

from veneer.quotas.quota import Quota

# Nobody knows when a call ends; so long a client is asked to wait before it tries again.
RETRY = 1.0


class Slots(msgspec.Struct, gc=False):
    """One counter: how many calls are running. Time changes nothing about it."""

    running: int = 0

    @property
    def until(self) -> float:
        """Never, while a call runs: it is settled, or it holds its slot."""
        return inf if self.running else 0.0

    def drain(self, _quota: Quota, _now: float) -> float:
        """Return how many calls are running."""
        return self.running

    def put_in(self, _quota: Quota, units: int) -> tuple[float, float]:
        """Add a call, also above the limit; return the mark by which it is settled."""
        self.running += units
        return 0.0, 0.0

    def settle(self, _quota: Quota, _mark: tuple[float, float], taken: int, _used: int) -> None:
        """Free what a call took, whatever it used."""
        self.running = max(0, self.running - taken)

    def wait(self, level: float, quota: Quota, cost: int) -> float:
        """Return 0 if a cost fits, a second if it does not, infinite where it never will."""
        if cost > quota.limit:
            return inf
        return RETRY if level + cost > quota.limit else 0.0

    def reset(self, _level: float, _quota: Quota) -> float:
        """Return 0: slots come back when the calls end."""
        return 0.0
