"""Keys: what an upstream is shown; several take turns, and one that is refused rests."""

from collections.abc import Callable, Sequence
from time import monotonic


class Keys:
    """Upstream keys in turn.

    `rest` is how long, in seconds, a key that was refused is passed over where the upstream does not
    say; while all of them rest, the one that rests shortest is used. Raises ValueError for no key, or
    one that cannot stand in a header.
    """

    def __init__(
        self, keys: Sequence[str], *, rest: float = 60.0, clock: Callable[[], float] = monotonic
    ) -> None:
        if not keys:
            raise ValueError("No upstream key is given: leave api_key out, or name one.")
        if not all(key and key.isascii() and key.isprintable() and " " not in key for key in keys):
            raise ValueError(
                "An upstream key is empty or holds characters that no header may have: "
                "look for a line end or a space in it."
            )
        self._keys = tuple(keys)
        self._rest = rest
        self._clock = clock
        self._turn = 0
        self._resting: dict[str, float] = {}

    def next(self) -> str:
        """Return the key whose turn it is."""
        count = len(self._keys)
        if not self._resting:
            self._turn = (self._turn + 1) % count
            return self._keys[self._turn]
        now = self._clock()
        self._resting = {key: until for key, until in self._resting.items() if until > now}
        for step in range(1, count + 1):
            turn = (self._turn + step) % count
            if self._keys[turn] not in self._resting:
                self._turn = turn
                return self._keys[turn]
        return min(self._resting, key=self._resting.__getitem__)

    def strike_out(self, key: str, seconds: float | None = None) -> None:
        """Let a key rest, for as long as the upstream asked, or by default."""
        if len(self._keys) > 1:
            self._resting[key] = self._clock() + (self._rest if seconds is None else seconds)

    def __repr__(self) -> str:
        """Tell how many, never which."""
        return f"Keys({len(self._keys)})"
