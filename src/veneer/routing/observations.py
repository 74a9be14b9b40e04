"""Observations: how targets have done of late, as far as their calls tell."""

import math
from collections import deque
from collections.abc import Callable, MutableMapping
from typing import TypeVar

from veneer.routing.plan import Offer, Reading, Spread

# Seconds for which a sample counts among percentiles, and how many of the last ones do.
WINDOW = 300.0
SAMPLES = 64

# How much of the moving average a new sample is, when the last one was a moment ago. In so many
# seconds without a sample the average is worth half of what it was.
SHARE = 0.1
HALF_LIFE = 60.0

# Failures and successes count half after so many seconds. That so many calls succeeded is assumed
# of anybody, or else the first call that fails would be all that is known.
FAILURES_HALF_LIFE = 30.0
ASSUMED = 3.0

# While nobody asks one that has failed, nobody learns that it is well again: so what is held
# against it halves in so many seconds for each failure, and in that half-life at the latest.
PARDON = 2.0
# What is left of a failure that is too little to be told from none.
FORGOTTEN = 0.01

# Fewer tokens than these, or less time than that (seconds), tell nothing of the throughput.
FEW_TOKENS = 8
MOMENT = 0.001

# What an answer is expected to have where nothing is known of its model, and how much of the
# average a new one is.
FIRST_GUESS = 256
OUTPUT_SHARE = 0.05

K = TypeVar("K")
V = TypeVar("V")


class Observations:
    """What was seen of offers, and of how much models write, up to `most` of each.

    Those that nothing was seen of for longest are forgotten first. `clock` gives seconds.
    """

    def __init__(self, clock: Callable[[], float], *, most: int = 4096) -> None:
        if most < 1:
            raise ValueError(f"The number of offers to remember is {most}: give 1 or more.")
        self._clock = clock
        self._most = most
        self._tracks: dict[tuple[str, str], _Track] = {}
        self._outputs: dict[str, float] = {}

    def now(self) -> float:
        """Return the time in seconds by which readings tell when something was seen."""
        return self._clock()

    def reading(  # noqa: PLR0913 - a reading is of as much
        self,
        offer: Offer,
        *,
        outstanding: int = 0,
        full: bool = False,
        resting: float = 0.0,
        probing: bool = False,
        warm: int = 0,
    ) -> Reading:
        """Return how an offer does; what is not seen of its calls, the caller adds."""
        track = self._tracks.get((offer.target, offer.name))
        if track is None:
            return Reading(
                outstanding=outstanding, full=full, resting=resting, probing=probing, warm=warm
            )
        if not (outstanding or warm or track.failures or full or resting or probing):
            return track.calm or track.calmed()
        return Reading(
            ttft=track.ttft.spread,
            throughput=track.throughput.spread,
            seen=track.seen,
            outstanding=outstanding,
            full=full,
            resting=resting,
            probing=probing,
            failing=track.failing(self._clock()) if track.failures else 0.0,
            warm=warm,
        )

    def saw_first(self, offer: Offer, seconds: float) -> None:
        """Note how long the first event of a stream took."""
        now = self._clock()
        self._track(offer, now).ttft.add(max(seconds, MOMENT), now)

    def saw_end(self, offer: Offer, output_tokens: int, seconds_since_first: float) -> None:
        """Note how much an answer had, and how long it took from its first event to its end.

        That is 0 for one that came in one piece, which tells nothing of the throughput.
        """
        self._learn(offer.model, output_tokens)
        if output_tokens >= FEW_TOKENS and seconds_since_first >= MOMENT:
            now = self._clock()
            self._track(offer, now).throughput.add(output_tokens / seconds_since_first, now)

    def failed(self, offer: Offer) -> None:
        """Note a call that came to nothing."""
        now = self._clock()
        self._track(offer, now).count(now, failures=1)

    def succeeded(self, offer: Offer) -> None:
        """Note a call that was answered."""
        now = self._clock()
        self._track(offer, now).count(now, failures=0)

    def expected_output(self, model: str, cap: int | None) -> int:
        """Return how many tokens an answer of a model will have, which are no more than its cap."""
        expected = math.ceil(self._outputs.get(model, FIRST_GUESS))
        return expected if cap is None else min(expected, cap)

    def _learn(self, model: str, tokens: int) -> None:
        before = self._outputs.get(model)
        after = tokens if before is None else before + OUTPUT_SHARE * (tokens - before)
        _keep(self._outputs, model, after, self._most)

    def _track(self, offer: Offer, now: float) -> "_Track":
        key = (offer.target, offer.name)
        track = self._tracks.get(key) or _Track()
        _keep(self._tracks, key, track, self._most)
        track.seen = now
        track.calm = None
        return track


def _keep(held: MutableMapping[K, V], key: K, value: V, most: int) -> None:
    """Put a value last, and drop the first where these are too many."""
    held.pop(key, None)
    held[key] = value
    if len(held) > most:
        del held[next(iter(held))]


class _Track:
    """What was seen of one offer; `failures` and `calls` are as of `counted`.

    `calm` is its reading while nothing is under way there, kept until more is seen.
    """

    __slots__ = ("calls", "calm", "counted", "failures", "seen", "throughput", "ttft")

    def __init__(self) -> None:
        self.ttft = _Measure(less_is_better=True)
        self.throughput = _Measure(less_is_better=False)
        self.seen = 0.0
        self.calm: Reading | None = None
        self.counted = 0.0
        self.failures = 0.0
        self.calls = 0.0

    def count(self, now: float, *, failures: int) -> None:
        left = _left(now - self.counted, FAILURES_HALF_LIFE)
        before = self.failures * left
        self.failures = failures + (before if before > FORGOTTEN else 0.0)
        self.calls = self.calls * left + 1
        self.counted = now

    def failing(self, now: float) -> float:
        pardon = min(FAILURES_HALF_LIFE, PARDON * self.failures)
        left = _left(now - self.counted, pardon)
        return self.failures / (self.calls + ASSUMED) * left

    def calmed(self) -> Reading:
        self.calm = Reading(
            ttft=self.ttft.spread, throughput=self.throughput.spread, seen=self.seen
        )
        return self.calm


class _Measure:
    """Samples of one measure; `spread` is worked out as they come, so that asking costs nothing."""

    __slots__ = ("_count", "_last", "_level", "_samples", "_worst_last", "spread")

    def __init__(self, *, less_is_better: bool) -> None:
        self.spread: Spread | None = None
        self._worst_last = less_is_better
        self._samples: deque[tuple[float, float]] = deque(maxlen=SAMPLES)
        self._level = 0.0
        self._last = 0.0
        self._count = 0

    def add(self, value: float, now: float) -> None:
        samples = self._samples
        samples.append((now, value))
        while samples[0][0] < now - WINDOW:
            samples.popleft()
        self._count += 1
        # The first samples count alike, and a sample after a pause as much as the pause was long.
        share = max(SHARE, 1 / self._count, 1 - _left(now - self._last, HALF_LIFE))
        self._level += share * (math.log(value) - self._level)
        self._last = now
        ordered = sorted((value for _, value in samples), reverse=not self._worst_last)
        self.spread = Spread(
            self._level, _percentile(ordered, 50), _percentile(ordered, 95), self._count
        )


def _percentile(ordered: list[float], percent: int) -> float:
    """Return the nearest rank of a percentile."""
    return ordered[-(-percent * len(ordered) // 100) - 1]


def _left(seconds: float, half_life: float) -> float:
    """Return what is left of a weight after so long."""
    return math.exp2(-max(seconds, 0.0) / half_life)
