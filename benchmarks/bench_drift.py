"""How near each strategy comes to the best target while prices, latencies and throughputs drift.

A simulation, seeded, without a clock or a network: six targets, whose prices, times to the first
event and throughputs wander by a factor of two and more within minutes, get some calls a second.
The router sees only what calls told as they went, each with its own luck. For each strategy, what
its calls came to by what it goes by (dollars, seconds, seconds a token, or their product, each with
its weight), by the true figures of that moment, is divided by what the best target of each moment
would have come to.
"""

import heapq
import math
import random
import sys
from collections.abc import Callable

from rig.results import Bar, Column, Result, main

from veneer.prices.price import Price
from veneer.routing.choice import choose
from veneer.routing.observations import Observations
from veneer.routing.offers import Offers
from veneer.routing.plan import Ask, Offer, Plan
from veneer.routing.preferences import Optimize, Preferences
from veneer.routing.scores import WEIGHTS

TARGETS = 6
CALLS = 20_000
# Seconds between calls, on the average; and how often prices change.
BETWEEN = 0.3
REPRICED = 60.0
# How far the logarithms wander (their deviation), in how many seconds, and a call's own luck.
WANDER = 0.5
WANDERING = 1200.0
LUCK = 0.3
INPUT = 2000
OUTPUT = 300
STRATEGIES: tuple[Optimize, ...] = (
    "cost",
    "cost-focus",
    "ttft",
    "ttft-focus",
    "tps",
    "tps-focus",
    "balanced",
)


class Wanderer:
    """The logarithm of something that drifts around its middle."""

    def __init__(self, middle: float, luck: random.Random) -> None:
        self._middle = math.log(middle)
        self._luck = luck
        self._off = luck.gauss(0.0, WANDER)

    def pass_on(self, seconds: float) -> None:
        """Let time pass."""
        left = math.exp(-seconds / WANDERING)
        self._off = self._off * left + self._luck.gauss(0.0, WANDER) * math.sqrt(1 - left * left)

    @property
    def now(self) -> float:
        """What it is at this moment."""
        return math.exp(self._middle + self._off)


class Place:
    """A target as it truly is."""

    def __init__(self, name: str, luck: random.Random) -> None:
        self.name = name
        self.input = Wanderer(0.5e12, luck)
        self.output = Wanderer(2e12, luck)
        self.ttft = Wanderer(0.5, luck)
        self.throughput = Wanderer(60.0, luck)
        self.outstanding = 0
        self.reprice()

    def reprice(self) -> None:
        """Tell its prices."""
        price = Price(input=round(self.input.now), output=round(self.output.now))
        self.offer = Offer(target=self.name, model="m", name="m", price=price)

    def pass_on(self, seconds: float) -> None:
        """Let time pass."""
        for each in (self.input, self.output, self.ttft, self.throughput):
            each.pass_on(seconds)

    def truly(self, strategy: Optimize) -> float:
        """Return what a call comes to now, by what a strategy goes by; the less, the better."""
        rates = self.offer.rates
        if rates is None:
            raise RuntimeError("the offer has a price")
        weights = WEIGHTS[strategy]
        cost = INPUT * rates.input + OUTPUT * rates.output
        return float(
            cost**weights.cost
            * self.ttft.now**weights.ttft
            / self.throughput.now**weights.throughput
        )


class World:
    """Targets, a clock, and what will be seen of calls under way."""

    def __init__(self, seed: int) -> None:
        self.luck = random.Random(seed)  # noqa: S311 - a simulation
        self.now = 0.0
        self.places = [Place(f"target-{index}", self.luck) for index in range(TARGETS)]
        self.observations = Observations(lambda: self.now)
        self._later: list[tuple[float, int, Callable[[], None]]] = []
        self._count = 0
        self._reprice_at = 0.0

    def at(self, when: float, deed: Callable[[], None]) -> None:
        """Have something done later."""
        self._count += 1
        heapq.heappush(self._later, (when, self._count, deed))

    def pass_on(self, seconds: float) -> None:
        """Let time pass, and be seen what is to be seen meanwhile."""
        until = self.now + seconds
        while self._later and self._later[0][0] <= until:
            self.now, _, deed = heapq.heappop(self._later)
            deed()
        self.now = until
        for place in self.places:
            place.pass_on(seconds)
        if until >= self._reprice_at:
            self._reprice_at = until + REPRICED
            for place in self.places:
                place.reprice()

    def call(self, place: Place) -> None:
        """Make a call of a target; what it tells is seen as it goes."""
        offer = place.offer
        first = place.ttft.now * math.exp(self.luck.gauss(0.0, LUCK))
        tokens = max(round(OUTPUT * math.exp(self.luck.gauss(-0.125, 0.5))), 1)
        rest = tokens / place.throughput.now / math.exp(self.luck.gauss(0.0, LUCK))
        place.outstanding += 1

        def end() -> None:
            place.outstanding -= 1
            self.observations.saw_end(offer, tokens, rest)
            self.observations.succeeded(offer)

        self.at(self.now + first, lambda: self.observations.saw_first(offer, first))
        self.at(self.now + first + rest, end)


def over_best(strategy: Optimize, seed: int) -> float:
    """Return what calls came to over what they would have at the best target of their moment."""
    world = World(seed)
    preferences = Preferences(optimize=strategy)
    came, could = 0.0, 0.0
    for _ in range(CALLS):
        world.pass_on(world.luck.expovariate(1 / BETWEEN))
        offers = Offers(place.offer for place in world.places)
        readings = [
            world.observations.reading(place.offer, outstanding=place.outstanding)
            for place in world.places
        ]
        ask = Ask(
            models=("m",),
            preferences=preferences,
            input_tokens=INPUT,
            output_tokens=world.observations.expected_output("m", None),
            tries=3,
            now=world.now,
        )
        plan = choose(ask, offers, readings, world.luck.random())
        if not isinstance(plan, Plan):
            raise TypeError(plan.message)
        chosen = next(p for p in world.places if p.offer is plan.steps[0].offer)
        came += chosen.truly(strategy)
        could += min(place.truly(strategy) for place in world.places)
        world.call(chosen)
    return came / could


def measure(*, rounds: int) -> Result:
    """Simulate, each round with a seed of its own."""
    result = Result(
        name="drift",
        doc=__doc__,
        columns=[Column("over_best", "over the best", digits=3)],
        labels={strategy: f"`{strategy}`" for strategy in STRATEGIES},
        settings={"rounds": rounds, "calls": CALLS, "targets": TARGETS},
    )
    for strategy in STRATEGIES:
        found = [over_best(strategy, seed) for seed in range(rounds)]
        result.samples[strategy] = {"over_best": found}
        mean = sum(found) / len(found)
        result.bars.append(Bar(f"{strategy}, over the best target", mean, at_most=1.05, digits=3))
    return result


if __name__ == "__main__":
    sys.exit(main(measure, rounds=5))
