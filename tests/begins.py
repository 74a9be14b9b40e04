"""Coroutines for the tests of those begun by hand: what they wait for, and how they end."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, cast

from veneer.begun import Begun

Wait = Callable[[], Awaitable[None]]
Work = Callable[[], Coroutine[Any, Any, str]]


async def plainly(work: Work) -> str:
    return await work()


async def by_hand(work: Work) -> str:
    coroutine = work()
    try:
        waits_for = coroutine.send(None)
    except StopIteration as done:
        return cast("str", done.value)
    return await Begun(coroutine, waits_for)


def begun(coroutine: Coroutine[Any, Any, str]) -> Begun[str]:
    return Begun(coroutine, coroutine.send(None))


async def a_turn() -> None:
    await asyncio.sleep(0)


def end(future: asyncio.Future[None], error: Exception | None = None) -> None:
    """End what may have been cancelled."""
    if not future.done():
        if error is None:
            future.set_result(None)
        else:
            future.set_exception(error)


async def a_future() -> None:
    loop = asyncio.get_running_loop()
    future: asyncio.Future[None] = loop.create_future()
    loop.call_soon(end, future)
    await future


async def an_error_of_a_future() -> None:
    loop = asyncio.get_running_loop()
    future: asyncio.Future[None] = loop.create_future()
    loop.call_soon(end, future, LookupError("late"))
    await future


async def a_future_that_is_done() -> None:
    future = asyncio.get_running_loop().create_future()
    future.set_result(None)
    await future


async def a_task() -> None:
    await asyncio.gather(asyncio.create_task(a_future()), asyncio.create_task(a_turn()))


async def its_own_cancellation() -> None:
    cast("asyncio.Task[object]", asyncio.current_task()).cancel("by itself")
    await a_future()


async def a_time_that_is_over() -> None:
    async with asyncio.timeout(0):
        await asyncio.get_running_loop().create_future()


async def a_shield() -> None:
    await asyncio.shield(asyncio.create_task(a_future()))


WAITS = (
    a_turn,
    a_future,
    an_error_of_a_future,
    a_future_that_is_done,
    a_task,
    its_own_cancellation,
    a_time_that_is_over,
    a_shield,
)


def worker(log: list[str], waits: Sequence[Wait], ending: str) -> Coroutine[Any, Any, str]:
    """Return a coroutine that waits for all of these, and writes down what becomes of it."""

    async def work() -> str:
        try:
            for wait in waits:
                log.append(wait.__name__)
                await wait()
            if ending == "fails":
                raise ZeroDivisionError
        except asyncio.CancelledError as error:
            log.append(f"cancelled {error.args}")
            if ending == "survives":
                await a_turn()
                return "survived"
            raise
        finally:
            if ending == "tidies up":
                await a_future()
            log.append("end")
        return "done"

    return work()
