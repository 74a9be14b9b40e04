"""A try may take so long, and one timer sees to that for all of them."""

import asyncio
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.limiters import virtual
from veneer.upstream._patience import Deadlines, Patience


def now() -> float:
    return asyncio.get_running_loop().time()


async def _outlasted(deadlines: Deadlines, seconds: float, took: float) -> float | None:
    """Return when it was cut off, None where it was done before."""
    try:
        with Patience(deadlines, seconds):
            await asyncio.sleep(took)
    except TimeoutError:
        return now()
    return None


@given(st.lists(st.tuples(st.integers(1, 50), st.integers(1, 50), st.integers(0, 50)), max_size=9))
def test_each_is_cut_off_at_its_own_deadline_whatever_else_goes_on(
    tries: list[tuple[int, int, int]],
) -> None:
    async def one(deadlines: Deadlines, seconds: int, took: int, later: int) -> None:
        await asyncio.sleep(later)
        began = now()
        cut_off = await _outlasted(deadlines, seconds, took + 0.5)
        assert cut_off == (pytest.approx(began + seconds) if took >= seconds else None)

    async def main() -> None:
        deadlines = Deadlines()
        await asyncio.gather(*(one(deadlines, *each) for each in tries))

    virtual.run(main())


def test_tries_one_after_the_other_set_one_timer() -> None:
    async def main() -> None:
        deadlines = Deadlines()
        set_ = []
        for _ in range(5):
            with Patience(deadlines, 60.0):
                await asyncio.sleep(1.0)
                set_.append(virtual.timers())
        assert all(len(timers) == 1 for timers in set_)
        assert all(one == other for one, other in pairwise(set_))
        await asyncio.sleep(60.0)
        assert not virtual.timers()

    virtual.run(main())


def test_one_that_is_lifted_takes_as_long_as_it_will() -> None:
    async def main() -> None:
        with Patience(Deadlines(), 1.0) as patience:
            patience.lift()
            await asyncio.sleep(100.0)
        assert not patience.expired

    virtual.run(main())


def test_a_cancellation_from_elsewhere_passes_as_it_is() -> None:
    async def main() -> None:
        task = asyncio.create_task(_outlasted(Deadlines(), 10.0, 100.0))
        await asyncio.sleep(1.0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    virtual.run(main())


def test_one_that_is_cut_off_and_cancelled_at_once_is_cancelled() -> None:
    async def both(deadlines: Deadlines, task: asyncio.Task[object]) -> None:
        with Patience(deadlines, 1.0) as patience:
            task.cancel()
            patience.run_out()
            await asyncio.sleep(0)

    async def main() -> None:
        task = asyncio.current_task()
        assert task is not None
        with pytest.raises(asyncio.CancelledError):
            await both(Deadlines(), task)
        assert task.uncancel() == 0

    virtual.run(main())


def test_in_another_loop_they_begin_anew() -> None:
    deadlines = Deadlines()

    async def left() -> None:
        with Patience(deadlines, 5.0):
            await asyncio.sleep(1.0)

    async def main() -> None:
        began = now()
        assert await _outlasted(deadlines, 50.0, 100.0) == pytest.approx(began + 50.0)

    virtual.run(left())
    virtual.run(main())
