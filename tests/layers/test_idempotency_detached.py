"""The idempotency layer: clients that leave, and calls that go on without them."""

import asyncio
import gc
import weakref
from typing import Any

import pytest

from tests.asgi import read_body, running
from tests.layers.keyed import (
    Counted,
    Stage,
    Watched,
    flights_of,
    keyed,
    layer,
    nothing_left,
    pause,
    whole,
)
from tests.layers.limits import SLOTS, limited
from tests.layers.limits import TOKENS as POLICY
from tests.layers.limits import Watched as Limiter
from tests.layers.probe import SSE, Script
from tests.layers.streams import CHAT, CHAT_WITH_USAGE, compact
from tests.limiters import virtual
from veneer.idempotency.flight import FAREWELL

ANSWER = compact({"id": "chatcmpl-1", "usage": {"total_tokens": 8}})


@pytest.mark.parametrize("streamed", [0, 2])
def test_a_call_goes_on_without_its_client_and_is_billed_once(streamed: int) -> None:
    async def main() -> None:
        limiter, store, stage = Limiter(), Watched(), Stage()
        events = [*CHAT_WITH_USAGE[:streamed], stage, *CHAT_WITH_USAGE[streamed:]]
        app = Script(*events, headers=SSE)
        stack = layer(limited(app, POLICY, SLOTS, limiter=limiter), store=store, relay=False)
        leaving = keyed(stream=True)
        async with running(stack, leaving) as first:
            await stage.reached.wait()
            leaving.disconnect.set()
            await first
            assert limiter.unsettled == 1
            await asyncio.sleep(100)
            stage.go.set()
            await pause()
        assert limiter.settled == [8]
        assert (store.claims, len(store.recordings)) == (0, 1)
        again = await keyed(stream=True).run(stack)
        stream = b"".join(CHAT_WITH_USAGE)
        assert stream.replace(b',"usage":null', b"").startswith(leaving.body)
        assert again.ended
        assert again.body.endswith(CHAT_WITH_USAGE[-1])
        assert (len(limiter.takes), virtual.timers(), nothing_left()) == (1, [], True)

    virtual.run(main())


@pytest.mark.parametrize("detach", [0.0, 30.0])
@pytest.mark.parametrize("relay", [True, False])
def test_a_call_that_nobody_waits_for_ends_in_time(detach: float, *, relay: bool) -> None:
    async def main() -> None:
        store, stage = Watched(), Stage()
        app = Script(CHAT[0], stage, *CHAT[1:], headers=SSE)
        stack = layer(app, store=store, relay=relay, detach=detach)
        leaving = keyed(stream=True)
        async with running(stack, leaving) as first:
            await stage.reached.wait()
            leaving.disconnect.set()
            await first
        await asyncio.sleep(max(0.0, detach - 0.1))
        assert store.claims == 1
        assert not app.cancelled
        await asyncio.sleep(FAREWELL + 0.2)
        assert app.cancelled
        assert (store.claims, store.recordings, virtual.timers()) == (0, [], [])
        assert nothing_left()
        stage.go.set()
        assert (await keyed(stream=True).run(stack)).body == b"".join(CHAT)

    virtual.run(main())


def test_an_app_that_listens_hears_when_nobody_waits_any_more() -> None:
    async def main() -> None:
        heard: list[Any] = []

        async def app(_scope: Any, receive: Any, _send: Any) -> None:
            await read_body(receive)
            heard.append(await receive())

        store = Watched()
        stack = layer(app, store=store, relay=False, detach=10.0)
        leaving = keyed()
        async with running(stack, leaving) as first:
            await asyncio.sleep(1)
            leaving.disconnect.set()
            await first
        await asyncio.sleep(9)
        assert heard == []
        await asyncio.sleep(1.1)
        assert heard == [{"type": "http.disconnect"}]
        assert (store.claims, virtual.timers(), nothing_left()) == (0, [], True)

    virtual.run(main())


def test_whoever_comes_back_in_time_keeps_a_call_alive() -> None:
    async def main() -> None:
        stage, app_calls = Stage(), []
        app = Counted(lambda: Script(stage, ANSWER))
        stack = layer(app, detach=10.0)
        for _ in range(20):
            exchange = keyed()
            async with running(stack, exchange) as task:
                await asyncio.sleep(8)
                exchange.disconnect.set()
                await task
                app_calls.append(app.calls)
            await asyncio.sleep(8)
        assert app_calls == [1] * 20
        stage.go.set()
        assert (await keyed().run(stack)).body == ANSWER

    virtual.run(main())


@pytest.mark.parametrize("in_flight", ["follow", "conflict"])
def test_a_call_that_is_being_given_up_is_not_joined(in_flight: str) -> None:
    """An app that ignores its disconnect has some seconds; who asks meanwhile gets a new call."""

    async def main() -> None:
        first_stage = Stage()
        scripts = [Script(first_stage, ANSWER), Script(ANSWER)]
        app = Counted(lambda: scripts.pop(0))
        stack = layer(app, detach=0.0, in_flight=in_flight)
        leaving = keyed()
        async with running(stack, leaving) as first:
            await first_stage.reached.wait()
            leaving.disconnect.set()
            await first
        await asyncio.sleep(0.5)
        again = await keyed().run(stack)
        if in_flight == "conflict":
            assert (again.status, again.header("retry-after")) == (409, "1")
            await asyncio.sleep(FAREWELL)
            again = await keyed().run(stack)
        assert (again.status, again.body, app.calls) == (200, ANSWER, 2)

    virtual.run(main())


def test_work_that_an_app_does_after_its_answer_is_its_own() -> None:
    async def main() -> None:
        done = []

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await whole(ANSWER)(scope, receive, send)
            await asyncio.sleep(60)
            done.append(True)

        stack = layer(app, relay=False, detach=0.0)
        exchange = keyed()
        async with running(stack, exchange) as first:
            await asyncio.sleep(1)
            assert (exchange.body, exchange.ended) == (ANSWER, True)
            exchange.disconnect.set()
            await first
            again = await keyed().run(stack)
            assert again.header("idempotent-replayed") == "true"
        await asyncio.sleep(70)
        assert done == [True]

    virtual.run(main())


@pytest.mark.parametrize("fails", [False, True])
async def test_nothing_of_a_flight_stays(*, fails: bool) -> None:
    seen: list[weakref.ref[Any]] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await Script(RuntimeError("bug") if fails else ANSWER)(scope, receive, send)

    stack = layer(app, relay=False)
    gc.collect()
    gc.disable()
    try:
        task = asyncio.create_task(keyed().run(stack))
        await asyncio.sleep(0)
        flights = flights_of(stack)
        for _ in range(50):
            seen += [weakref.ref(flight) for flight in flights._flights.values()]
            await asyncio.sleep(0)
        await asyncio.wait({task})
        task.exception()
        del task
        await pause()
        assert (flights._flights, flights._running) == ({}, set())
        assert seen
        if not fails:
            assert [ref() for ref in seen] == [None] * len(seen), "without the collector"
    finally:
        gc.enable()
    gc.collect()
    assert [ref() for ref in seen] == [None] * len(seen)


def test_of_too_many_calls_that_nobody_waits_for_the_oldest_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("veneer.idempotency.flights.MAX_ALONE", 2)

    async def main() -> None:
        store = Watched()
        stages = [Stage() for _ in range(4)]
        apps = [Script(CHAT[0], stage, *CHAT[1:], headers=SSE) for stage in stages]
        waiting = iter(apps)

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await next(waiting)(scope, receive, send)

        stack = layer(app, store=store, detach=600.0)
        for number, stage in enumerate(stages):
            leaving = keyed(key=(b"idempotency-key", b"%d" % number), stream=True)
            async with running(stack, leaving) as call:
                await stage.reached.wait()
                leaving.disconnect.set()
                await call
        await asyncio.sleep(FAREWELL + 0.5)
        assert [app.cancelled for app in apps] == [True, True, False, False]
        for stage in stages[2:]:
            stage.go.set()
        await pause()
        assert (len(store.recordings), nothing_left()) == (2, True)

    virtual.run(main())
