"""How a target stands: the calls that it has, and whether it may be asked."""

import logging
import math
from collections import deque
from collections.abc import Callable

from veneer.breaker import Breaker
from veneer.routing.target import Target

logger = logging.getLogger("veneer.router")

# Failures in a row after which nobody is sent there for a while. One that fails now and then is
# asked less by whoever chooses, and hardly ever cut off: a third of all calls are so many in a row
# once in 90,000.
IN_A_ROW = 10

# Seconds for which a target rests at most when it asks for that, and where it does not say.
LONGEST_REST = 300.0
SHORT_REST = 1.0

# Models of a target that rest, beyond which the ones that have rested are looked for.
MANY = 256

MINUTE = 60.0


class Standing:
    """Counts the calls of one target, and knows when it is to be left alone.

    It is while its breaker is open, which is after some failures in a row; for one model of it, as
    long as it said. `clock` gives seconds.
    """

    def __init__(self, target: Target, clock: Callable[[], float]) -> None:
        self.outstanding = 0
        self._clock = clock
        self._most = math.inf if target.max_concurrent is None else target.max_concurrent
        self._per_minute = target.requests_per_minute
        self._begun: deque[float] = deque(maxlen=self._per_minute or 1)
        self._breaker = Breaker(
            target.name, meanwhile="others are asked", logger=logger, clock=clock
        )
        self._failures = 0
        # Whether it was a health check that found it away.
        self._unhealthy = False
        # Until when models of it rest, and whether because they were asked too much.
        self._rests: dict[str, tuple[float, bool]] = {}

    @property
    def is_idle(self) -> bool:
        """Whether nothing is under way, and nothing keeps anybody from asking it."""
        return not (
            self.outstanding or self._rests or self._breaker.away or self._per_minute is not None
        )

    @property
    def is_full(self) -> bool:
        """Whether its own limits leave no room."""
        if self.outstanding >= self._most:
            return True
        begun = self._begun
        return len(begun) == self._per_minute and self._clock() - begun[0] < MINUTE

    def is_probing(self, name: str) -> bool:
        """Whether the next call to this model finds out if it is back."""
        return self._breaker.away and self.resting(name) <= 0

    def resting(self, name: str) -> float:
        """Return the seconds for which this model of it is not to be asked."""
        rest = self._breaker.rest if self._breaker.away else 0.0
        said = self._rests.get(name)
        return rest if said is None else max(rest, said[0] - self._clock(), 0.0)

    def is_limited(self, name: str) -> bool:
        """Whether this model of it rests because it was asked too much."""
        until, limited = self._rests.get(name, (0.0, False))
        return limited and until > self._clock()

    def begin(self, name: str) -> int | None:
        """Take a place for a call to this model; None where there is none.

        What is returned is handed back to `end`.
        """
        if self.is_full or self.resting(name) > 0:
            return None
        attempt = self._breaker.begin()
        if attempt is not None:
            self.outstanding += 1
            self._begun.append(self._clock())
        return attempt

    def end(self, attempt: int) -> None:
        """Give the place back."""
        self.outstanding -= 1
        self._breaker.end(attempt)

    def succeeded(self, attempt: int) -> None:
        """Note that it has answered."""
        self._failures = 0
        self._unhealthy = False
        self._breaker.succeeded(attempt)

    def failed(self, attempt: int, reason: str) -> None:
        """Note that it has failed."""
        self._failures += 1
        if self._failures >= IN_A_ROW or self._breaker.away:
            self._breaker.failed(attempt, reason)

    def rest(self, name: str, seconds: float | None, *, limited: bool) -> None:
        """Leave this model of it alone for as long as it said, or for a moment if it did not.

        `limited` is whether it was asked too much.
        """
        now = self._clock()
        if len(self._rests) >= MANY:
            self._rests = {n: rest for n, rest in self._rests.items() if rest[0] > now}
        seconds = SHORT_REST if seconds is None else min(max(seconds, 0.0), LONGEST_REST)
        self._rests[name] = now + seconds, limited

    def checked(self, *, healthy: bool) -> None:
        """Note what a health check has found, which ends only what another one began."""
        if healthy and not self._unhealthy:
            return
        attempt = self._breaker.begin()
        if attempt is None:
            return
        if healthy:
            self.succeeded(attempt)
        else:
            self._unhealthy = True
            self._breaker.failed(attempt, "its health check failed")
        self._breaker.end(attempt)
