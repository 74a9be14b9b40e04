"""The ring: strict counting, never more than the limit in any window whatever.

Time is cut into slots of a 59th of the window, so that every window lies within 60 of them. Units
count in the slot in which they were taken until 60 slots have begun since, and then leave at once.
"""

from array import array
from math import inf

import msgspec

from veneer.limiters.bucket import TOLERANCE
from veneer.quotas.quota import Quota

SLOTS = 60


class Ring(msgspec.Struct, gc=False):
    """One counter; `drain` comes before everything else.

    As of the time `at` (seconds on the limiter's clock) it is `slot`, counted from the clock's
    zero. `units` are those of the slots from `first` on, as far as any were taken, and `total` is
    their sum. At `until` all will have left: a ring that is forgotten then is missed by nobody.
    """

    # A string, because Python 3.11 cannot subscript this class at run time.
    units: "array[float]" = msgspec.field(default_factory=lambda: array("d"))
    first: int = 0
    slot: int = 0
    total: float = 0.0
    at: float = 0.0
    until: float = 0.0

    def drain(self, quota: Quota, now: float) -> float:
        """Let leave what has by now; return the level. A clock that goes back stands still."""
        if now > self.at:
            self.at = now
            self.slot = int(now // _width(quota))
            gone = self.slot - self.first - SLOTS + 1
            if gone > 0:
                del self.units[:gone]
                self.first += gone
                self.total = sum(self.units)
        return self.total

    def put_in(self, quota: Quota, units: int) -> tuple[float, float]:
        """Add units of a call, also above the limit; return the mark by which it is settled."""
        if not self.units:
            self.first = self.slot
        index = self.slot - self.first
        while len(self.units) <= index:
            self.units.append(0.0)
        self.units[index] += units
        self.total += units
        self.until = (self.slot + SLOTS) * _width(quota)
        return float(self.slot), 0.0

    def settle(self, quota: Quota, mark: tuple[float, float], taken: int, used: int) -> None:
        """Correct what a call took to what it used; a debt counts from now on.

        What has left is not given back, nor is it in a ring that was forgotten in between.
        """
        if used > taken:
            self.put_in(quota, used - taken)
            return
        index = int(mark[0]) - self.first
        if 0 <= index < len(self.units):
            self.units[index] -= taken - used
            self.total -= taken - used

    def wait(self, level: float, quota: Quota, cost: int) -> float:
        """Return the seconds until a cost fits, 0 if it does; infinite where it never will."""
        if cost > quota.limit:
            return inf
        over = level + cost - quota.limit
        if over <= TOLERANCE:
            return 0.0
        index = -1
        while over > TOLERANCE and index + 1 < len(self.units):
            index += 1
            over -= self.units[index]
        return self._until_left(index, quota)

    def reset(self, level: float, quota: Quota) -> float:
        """Return the seconds until nothing counts any more."""
        if level <= TOLERANCE:
            return 0.0
        index = len(self.units) - 1
        while index > 0 and not self.units[index]:
            index -= 1
        return self._until_left(index, quota)

    def _until_left(self, index: int, quota: Quota) -> float:
        return max(0.0, (self.first + index + SLOTS) * _width(quota) - self.at)


def _width(quota: Quota) -> float:
    return quota.window / (SLOTS - 1)
