"""Errands: how many run at once, what waits, and what becomes of it at the end."""

import asyncio
import logging
from collections.abc import Callable, Coroutine

import pytest

from tests.limiters import virtual
from veneer.budgets._errands import MAX_WAITING, Errands


class Errand:
    """An errand that stays until it may go, and notes who was there."""

    def __init__(self) -> None:
        self.begun: list[int] = []
        self.done: list[int] = []
        self.given_up: list[tuple[int, str]] = []
        self.go = asyncio.Event()

    async def __call__(self, number: int) -> None:
        """Stay."""
        self.begun.append(number)
        await self.go.wait()
        self.done.append(number)

    def errands(
        self,
        errand: Callable[[int], Coroutine[object, object, None]] | None = None,
        *,
        at_once: int = 2,
    ) -> Errands[int]:
        """Return the errands that are tested."""

        def give_up(number: int, reason: str) -> None:
            self.given_up.append((number, reason))

        return Errands("the errand", errand or self, at_once=at_once, given_up=give_up)


async def test_so_many_run_at_once_and_the_others_wait_in_their_order() -> None:
    errand = Errand()
    errands = errand.errands(at_once=2)
    for number in range(5):
        errands.put(number)
    await asyncio.sleep(0)
    assert errand.begun == [0, 1]
    errand.go.set()
    await errands.finish(10)
    assert errand.done == [0, 1, 2, 3, 4]
    assert errand.given_up == []


async def test_where_too_many_wait_the_oldest_gives_way() -> None:
    errand = Errand()
    errands = errand.errands(at_once=1)
    for number in range(MAX_WAITING + 3):
        errands.put(number)
    assert errand.given_up == [(1, "1000 newer ones wait"), (2, "1000 newer ones wait")]
    errand.go.set()
    await errands.finish(10)
    assert len(errand.done) == MAX_WAITING + 1


async def test_what_an_errand_raises_is_logged_and_stops_no_other(
    caplog: pytest.LogCaptureFixture,
) -> None:
    done = []

    async def fail(number: int) -> None:
        if number % 2:
            raise ZeroDivisionError(f"no {number}")
        done.append(number)

    errands = Errand().errands(fail, at_once=1)
    with caplog.at_level(logging.ERROR, "veneer.cost"):
        for number in range(4):
            errands.put(number)
        await errands.finish(10)
    assert done == [0, 2]
    assert caplog.messages == ["the errand has failed"] * 2
    [first, _] = caplog.records
    assert first.exc_info is not None
    assert str(first.exc_info[1]) == "no 1"


def test_what_is_not_done_in_time_is_cut_off_and_given_up() -> None:
    async def main() -> None:
        errand = Errand()
        errands = errand.errands(at_once=2)
        for number in range(4):
            errands.put(number)
        began = asyncio.get_running_loop().time()
        await errands.finish(5)
        assert asyncio.get_running_loop().time() == began + 5
        assert sorted(number for number, _ in errand.given_up) == [0, 1, 2, 3]
        assert errand.given_up[0][1] == "it was not done in time when the process stopped"
        assert errand.done == []
        await errands.finish(5)
        assert len(errand.given_up) == 4

    virtual.run(main())


def test_one_that_does_not_let_itself_be_cut_off_holds_up_nobody() -> None:
    async def main() -> None:
        go = asyncio.Event()

        async def stubborn(_number: int) -> None:
            while not go.is_set():
                try:
                    await go.wait()
                except asyncio.CancelledError:
                    continue

        errands = Errand().errands(stubborn)
        errands.put(1)
        began = asyncio.get_running_loop().time()
        await errands.finish(5)
        assert asyncio.get_running_loop().time() <= began + 7
        go.set()
        await asyncio.sleep(0)

    virtual.run(main())


async def test_whoever_waits_may_be_cancelled_and_nothing_goes_on() -> None:
    errand = Errand()
    errands = errand.errands(at_once=1)
    errands.put(1)
    errands.put(2)
    waiting = asyncio.ensure_future(errands.finish(100))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait({waiting})
    assert waiting.cancelled()
    errand.go.set()
    await asyncio.sleep(0.01)
    assert (errand.begun, errand.done) == ([1], [])
    assert sorted(number for number, _ in errand.given_up) == [1, 2]


async def test_a_loop_that_ends_gets_no_new_errands_and_what_it_cut_off_is_given_up() -> None:
    errand = Errand()
    errands = errand.errands(at_once=1)
    errands.put(1)
    errands.put(2)
    await asyncio.sleep(0)
    [task] = errands._tasks
    task.cancel()
    await asyncio.wait({task})
    await asyncio.sleep(0)
    assert errand.begun == [1]
    assert [number for number, _ in errand.given_up] == [1]
    await errands.finish(1)
    assert [number for number, _ in errand.given_up] == [1, 2]
