"""The lookout, on a clock of its own: calls that last are looked after, with one timer."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.limiters import virtual
from veneer.lookout import TOGETHER, WATCH_AFTER, Lookout


class Call:
    """What looks after itself, and notes when."""

    def __init__(self) -> None:
        self.looked: list[float] = []

    def look(self) -> None:
        """Note the time."""
        self.looked.append(asyncio.get_running_loop().time())


times = st.floats(0, 0.1)


@given(st.lists(st.tuples(times, times, st.booleans()), min_size=1, max_size=12))
def test_what_lasts_is_looked_after_once_and_in_time(
    calls: list[tuple[float, float, bool]],
) -> None:
    async def one(lookout: Lookout, later: float, took: float, *, again: bool) -> None:
        await asyncio.sleep(later)
        call = Call()
        began = asyncio.get_running_loop().time()
        lookout.add(call)
        if again:
            lookout.add(call)
        await asyncio.sleep(took)
        lookout.drop(call)
        lookout.drop(call)
        await asyncio.sleep(1)
        assert len(call.looked) <= 1
        if call.looked:
            early = call.looked[0] - began - WATCH_AFTER
            assert -TOGETHER - 1e-6 <= early <= 1e-6
        else:
            assert took <= WATCH_AFTER + 1e-6

    async def main() -> None:
        lookout = Lookout()
        await asyncio.gather(
            *(one(lookout, later, took, again=again) for later, took, again in calls)
        )
        assert not virtual.timers()

    virtual.run(main())


def test_calls_one_after_the_other_set_few_timers() -> None:
    async def main() -> None:
        lookout = Lookout()
        timers = set()
        for _ in range(100):
            call = Call()
            lookout.add(call)
            await asyncio.sleep(WATCH_AFTER / 10)
            timers.update(virtual.timers())
            lookout.drop(call)
        assert len(timers) <= 12

    virtual.run(main())


def test_what_is_due_at_nearly_the_same_time_is_called_together() -> None:
    async def main() -> None:
        lookout = Lookout()
        calls = [Call() for _ in range(3)]
        for call in calls:
            lookout.add(call)
            await asyncio.sleep(TOGETHER / 4)
        await asyncio.sleep(1)
        assert len({call.looked[0] for call in calls}) == 1

    virtual.run(main())


def test_what_a_look_adds_and_drops_counts() -> None:
    async def main() -> None:
        lookout = Lookout()
        second, third = Call(), Call()
        went_wrong: list[object] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, told: went_wrong.append(told))

        class First(Call):
            def look(self) -> None:
                super().look()
                lookout.drop(second)
                lookout.add(third)
                assert len(virtual.timers()) <= 1

        first = First()
        lookout.add(first)
        lookout.add(second)
        await asyncio.sleep(1)
        assert (len(first.looked), second.looked) == (1, [])
        assert went_wrong == []
        assert third.looked == [pytest.approx(first.looked[0] + WATCH_AFTER)]
        assert not virtual.timers()

    virtual.run(main())


def test_it_follows_to_another_loop() -> None:
    lookout = Lookout()
    left = Call()

    async def leave() -> None:
        lookout.add(left)

    async def stay() -> None:
        call = Call()
        lookout.add(call)
        await asyncio.sleep(1)
        assert len(call.looked) == 1

    asyncio.run(leave())
    virtual.run(stay())
    assert left.looked == []
