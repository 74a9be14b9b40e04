"""Which owners of rows are over: a process shows that it lives by a number that grows."""

from collections.abc import Callable, Iterable
from time import monotonic

import msgspec

# Looks that find the same. After two, a lease might have passed while nobody could write, for a
# file was locked: the one who lives has until the third to show it.
_LOOKS = 3


class Owner(msgspec.Struct, frozen=True):
    """A process that rows belong to, as its own row tells: how often it has shown that it lives."""

    id: int
    beats: int


class _Seen(msgspec.Struct):
    beats: int
    times: int
    at: float


class Lookout:
    """Tells which owners have shown no life for a lease, as far as it has seen itself.

    No clock is compared with another's, nor with one from before: whatever is set back or forth,
    nobody lives for ever, and nobody is over who goes on. An owner shows that it lives more often
    than every half `lease` (seconds); one is over that three looks in a row, half a lease or more
    apart, find unchanged. `clock` gives the seconds of this process.
    """

    def __init__(self, lease: float, clock: Callable[[], float] = monotonic) -> None:
        self._apart = lease / 2
        self._clock = clock
        self._seen: dict[int, _Seen] = {}

    def look(self, owners: Iterable[Owner]) -> list[int]:
        """Look at all owners; return the ids of those that are over."""
        now = self._clock()
        before, self._seen = self._seen, {}
        over = []
        for owner in owners:
            seen = before.get(owner.id)
            if seen is None or seen.beats != owner.beats:
                seen = _Seen(owner.beats, 1, now)
            elif now - seen.at >= self._apart:
                seen.times, seen.at = seen.times + 1, now
            self._seen[owner.id] = seen
            if seen.times >= _LOOKS:
                over.append(owner.id)
        return over
