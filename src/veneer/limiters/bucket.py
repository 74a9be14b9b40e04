"""The bucket: continuous counting (GCRA, the leaky bucket as a meter) with debt.

Units flow out evenly, a whole limit in a window. A quota that was left alone for a window can be
used up at once, so a window holds at most the limit twice: what stood free at its beginning, and
what came back during it. What is settled above the limit is a debt, which flows out first.

Units flow out in the order in which they came, and what has flowed out cannot be given back: else a
call that took much and needed little would make room twice, once by time and once by settling.
"""

import msgspec

from veneer.quotas.quota import Quota

# What floating point may lose of a unit on the way.
TOLERANCE = 1e-6


class Bucket(msgspec.Struct):
    """One counter.

    `put` counts all units that ever came in, `out` those that flowed out or were given back, as of
    the time `at` (seconds on the limiter's clock). At `until` all that is known of will have
    flowed out: a bucket that is forgotten then is missed by nobody.
    """

    put: float = 0.0
    out: float = 0.0
    at: float = 0.0
    until: float = 0.0

    def drain(self, quota: Quota, now: float) -> float:
        """Let flow out what has by now; return the level. A clock that goes back stands still."""
        if now > self.at:
            self.out = min(self.put, self.out + (now - self.at) * quota.rate)
            self.at = now
        return self.put - self.out

    def put_in(self, quota: Quota, units: float) -> float:
        """Add units, also above the limit, after `drain`; return the mark of the last of them."""
        self.put += units
        self.until = max(self.until, self.at + (self.put - self.out) / quota.rate)
        return self.put

    def give_back(self, mark: float, units: float) -> None:
        """Take out units that were put in up to a mark, as far as they have not flowed out."""
        self.out += min(units, max(0.0, mark - self.out))


def wait_for(level: float, quota: Quota, cost: int) -> float:
    """Return the seconds until a cost fits, 0 if it does; infinite where it never will."""
    if cost > quota.limit:
        return float("inf")
    over = level + cost - quota.limit
    return over / quota.rate if over > TOLERANCE else 0.0


def remaining(level: float, quota: Quota) -> int:
    """Return how many whole units are left."""
    return max(0, int(quota.limit - level + TOLERANCE))
