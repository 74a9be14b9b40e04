"""The queue in front of a limiter: order, turns, bounds, and what is given back."""

import asyncio
import math
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest

from tests.limiters.virtual import run, timers
from veneer.limiters._lines import SECOND_LOOK
from veneer.limiters.memory import MemoryLimiter
from veneer.limiters.queued import PAUSE, Queued
from veneer.quotas.limiter import Decision, Limiter, LimiterUnavailableError
from veneer.quotas.quota import CONCURRENT, REQUESTS, TOKENS, Charge, Quota

SLOTS = Quota(policy="slots", unit=CONCURRENT, limit=1)
OWN_SLOTS = Quota(policy="own", unit=CONCURRENT, limit=1)
CALLS = Quota(policy="calls", unit=REQUESTS, limit=10, window=10)
WORDS = Quota(policy="words", unit=TOKENS, limit=100, window=10)


def slot(who: str = "") -> Charge:
    return Charge(SLOTS, (who,), 1)


def calls(cost: int = 1, who: str = "") -> Charge:
    return Charge(CALLS, (who,), cost)


def words(cost: int, who: str = "") -> Charge:
    return Charge(WORDS, (who,), cost)


class Bench:
    """A queue in front of a limiter in memory, and a note of who was answered, in order.

    `latency` is how long the limiter takes to hear a question, and again to answer it;
    `settling`, until it has settled.
    """

    def __init__(self, *, max_wait: float = 5.0, max_waiting: int = 1000) -> None:
        clock = asyncio.get_running_loop().time
        self.inner = MemoryLimiter(clock=clock)
        self.queued = Queued(self, max_wait=max_wait, max_waiting=max_waiting, clock=clock)
        self.latency = 0.0
        self.settling = 0.0
        self.away = False
        self.open = 0
        # Whether it wants all back that was taken, that of refused requests too, and how much.
        self.requests_are_owed = False
        self.owed = 0
        self.asked: list[tuple[Charge, ...]] = []
        self.admitted: list[str] = []
        self.tasks: dict[str, asyncio.Task[Decision]] = {}

    async def take(self, charges: Sequence[Charge], /) -> Decision:
        """Ask the limiter in memory, late, or fail."""
        self.asked.append(tuple(charges))
        if self.latency:
            await asyncio.sleep(self.latency)
        if self.away:
            raise LimiterUnavailableError("gone")
        decision = await self.inner.take(charges)
        try:
            if self.latency:
                await asyncio.sleep(self.latency)
        except asyncio.CancelledError:
            if decision.taken is not None:
                self.inner.settle(decision.taken, 0)
            raise
        if self.requests_are_owed:
            self.owed += 1
            return msgspec.structs.replace(decision, taken=(decision.taken,))
        return decision

    def settle(self, taken: Any, tokens: int, /) -> None:
        """Settle with the limiter in memory."""
        if self.requests_are_owed:
            self.owed -= 1
            (taken,) = taken
        if self.settling:
            loop = asyncio.get_running_loop()
            loop.call_later(self.settling, self.inner.settle, taken, tokens)
        elif taken is not None:
            self.inner.settle(taken, tokens)

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        """Note how many hold it open."""
        self.open += 1
        yield
        self.open -= 1

    def come(self, name: str, *charges: Charge) -> asyncio.Task[Decision]:
        """Start one who takes; it is noted when it is admitted."""

        async def take() -> Decision:
            decision = await self.queued.take(charges)
            if not decision.refused:
                self.admitted.append(name)
            return decision

        task = self.tasks[name] = asyncio.get_running_loop().create_task(take())
        return task

    async def go(self, name: str, tokens: int = 0) -> None:
        """Settle what one took, and let the others have their turns."""
        self.queued.settle((await self.tasks[name]).taken, tokens)
        await turns()

    def idle(self) -> bool:
        """Whether the queue holds nothing."""
        queued = self.queued
        assert not queued._came_back
        assert not queued._lines._lines
        return not (queued._waiting or queued._lines or queued._timer or queued._asked)


async def turns() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


def in_virtual_time(test: Any) -> Any:
    """Run a test on a loop whose time is not real, and see that nothing is left of it."""

    def wrapped() -> None:
        async def main() -> None:
            await test()
            assert timers() == []

        run(main())

    wrapped.__name__ = test.__name__
    return wrapped


@in_virtual_time
async def test_a_slot_that_is_freed_wakes_the_next_in_line_and_no_other() -> None:
    bench = Bench()
    for name in "abcd":
        bench.come(name, slot())
        await turns()
    assert bench.admitted == ["a"]
    for name, then in zip("abc", ["ab", "abc", "abcd"], strict=True):
        await bench.go(name)
        assert "".join(bench.admitted) == then
    await bench.go("d")
    assert bench.idle()
    assert not (await bench.inner.take([slot()])).refused


@in_virtual_time
async def test_tokens_are_waited_for_as_long_as_they_take_to_come_back() -> None:
    bench = Bench()
    now = asyncio.get_running_loop().time
    start = now()
    await bench.come("a", words(100))
    bench.come("b", words(20))
    await bench.come("c", words(10))
    assert bench.admitted == ["a", "b", "c"]
    assert now() - start == pytest.approx(3, abs=0.01)
    # Each asked when it came, or when it was its turn, and once more for what was left.
    assert len(bench.asked) <= 6
    assert bench.idle()


@in_virtual_time
async def test_tokens_that_are_given_back_wake_at_once() -> None:
    bench = Bench()
    now = asyncio.get_running_loop().time
    await bench.come("a", words(100))
    bench.come("b", words(40))
    await turns()
    start = now()
    await bench.go("a", tokens=60)
    assert bench.admitted == ["a", "b"]
    assert now() == start


@in_virtual_time
async def test_a_refusal_that_lasts_too_long_stands_at_once() -> None:
    bench = Bench(max_wait=1)
    now = asyncio.get_running_loop().time
    start = now()
    await bench.come("a", words(100))
    assert (await bench.come("b", words(20))).wait == pytest.approx(2)
    assert (await bench.come("c", words(101))).wait == math.inf
    assert now() == start
    assert bench.idle()


@in_virtual_time
async def test_more_than_a_whole_limit_is_refused_at_once_also_where_others_wait() -> None:
    bench = Bench()
    await bench.come("a", words(100))
    bench.come("b", words(10))
    await turns()
    assert (await bench.come("c", words(101))).wait == math.inf
    assert bench.admitted == ["a"]
    await bench.tasks["b"]


@in_virtual_time
async def test_lines_take_turns_at_what_they_share() -> None:
    bench = Bench()
    everyone = Charge(SLOTS, (), 1)
    own = Quota(policy="own", unit=CONCURRENT, limit=100)
    await bench.come("0", everyone)
    for name in ("a1", "a2", "a3", "a4", "b1", "b2", "c1"):
        bench.come(name, everyone, Charge(own, (name[0],), 1))
        await turns()
    order = ["0", "a1", "b1", "c1", "a2", "b2", "a3", "a4"]
    for name in order:
        await bench.go(name)
    assert bench.admitted == order
    assert bench.idle()


@in_virtual_time
async def test_those_who_wait_for_their_own_quota_do_not_hold_others_up() -> None:
    bench = Bench()
    everyone = Charge(Quota(policy="all", unit=CONCURRENT, limit=2), (), 1)
    await bench.come("a1", everyone, Charge(OWN_SLOTS, ("a",), 1))
    await bench.come("0", everyone)
    # Both are refused by the quota of all, and a2 by its own as well.
    bench.come("a2", everyone, Charge(OWN_SLOTS, ("a",), 1))
    await turns()
    bench.come("b1", everyone, Charge(OWN_SLOTS, ("b",), 1))
    await turns()
    await bench.go("0")
    assert bench.admitted == ["a1", "0", "b1"]
    await bench.go("a1")
    assert bench.admitted == ["a1", "0", "b1", "a2"]
    await bench.go("a2")
    await bench.go("b1")
    assert bench.idle()


@in_virtual_time
async def test_who_waits_for_several_quotas_leaves_each_to_those_who_want_it_alone() -> None:
    bench = Bench()
    await bench.come("a1", words(60), slot("a"))
    bench.come("a2", words(80), slot("a"))
    await turns()
    bench.come("b", words(10), slot("b"))
    await turns()
    assert bench.admitted == ["a1", "b"]
    await bench.go("a1", tokens=0)
    assert bench.admitted == ["a1", "b", "a2"]
    await bench.go("a2")


@in_virtual_time
async def test_who_asks_for_little_does_not_overtake_who_asks_for_much() -> None:
    bench = Bench()
    await bench.come("a", words(100))
    bench.come("b", words(40))
    await turns()
    bench.come("c", words(1))
    # Of another line, but it wants what b waits for.
    bench.come("d", words(1), calls())
    await asyncio.sleep(3)
    assert bench.admitted == ["a"]
    await asyncio.sleep(1.5)
    # The lines take turns.
    assert bench.admitted == ["a", "b", "d", "c"]


@in_virtual_time
async def test_what_others_do_not_want_is_not_held_up() -> None:
    bench = Bench()
    await bench.come("a", slot("a"))
    bench.come("a2", slot("a"))
    await turns()
    await asyncio.wait_for(bench.come("b", slot("b")), 0.1)
    await bench.go("a")
    assert bench.admitted == ["a", "b", "a2"]


@in_virtual_time
async def test_no_more_wait_than_may_and_who_is_turned_away_overtakes_nobody() -> None:
    bench = Bench(max_waiting=1)
    await bench.come("a", words(95))
    bench.come("b", words(20))
    await turns()
    # There are tokens for c, but it would take them before b.
    decision = await bench.come("c", calls(), words(1))
    assert decision.refused == (1,)
    assert decision.wait == 5.0
    assert [standing.remaining for standing in decision.standings] == [9, 5]
    # Where there is nobody before it, it is the limiter that refuses.
    await bench.come("d", slot())
    assert (await bench.come("e", slot())).refused == (0,)
    await bench.tasks["b"]
    assert bench.idle()


@in_virtual_time
async def test_who_is_turned_away_takes_no_request_that_others_wait_for() -> None:
    bench = Bench(max_waiting=1)
    await bench.come("a", calls(9))
    bench.come("b", calls(2))
    await turns()
    decision = await bench.come("c", calls())
    assert decision.refused == (0,)
    assert decision.standings[0].remaining == 1
    await bench.tasks["b"]


@in_virtual_time
async def test_who_is_turned_away_may_be_refused_by_the_limiter_already() -> None:
    bench = Bench(max_waiting=1)
    await bench.come("a", words(95))
    bench.come("b", words(20))
    await bench.come("c", calls(10))
    decision = await bench.come("d", calls(), words(1))
    assert decision.refused == (0,)
    assert decision.wait == pytest.approx(1)
    await bench.tasks["b"]


@in_virtual_time
async def test_those_who_are_refused_at_the_same_time_stand_in_line_as_they_came() -> None:
    bench = Bench()
    await bench.come("a", slot())
    bench.latency = 0.01
    for name in "bcd":
        bench.come(name, slot())
    await asyncio.sleep(0.05)
    bench.latency = 0
    for name in "abcd":
        await bench.go(name)
    assert bench.admitted == ["a", "b", "c", "d"]
    assert bench.idle()


@in_virtual_time
async def test_one_whom_several_quotas_refused_leaves_his_place_to_the_next_in_line() -> None:
    bench = Bench()
    await bench.come("a", words(60), slot())
    for name in "bc":
        bench.come(name, words(80), slot())
        await turns()
    assert len(bench.asked) == 2
    bench.tasks["b"].cancel()
    await turns()
    assert len(bench.asked) == 3
    await bench.go("a")
    assert bench.admitted == ["a", "c"]
    await bench.go("c")
    assert bench.idle()


@in_virtual_time
async def test_who_is_cancelled_leaves_at_once_and_those_behind_ask() -> None:
    bench = Bench()
    await bench.come("a", words(60))
    bench.come("b", words(80))
    await turns()
    bench.come("c", words(30))
    await turns()
    assert bench.admitted == ["a"]
    bench.tasks["b"].cancel()
    await turns()
    assert bench.admitted == ["a", "c"]
    assert bench.idle()


@in_virtual_time
async def test_who_is_cancelled_in_the_moment_of_its_turn_takes_nothing() -> None:
    bench = Bench()
    await bench.come("a", slot())
    for name in "bc":
        bench.come(name, slot())
        await turns()
    bench.queued.settle(bench.tasks["a"].result().taken, 0)
    bench.tasks["b"].cancel()
    await turns()
    assert bench.admitted == ["a", "c"]
    await bench.go("c")
    assert bench.idle()


@in_virtual_time
async def test_who_is_cancelled_in_the_middle_of_asking_passes_its_turn_on() -> None:
    bench = Bench()
    await bench.come("a", slot())
    for name in "bc":
        bench.come(name, slot())
        await turns()
    bench.latency = 0.01
    await bench.go("a")
    bench.tasks["b"].cancel()
    await asyncio.sleep(0.1)
    assert bench.admitted == ["a", "c"]
    await bench.go("c")
    assert bench.idle()


@in_virtual_time
async def test_after_its_time_a_waiter_gets_a_refusal_of_that_moment() -> None:
    bench = Bench(max_wait=0.5)
    now = asyncio.get_running_loop().time
    await bench.come("a", calls(), slot())
    start = now()
    decision = await bench.come("b", calls(), slot())
    assert now() - start == pytest.approx(0.5, abs=0.01)
    assert decision.refused == (1,)
    assert 0 < decision.wait <= 1
    await bench.go("a")
    assert bench.idle()


@in_virtual_time
async def test_requests_are_taken_once_and_everything_is_settled_by_one_taken() -> None:
    bench = Bench()
    await bench.come("a", calls(), words(100), slot())
    bench.come("b", calls(), words(10), slot())
    await asyncio.sleep(2)
    assert bench.admitted == ["a"]
    # b's request stands in the counter since it came.
    assert (await bench.inner.take([calls(0)])).standings[0].remaining == 10
    await bench.go("a", tokens=100)
    decision = await bench.tasks["b"]
    assert [standing.policy for standing in decision.standings] == ["calls", "words", "slots"]
    assert decision.refused == ()
    requests = [asked[0].cost for asked in bench.asked]
    assert requests[:2] == [1, 1]
    assert set(requests[2:]) == {0}
    await bench.go("b", tokens=0)
    assert not (await bench.inner.take([slot()])).refused


@in_virtual_time
async def test_a_refused_request_is_asked_for_again_with_all_the_rest() -> None:
    bench = Bench()
    await bench.come("a", calls(10), words(95))
    decision = await bench.come("b", calls(1), words(20))
    assert decision.refused == ()
    assert [asked[0].cost for asked in bench.asked] == [10, 1, 1, 0]
    # What came back in 1.5 seconds, less what b took.
    assert [standing.remaining for standing in decision.standings] == [0, 0]


@in_virtual_time
async def test_what_comes_back_while_the_limiter_is_asked_is_not_missed() -> None:
    bench = Bench()
    now = asyncio.get_running_loop().time
    await bench.come("a", slot())
    bench.latency = 0.01
    bench.come("b", slot())
    await asyncio.sleep(0.015)
    # b was refused by now, and does not know it yet.
    start = now()
    await bench.go("a")
    await bench.tasks["b"]
    assert now() - start < 0.05
    await bench.go("b")
    assert bench.idle()


@in_virtual_time
async def test_what_the_limiter_settles_in_its_own_time_is_found_soon_by_one_more_look() -> None:
    bench = Bench()
    now = asyncio.get_running_loop().time
    start = now()
    await bench.come("a", slot())
    bench.come("b", slot())
    await turns()
    bench.settling = 0.01
    await bench.go("a")
    assert bench.admitted == ["a"]
    await bench.tasks["b"]
    assert now() - start == pytest.approx(SECOND_LOOK, abs=0.001)
    assert len(bench.asked) == 4
    bench.settling = 0
    await bench.go("b")


@in_virtual_time
async def test_what_comes_back_while_a_waiter_asks_in_its_turn_is_not_missed() -> None:
    bench = Bench()
    now = asyncio.get_running_loop().time
    start = now()
    await bench.come("a", slot())
    bench.come("b", slot())
    await turns()
    bench.latency = 0.01
    # It asks after a second, as it was told, and is refused while a still runs.
    await asyncio.sleep(1.015)
    assert len(bench.asked) == 3
    await bench.go("a")
    await bench.tasks["b"]
    assert now() - start < 1.05
    await bench.go("b")
    assert bench.idle()


@in_virtual_time
async def test_whatever_was_taken_for_who_leaves_is_settled() -> None:
    bench = Bench()
    bench.requests_are_owed = True
    await bench.come("a", calls(), slot())
    bench.come("b", calls(), slot())
    await turns()
    assert bench.owed == 2
    bench.tasks["b"].cancel()
    await turns()
    assert bench.owed == 1
    await bench.go("a")
    assert bench.owed == 0
    assert bench.idle()


@in_virtual_time
async def test_a_limiter_out_of_reach_is_told_to_who_asked_and_asked_again_after_a_pause() -> None:
    bench = Bench(max_wait=0.5)
    await bench.come("a", slot())
    for name in "bcd":
        bench.come(name, slot())
        await turns()
    asked = len(bench.asked)
    bench.away = True
    await bench.go("a")
    with pytest.raises(LimiterUnavailableError):
        await bench.tasks["b"]
    await asyncio.sleep(PAUSE / 2)
    assert len(bench.asked) == asked + 1
    await asyncio.sleep(PAUSE)
    assert len(bench.asked) == asked + 2
    with pytest.raises(LimiterUnavailableError):
        await bench.tasks["c"]
    bench.away = False
    await bench.tasks["d"]
    await bench.go("d")
    assert bench.idle()


@in_virtual_time
async def test_the_end_of_the_last_lifespan_refuses_who_waits() -> None:
    bench = Bench()
    async with bench.queued.lifespan():
        async with bench.queued.lifespan():
            await bench.come("a", slot())
            waiting = [bench.come(name, slot()) for name in "bc"]
            await turns()
        await turns()
        assert not any(task.done() for task in waiting)
        assert bench.open
    await turns()
    assert [task.result().refused for task in waiting] == [(0,), (0,)]
    assert not bench.open
    assert bench.idle()


@pytest.mark.parametrize(
    ("max_wait", "max_waiting"), [(0, 1), (-1, 1), (math.inf, 1), (math.nan, 1), (1, 0)]
)
def test_options_that_cannot_be_are_refused(max_wait: float, max_waiting: int) -> None:
    with pytest.raises(ValueError, match="max_wait"):
        Queued(MemoryLimiter(), max_wait=max_wait, max_waiting=max_waiting)


def test_where_nobody_waits_it_is_a_limiter_that_does_not_suspend() -> None:
    limiter: Limiter = Queued(MemoryLimiter(), max_wait=1)
    taking: Coroutine[Any, Any, Decision] = limiter.take([slot()])
    with pytest.raises(StopIteration):
        taking.send(None)
