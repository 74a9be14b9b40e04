"""Random lives of a counter, and what was admitted in them."""

from dataclasses import dataclass, field

from hypothesis import strategies as st

from veneer.limiters.bucket import TOLERANCE
from veneer.limiters.decide import Mark, Meter
from veneer.quotas.quota import Quota

# A step: seconds that pass before it, then a call of so many units, or a settlement of one of the
# running calls, chosen by the number, to so many units.
PASSED = st.one_of(st.just(0.0), st.floats(0, 3), st.floats(0, 90), st.sampled_from([1.0, 59.0]))
UNITS = st.one_of(st.integers(1, 10), st.integers(1, 130))
STEPS = st.lists(
    st.one_of(
        st.tuples(PASSED, st.just("take"), UNITS, st.just(0)),
        st.tuples(PASSED, st.just("settle"), st.one_of(st.just(0), UNITS), st.integers(0, 9)),
    ),
    max_size=60,
)
Steps = list[tuple[float, str, int, int]]


@dataclass(eq=False)
class Call:
    """An admitted call: when, what it took, and what it used, which is all while it runs."""

    at: float
    taken: int
    mark: Mark
    used: int


@dataclass
class History:
    """What became of a counter."""

    meter: Meter
    quota: Quota
    now: float = 1000.0
    calls: list[Call] = field(default_factory=list)
    running: list[Call] = field(default_factory=list)

    def live(self, steps: Steps) -> None:
        """Go through the steps, and settle nothing that is left at their end."""
        for passed, what, units, which in steps:
            self.now += passed
            if what == "take":
                self.take(units)
            elif self.running:
                self.settle(self.running[which % len(self.running)], units)

    def take(self, units: int) -> bool:
        """Take units if they fit."""
        level = self.meter.drain(self.quota, self.now)
        assert level >= 0
        if self.meter.wait(level, self.quota, units):
            return False
        call = Call(self.now, units, self.meter.put_in(self.quota, units), units)
        self.calls.append(call)
        self.running.append(call)
        return True

    def settle(self, call: Call, used: int) -> None:
        """End a call."""
        self.running.remove(call)
        before = self.meter.drain(self.quota, self.now)
        self.meter.settle(self.quota, call.mark, call.taken, used)
        after = self.meter.drain(self.quota, self.now)
        assert after >= 0
        assert -call.taken <= after - before + TOLERANCE
        assert after - before - TOLERANCE <= max(0, used - call.taken)
        call.used = used

    def admitted(self, begin: float, end: float) -> int:
        """Return the units of the calls admitted between two moments, without their debts."""
        return sum(min(call.used, call.taken) for call in self.calls if begin <= call.at <= end)

    def moments(self) -> list[float]:
        """Return the times at which calls were admitted."""
        return sorted({call.at for call in self.calls})
