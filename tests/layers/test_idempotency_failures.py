"""The idempotency layer above an app that fails."""

import asyncio
import logging

import pytest

from tests.asgi import running
from tests.layers.keyed import Counted, Stage, Watched, keyed, layer, pause
from tests.layers.probe import SSE, Script
from tests.layers.streams import chunk


async def test_a_bug_reaches_all_and_is_raised_once() -> None:
    stage, store = Stage(), Watched()
    app = Counted(lambda: Script(stage, ZeroDivisionError()))
    stack = layer(app, store=store, relay=False)
    tasks = [asyncio.create_task(keyed().run(stack)) for _ in range(50)]
    await stage.reached.wait()
    await pause()
    stage.go.set()
    raised = [
        type(error).__name__ for error in await asyncio.gather(*tasks, return_exceptions=True)
    ]
    assert sorted(set(raised)) == ["BrokenResponseError", "ZeroDivisionError"]
    assert raised.count("ZeroDivisionError") == 1
    assert (app.calls, store.claims) == (1, 0)
    with pytest.raises(ZeroDivisionError):
        await keyed().run(stack)


async def test_a_bug_that_nobody_waits_for_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    stage, store = Stage(), Watched()
    stack = layer(Script(stage, ZeroDivisionError()), store=store)
    leaving = keyed()
    async with running(stack, leaving) as first:
        await stage.reached.wait()
        leaving.disconnect.set()
        await first
    stage.go.set()
    await pause()
    [record] = caplog.records
    assert (record.levelno, store.claims) == (logging.ERROR, 0)
    assert record.exc_info is not None


async def test_a_stream_that_breaks_breaks_for_all() -> None:
    stage, store = Stage(), Watched()
    app = Script(chunk("Hel"), stage, RuntimeError("bug"), headers=SSE)
    stack = layer(app, store=store)
    exchanges = [keyed(stream=True) for _ in range(3)]
    tasks = [asyncio.create_task(exchange.run(stack)) for exchange in exchanges]
    await stage.reached.wait()
    await pause()
    stage.go.set()
    await asyncio.wait(tasks)
    assert all(task.exception() is not None for task in tasks)
    [body] = {exchange.body for exchange in exchanges}
    assert b'"error"' in body
    assert not any(exchange.ended for exchange in exchanges)
    assert store.claims == 0
