"""The bucket: continuous counting (GCRA, the leaky bucket as a meter) with debt.

Units flow out evenly, a whole limit in a window. A quota that was left alone for a window can be
used up at once, so what is admitted between two moments is at most the limit and what flows out
between them: twice the limit in a window. What is settled above the limit is a debt, and flows out
like the rest.

What has flowed out cannot be given back: else a call that took much and needed little would make
room twice, once by time and once by settling. So it has to be known whose units flow: first those
of calls that are settled, then those of all running calls in proportion to what each still has.
The bound holds for any rule that lets every unit leave once; this one needs no list of calls, does
not care in which order they settle, and leaves running calls the most to give back.
"""

from math import exp, inf, log

import msgspec

from veneer.quotas.quota import REQUESTS, Quota

# What floating point may lose of a unit on the way.
TOLERANCE = 1e-6


class Bucket(msgspec.Struct, gc=False):
    """One counter; `drain` comes before everything else.

    As of the time `at` (seconds on the limiter's clock) there stand in it `used` units of calls
    that are settled, and `held` units of calls that are not. Held units first stood alone at
    `since`; from then on flowing has thinned them by the factor exp(-`thinned`). At `until` all
    will have flowed out: a bucket that is forgotten then is missed by nobody.
    """

    used: float = 0.0
    held: float = 0.0
    since: float = 0.0
    thinned: float = 0.0
    at: float = 0.0
    until: float = 0.0

    def drain(self, quota: Quota, now: float) -> float:
        """Let flow out what has by now; return the level. A clock that goes back stands still."""
        held = self.held
        if now <= self.at:
            return self.used + held
        left = self.used - (now - self.at) * quota.rate
        self.at = now
        if left >= 0:
            self.used = left
            return left + held
        self.used = 0.0
        left += held
        if left <= 0:
            self.held = 0.0
            return 0.0
        self.held = left
        self.thinned += log(held / left)
        return left

    def put_in(self, quota: Quota, units: int) -> tuple[float, float]:
        """Add units of a call, also above the limit; return the mark by which it is settled.

        Requests are never settled: they are used at once.
        """
        used, held = self.used, self.held
        if quota.unit == REQUESTS:
            used += units
            self.used = used
        else:
            if not held:
                self.since = self.at
                self.thinned = 0.0
            held += units
            self.held = held
        self.until = self.at + (used + held) / quota.rate
        return self.since, self.thinned

    def settle(self, quota: Quota, mark: tuple[float, float], taken: int, used: int) -> None:
        """Correct what a call took to what it used, as far as it has not flowed out.

        A bucket that was empty or forgotten in between knows the mark no more; a debt goes in all
        the same.
        """
        since, thinned = mark
        standing = 0.0
        if since == self.since:
            standing = taken * exp(thinned - self.thinned)
            held = self.held - standing
            if held < 0:
                standing += held
                held = 0.0
            self.held = held
        stays = standing + used - taken
        if stays > 0:
            self.used += stays
        if used > taken:
            self.until = self.at + (self.used + self.held) / quota.rate

    def wait(self, level: float, quota: Quota, cost: int) -> float:
        """Return the seconds until a cost fits, 0 if it does; infinite where it never will."""
        if cost > quota.limit:
            return inf
        over = level + cost - quota.limit
        return over / quota.rate if over > TOLERANCE else 0.0

    def reset(self, level: float, quota: Quota) -> float:
        """Return the seconds until nothing stands in it."""
        return level / quota.rate
