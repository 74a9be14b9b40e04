"""A call that is cancelled, at whatever step, or whose client leaves while it waits its turn."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from starlette.types import ASGIApp, Message

from tests.asgi import Exchange, running
from tests.layers.limits import REQUESTS, SLOTS, TOKENS, Watched, limited
from tests.layers.probe import SSE, Script, call
from tests.layers.streams import CHAT_WITH_USAGE, chunk


def steps(*parts: bytes) -> list[Any]:
    """Return parts with a step of the loop before each."""

    async def step() -> None:
        await asyncio.sleep(0)

    return [thing for part in parts for thing in (step, part)]


class Steady(Exchange):
    """An exchange whose every message takes a step of the loop, either way."""

    async def receive(self) -> Message:
        """Deliver."""
        await asyncio.sleep(0)
        return await super().receive()

    async def send(self, message: Message) -> None:
        """Take."""
        await asyncio.sleep(0)
        await super().send(message)


def steady(**more: Any) -> Steady:
    asked = call(**more)
    exchange = Steady(asked.scope)
    exchange._inbox = asked._inbox
    return exchange


STREAMED = Script(*steps(*CHAT_WITH_USAGE), headers=SSE)
WHOLE = Script(*steps(b'{"usage":{"total_tokens"', b":8}}"))
BROKEN = Script(*steps(chunk("Hel")), RuntimeError("broken"), headers=SSE)


async def cancelled_after(count: int, app: ASGIApp, exchange: Exchange) -> bool:
    """Cancel an exchange after so many steps; return whether it had not ended before."""
    task = asyncio.create_task(exchange.run(app))
    for _ in range(count):
        await asyncio.sleep(0)
    early = not task.done()
    task.cancel()
    await asyncio.wait({task})
    if not task.cancelled():
        task.exception()
    return early


@pytest.mark.parametrize(
    ("app", "stream"), [(STREAMED, True), (WHOLE, False), (BROKEN, True)], ids=["s", "w", "b"]
)
@pytest.mark.parametrize("max_wait", [0.0, 60.0])
async def test_cancelled_at_any_step_it_leaves_no_slot_and_nothing_unsettled(
    app: Script, max_wait: float, *, stream: bool
) -> None:
    count, early = 0, True
    while early:
        watched = Watched(slow=True)
        layer = limited(app, REQUESTS, TOKENS, SLOTS, limiter=watched, max_wait=max_wait)
        early = await cancelled_after(count, layer, steady(stream=stream))
        assert watched.unsettled == 0, count
        assert await watched.left(SLOTS) == 1, count
        assert await watched.left(TOKENS) == 1000 - sum(watched.settled), count
        assert len(watched.settled) <= 1
        count += 1
    assert count > 10, "it was cancelled in many places"


@pytest.mark.parametrize("ends", [lambda task: task.cancel(), lambda _: None])
async def test_a_waiting_client_that_leaves_leaves_the_queue(
    ends: Callable[[asyncio.Task[Exchange]], object],
) -> None:
    watched = Watched()
    hold = asyncio.Event()
    layer = limited(Script(hold.wait, b"{}"), SLOTS, limiter=watched, max_wait=60.0)
    async with running(layer, call()) as first:
        await watched.was_asked(1)
        leaving, staying = call(), call()
        async with running(layer, leaving) as second, running(layer, staying) as third:
            await watched.was_asked(2)
            ends(second)
            leaving.disconnect.set()
            await asyncio.wait({second})
            assert leaving.messages == []
            hold.set()
            await first
            assert (await third).status == 200
    assert (watched.unsettled, len(watched.settled)) == (0, 2)
    assert await watched.left(SLOTS) == 1
