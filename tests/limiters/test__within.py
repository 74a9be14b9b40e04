"""The bound on a call's time, and that it is none of the call's business."""

import asyncio
from typing import Any

import pytest

from veneer.limiters._within import within


async def at_once() -> str:
    return "done"


async def after(*steps: float) -> str:
    for seconds in steps:
        await asyncio.sleep(seconds)
    return "done"


async def test_what_does_not_wait_sets_no_timer(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError

    monkeypatch.setattr(asyncio.get_running_loop(), "call_at", refuse)
    assert await within(1.0, at_once()) == "done"


@pytest.mark.parametrize("steps", [(0.0,), (0.001,), (0.0, 0.001, 0.0)])
async def test_what_waits_in_any_way_ends_as_if_it_were_awaited(steps: tuple[float, ...]) -> None:
    assert await within(10.0, after(*steps)) == "done"


@pytest.mark.parametrize("steps", [(), (0.0,), (0.001, 0.0)])
async def test_what_it_raises_is_raised(steps: tuple[float, ...]) -> None:
    async def fail() -> None:
        await after(*steps)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await within(10.0, fail())


async def test_what_is_late_is_cancelled_where_it_waits() -> None:
    seen: list[str] = []

    async def hang() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            seen.append("cancelled")
            await asyncio.sleep(0)
            seen.append("cleaned up")
            raise

    with pytest.raises(TimeoutError):
        await within(0.005, hang())
    assert seen == ["cancelled", "cleaned up"]
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_a_cancellation_from_outside_is_no_timeout() -> None:
    task = asyncio.create_task(within(10.0, after(10.0)))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_what_ends_in_time_though_cancelled_is_returned() -> None:
    async def stubborn() -> str:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return "done"
        return "never"

    assert await within(0.005, stubborn()) == "done"


async def test_timeouts_and_tasks_inside_it_work_as_ever() -> None:
    async def inner() -> str:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.001):
                await asyncio.Event().wait()
        task = asyncio.current_task()
        assert task is outer
        return await asyncio.create_task(after(0.0))

    outer = asyncio.current_task()
    assert await within(10.0, inner()) == "done"


async def test_nothing_is_left_of_a_call_whose_task_is_thrown_away() -> None:
    ended: list[str] = []

    async def wait() -> None:
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            ended.append("yes")

    coroutine = within(10.0, wait())
    coroutine.send(None)
    coroutine.close()
    assert ended == ["yes"]
