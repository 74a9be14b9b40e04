"""Coroutines that were begun by hand end as if they had been awaited, however they end."""

import asyncio
import gc
from collections.abc import Callable, Coroutine, Iterator, Sequence
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.begins import (
    WAITS,
    Wait,
    Work,
    a_future,
    a_shield,
    a_task,
    a_turn,
    an_error_of_a_future,
    begun,
    by_hand,
    plainly,
    worker,
)
from tests.upstream.conftest import needs_uvloop


@pytest.fixture(params=["asyncio", pytest.param("uvloop", marks=needs_uvloop)])
def anyio_backend(request: pytest.FixtureRequest) -> object:
    """Run each asynchronous test on both loops."""
    return "asyncio", {"use_uvloop": request.param == "uvloop"}


@pytest.fixture(params=["asyncio", pytest.param("uvloop", marks=needs_uvloop)])
def runner(request: pytest.FixtureRequest) -> Iterator[asyncio.Runner]:
    """Return what runs on each of the loops, for tests that hypothesis repeats."""
    factory = pytest.importorskip(request.param).new_event_loop
    with asyncio.Runner(loop_factory=factory) as runs:
        yield runs


async def outcome_of(
    way: Callable[[Work], Coroutine[Any, Any, str]],
    waits: Sequence[Wait],
    ending: str,
    cancels: Sequence[int],
) -> tuple[list[str], str, int]:
    """Return what became of it, cancelled after each of these numbers of the loop's turns."""
    log: list[str] = []
    task = asyncio.create_task(way(lambda: worker(log, waits, ending)))
    for turns in cancels:
        for _ in range(turns):
            await a_turn()
        task.cancel("from outside")
    (result,) = await asyncio.gather(task, return_exceptions=True)
    return log, repr(result), task.cancelling()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    waits=st.lists(st.sampled_from(WAITS), max_size=4),
    ending=st.sampled_from(["is plain", "fails", "survives", "tidies up"]),
    cancels=st.lists(st.integers(0, 8), max_size=2),
)
def test_whatever_it_waits_for_and_whenever_it_is_cancelled_it_ends_as_if_awaited(
    runner: asyncio.Runner,
    waits: list[Wait],
    ending: str,
    cancels: list[int],
) -> None:
    plain, hand = (
        runner.run(outcome_of(way, waits, ending, cancels)) for way in (plainly, by_hand)
    )
    assert hand == plain


@pytest.mark.parametrize("ending", ["is plain", "fails", "survives", "tidies up"])
async def test_cancelled_at_every_turn_it_ends_as_if_awaited(ending: str) -> None:
    waits = (a_future, a_turn, a_task, a_shield, a_future)
    logs = []
    for turns in range(20):
        plain = await outcome_of(plainly, waits, ending, (turns,))
        assert await outcome_of(by_hand, waits, ending, (turns,)) == plain
        logs.append(plain[0])
    # The first is cancelled before it begins, the last when all is over.
    assert logs[0] == []
    assert "cancelled" not in "".join(logs[-1])
    assert len({len(log) for log in logs}) > len(waits)


async def test_what_it_returned_is_the_result() -> None:
    assert await begun(worker([], [a_turn], "is plain")) == "done"


async def test_a_cancellation_reaches_what_it_waits_for() -> None:
    future = asyncio.get_running_loop().create_future()

    async def work() -> str:
        return cast("str", await future)

    task = asyncio.create_task(by_hand(work))
    await a_turn()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert future.cancelled()


async def test_a_first_step_may_have_been_taken_in_another_task() -> None:
    log: list[str] = []
    rest = begun(worker(log, [a_future, a_turn], "is plain"))

    assert await asyncio.wait_for(rest, 60) == "done"
    assert log == ["a_future", "a_turn", "end"]


async def test_what_it_waits_for_may_be_over_before_it_is_awaited() -> None:
    rest = begun(worker([], [a_future], "is plain"))
    for _ in range(3):
        await a_turn()
    assert await rest == "done"
    late = begun(worker([], [an_error_of_a_future], "is plain"))
    for _ in range(3):
        await a_turn()
    with pytest.raises(LookupError, match="late"):
        await late


async def test_it_is_awaited_once() -> None:
    rest = begun(worker([], [a_turn], "is plain"))
    await rest
    with pytest.raises(RuntimeError, match="already awaited"):
        await rest


async def test_an_error_may_be_raised_in_it_before_it_is_awaited() -> None:
    log: list[str] = []
    rest = begun(worker(log, [a_turn], "survives"))
    rest.throw(asyncio.CancelledError("early"))

    assert log == ["a_turn", "cancelled ('early',)"]
    # What it waited for at first is not said again.
    with pytest.raises(StopIteration) as done:
        rest.send(None)
    assert done.value.value == "survived"


@pytest.mark.parametrize("steps", [0, 1, 2])
async def test_closed_it_closes_the_coroutine(steps: int) -> None:
    log: list[str] = []
    rest = begun(worker(log, [a_turn, a_turn, a_turn], "is plain"))
    for _ in range(steps):
        assert next(rest) is None
    rest.close()

    assert log == [*["a_turn"] * max(1, steps), "end"]
    with pytest.raises(RuntimeError, match="already awaited"):
        next(rest)


@pytest.mark.parametrize("steps", [1, 2])
def test_who_awaits_it_closes_it(steps: int) -> None:
    log: list[str] = []
    waiting = by_hand(lambda: worker(log, [a_turn, a_turn], "is plain"))
    for _ in range(steps):
        waiting.send(None)
    waiting.close()

    assert log == [*["a_turn"] * steps, "end"]


def test_one_that_will_not_be_closed_is_told_of() -> None:
    async def stays() -> str:
        while True:
            try:
                await a_turn()
            except GeneratorExit:
                stubborn.append("stays")
                if len(stubborn) > 1:
                    raise

    stubborn: list[str] = []
    rest = begun(stays())
    with pytest.raises(RuntimeError, match="ignored GeneratorExit"):
        rest.close()
    rest.close()


@pytest.mark.parametrize("wait", [a_turn, a_future])
async def test_one_that_nobody_awaits_is_closed_without_a_warning(
    wait: Wait, recwarn: pytest.WarningsRecorder
) -> None:
    log: list[str] = []
    rest = begun(worker(log, [wait], "is plain"))
    del rest
    gc.collect()
    await a_turn()

    assert log == [wait.__name__, "end"]
    assert not recwarn.list
