"""The idempotency layer when it is cancelled, at whatever step, and when the server stops."""

import asyncio
from typing import Any

import pytest

from tests.asgi import running
from tests.layers.keyed import (
    Counted,
    Stage,
    Watched,
    flights_of,
    keyed,
    layer,
    nothing_left,
    pause,
    stepping,
    whole,
)
from tests.layers.limits import SLOTS, TOKENS, limited
from tests.layers.limits import Watched as Limiter
from tests.layers.probe import SSE, Script
from tests.layers.streams import CHAT, chunk, compact
from tests.limiters import virtual
from veneer.lifetime import lifespan

ANSWER = compact({"id": "chatcmpl-1"})


def spaced(*parts: Any) -> list[Any]:
    return [thing for part in parts for thing in (lambda: asyncio.sleep(0), part)]


KINDS = {
    "stream": (lambda: Script(*spaced(*CHAT), headers=SSE), True),
    "json": (lambda: Script(*spaced(ANSWER)), False),
    "failure": (lambda: Script(*spaced(b"{}"), status=500), False),
    "broken": (lambda: Script(*spaced(chunk("Hel")), RuntimeError("bug"), headers=SSE), True),
    "bug": (lambda: Script(*spaced(), RuntimeError("bug")), False),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("way", ["cancel", "leave"])
async def test_cancelled_or_left_at_any_step_nothing_leaks(kind: str, way: str) -> None:
    make, stream = KINDS[kind]
    count, early = 0, True
    while early:
        store, limiter = Watched(slow=True), Limiter(slow=True)
        app = Counted(make)
        stack = layer(limited(app, TOKENS, SLOTS, limiter=limiter), store=store, relay=False)
        exchange = stepping(stream=stream)
        async with lifespan(stack):
            task = asyncio.create_task(exchange.run(stack))
            await pause(count)
            early = not task.done()
            if way == "cancel":
                task.cancel()
            exchange.disconnect.set()
            await asyncio.wait({task})
            if not task.cancelled():
                task.exception()
            await pause(80)
            flights = flights_of(stack)
            assert (flights._flights, flights._running) == ({}, set()), count
        assert nothing_left(), count
        assert (store.claims, limiter.unsettled) == (0, 0), count
        assert len(limiter.settled) == app.calls <= 1, count
        if kind in ("stream", "json") and app.calls:
            assert len(store.recordings) == 1, count
        count += 1
    assert count > 10


@pytest.mark.parametrize("kind", KINDS)
async def test_the_call_itself_cancelled_at_any_step_leaves_its_key_free(kind: str) -> None:
    make, stream = KINDS[kind]
    count, early = 0, True
    while early:
        store = Watched(slow=True)
        stack = layer(Counted(make), store=store)
        async with lifespan(stack):
            task = asyncio.create_task(stepping(stream=stream).run(stack))
            await pause(count)
            early = not task.done()
            await flights_of(stack).close()
            await asyncio.wait({task}, timeout=5)
        flights = flights_of(stack)
        assert task.done(), count
        ends = task.exception() if not task.cancelled() else None
        if ends is None:
            exchange = task.result()
            assert exchange.ended, count
            assert exchange.status in (200, 500, 503), count
        assert (flights._flights, flights._running) == ({}, set()), count
        assert nothing_left(), count
        if store.claims:
            # It was cancelled while it claimed, and may have: the lease mends that.
            assert store.asked == ["look", "claim"], count
        count += 1
    assert count > 5


@pytest.mark.parametrize("relay", [True, False])
def test_calls_under_way_are_ended_when_the_server_stops(*, relay: bool) -> None:
    async def main() -> None:
        store, stage = Watched(), Stage()
        plain, events = Script(stage, ANSWER), Script(CHAT[0], stage, headers=SSE)
        one, two = layer(plain, store=store, relay=relay), layer(events, store=store, relay=relay)
        waiting, leaving, reading = (
            keyed(),
            keyed(key=(b"idempotency-key", b"2")),
            keyed(key=(b"idempotency-key", b"3"), stream=True),
        )
        tasks = []
        async with lifespan(one), lifespan(two):
            tasks = [asyncio.create_task(waiting.run(one)), asyncio.create_task(leaving.run(one))]
            tasks.append(asyncio.create_task(reading.run(two)))
            await asyncio.sleep(1)
            leaving.disconnect.set()
            await asyncio.sleep(1)
        await asyncio.wait(tasks, timeout=1)
        assert (waiting.status, waiting.ended, leaving.messages) == (503, True, [])
        assert reading.body.startswith(CHAT[0])
        assert not reading.ended
        assert tasks[2].exception() is not None
        assert (store.claims, plain.cancelled, events.cancelled) == (0, True, True)
        assert (nothing_left(), virtual.timers()) == (True, [])

    virtual.run(main())


@pytest.mark.parametrize("stream", [True, False])
async def test_a_client_whose_task_is_cancelled_is_told(*, stream: bool) -> None:
    store, stage = Watched(), Stage()
    app = Script(CHAT[0], stage, *CHAT[1:], headers=SSE) if stream else Script(stage, ANSWER)
    stack = layer(app, store=store)
    exchange, other = keyed(stream=stream), keyed(stream=stream)
    async with running(stack, exchange) as task, running(stack, other) as staying:
        await stage.reached.wait()
        await pause()
        task.cancel()
        await asyncio.wait({task})
        assert task.cancelled()
        if stream:
            assert exchange.body.startswith(CHAT[0])
            assert b'"error"' in exchange.body
            assert not exchange.ended
        else:
            assert (exchange.status, exchange.ended) == (503, True)
        stage.go.set()
        assert (await staying).body == (b"".join(CHAT) if stream else ANSWER)
    assert len(store.recordings) == 1


async def test_an_event_of_ours_is_no_part_of_an_event_that_was_cut() -> None:
    stage = Stage()
    stack = layer(Script(b"data: 1", stage, headers=SSE), relay=False)
    exchange = keyed(stream=True)
    async with running(stack, exchange) as task:
        await exchange.until(b"data: 1")
        task.cancel()
        await asyncio.wait({task})
    assert exchange.body.startswith(b'data: 1\n\ndata: {"error"')


async def test_replays_are_not_bothered_by_cancellation() -> None:
    stack = layer(whole(ANSWER))
    await keyed().run(stack)
    for count in range(30):
        task = asyncio.create_task(stepping().run(stack))
        await pause(count)
        task.cancel()
        await asyncio.wait({task})
        await pause()
        assert nothing_left()
        assert flights_of(stack)._flights == {}
