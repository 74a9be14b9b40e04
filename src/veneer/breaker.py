"""The breaker: whether to ask somebody who failed a moment ago."""

import logging
from collections.abc import Callable

# Seconds in which nobody asks after a failure; they double with every attempt that fails again.
FIRST_PAUSE = 0.5
LONGEST_PAUSE = 10.0

# Seconds for which somebody may be busy, with nobody answered, before that counts as a failure.
LONGEST_STALL = 0.25


class Breaker:
    """Lets everybody ask while all is well; after a failure nobody, and then one at a time.

    A failure is one that tells: of a call after whose beginning no other was answered. Where one is
    late or cut off among others that are not, they go on.

    Every attempt that `begin` allows is handed back to `end`, whatever became of it, after it was
    said to have `succeeded` or `failed`, if it did either. Each change is logged to `logger`,
    once: `name` is who is asked, `meanwhile` what is so until that is back. `clock` gives seconds.
    """

    def __init__(
        self,
        name: str,
        *,
        meanwhile: str,
        logger: logging.Logger,
        clock: Callable[[], float],
    ) -> None:
        self._name = name
        self._meanwhile = meanwhile
        self._logger = logger
        self._clock = clock
        self._away = False
        self._pause = 0.0
        self._since = 0.0
        self._ask_at = 0.0
        self._trying = False
        self._stalled_in = -1
        self._stalled_at = 0.0
        # Counts what is known: each answer, and each change. A call that began before the last of
        # them says nothing about the time after it; those that were under way when all was lost
        # do not lengthen the pause, one after the other.
        self._era = 0

    @property
    def away(self) -> bool:
        """Whether the last that is known is a failure; `begin` may allow an attempt yet."""
        return self._away

    @property
    def rest(self) -> float:
        """Seconds for which `begin` allows no attempt; while one is made, those of the pause."""
        if not self._away:
            return 0.0
        return self._pause if self._trying else max(0.0, self._ask_at - self._clock())

    def begin(self) -> int | None:
        """Return the attempt that may be made now, None where none may."""
        if self._away:
            if self._trying or self._clock() < self._ask_at:
                return None
            self._trying = True
        return self._era

    def end(self, attempt: int) -> None:
        """Let somebody else try, if this was the one that did."""
        if attempt == self._era:
            self._trying = False

    def succeeded(self, attempt: int) -> None:
        """Note an answer; have everybody ask again, if this was the one that tried."""
        if not self._away:
            self._era += 1
            return
        if attempt != self._era:
            return
        self._change(away=False)
        self._logger.info("%s is back after %.1f s", self._name, self._clock() - self._since)

    def stalled(self, attempt: int, reason: str) -> None:
        """Note that one was too busy to answer: a failure if that lasts, or ends a trial."""
        if attempt != self._era:
            return
        now = self._clock()
        if not self._away and self._stalled_in != attempt:
            self._stalled_in = attempt
            self._stalled_at = now
        elif self._away or now - self._stalled_at >= LONGEST_STALL:
            self.failed(attempt, reason)

    def failed(self, attempt: int, reason: str) -> None:
        """Have nobody ask for a while, if this tells that it is away."""
        if attempt != self._era:
            return
        now = self._clock()
        if self._away:
            self._pause = min(LONGEST_PAUSE, 2 * self._pause)
        else:
            self._pause = FIRST_PAUSE
            self._since = now
            self._change(away=True)
            self._logger.warning(
                "%s is away (%s): until it is back, %s", self._name, reason, self._meanwhile
            )
        self._ask_at = now + self._pause

    def _change(self, *, away: bool) -> None:
        self._away = away
        self._era += 1
        self._trying = False
