"""Chats that are ended by a request while they run."""

import asyncio
from typing import Any

import pytest
from starlette.types import Receive, Scope, Send

from tests.asgi import read_body, running
from tests.layers import costs
from tests.layers.completions import ANN, BOB, Model, as_caller, cancel, kept, retrieve
from tests.layers.keyed import Watched
from tests.layers.limits import Known
from tests.layers.probe import call
from tests.layers.streams import CHAT, DONE, USAGE, chunk, members
from tests.limiters import virtual
from tests.lint import Lint
from veneer.client import client_of
from veneer.completions.joining import MAX_INDEX
from veneer.errors import BrokenResponseError
from veneer.layers.completions import CompletionsMiddleware
from veneer.layers.relay import RelayMiddleware

PARTS = (chunk(""), chunk("Hel"), chunk("lo"))
# What `costs.ESTIMATE` says of the input, and a token for each event.
SEEN = (10 + 2 * 3) * costs.TOKEN


async def test_a_stream_is_ended_and_its_client_gets_a_proper_end() -> None:
    model, ledger = Model(*PARTS), costs.Watched()
    layer = kept(model, ledger=ledger)
    exchange = call(stream=True)
    async with running(layer, exchange) as task:
        await model.begun.wait()
        name = members(exchange.body)[0]["id"]
        answer = await cancel(as_caller(layer, BOB), name)
        assert (await task).ended
    assert model.left
    told = answer.json()
    assert (answer.status, told["status"], told["finish_reason"]) == (200, "cancelled", "cancelled")
    assert told["choices"] == [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "Hello"},
            "finish_reason": "cancelled",
        }
    ]
    assert told["error"]["code"] == "cancelled_by_request"
    *_, last, done = members(exchange.body)
    assert last["choices"] == [{"index": 0, "delta": {}, "finish_reason": "cancelled"}]
    assert (last["id"], last["object"], done) == (name, "chat.completion.chunk", "[DONE]")
    assert (await retrieve(layer, name)).json() == told


async def test_it_is_charged_as_if_its_client_had_left() -> None:
    model, ledger = Model(*PARTS), costs.Watched()
    layer = kept(model, ledger=ledger)
    exchange = call(stream=True)
    async with running(layer, exchange) as task:
        await model.begun.wait()
        told = (await cancel(layer, members(exchange.body)[0]["id"])).json()
        await task
    assert (ledger.end.state, ledger.end.total) == ("disconnected", SEEN)
    assert told["usage"]["cost"] == 0.000016
    assert members(exchange.body)[-2]["usage"] == told["usage"]
    assert ledger.open == 0


async def test_what_the_upstream_told_of_its_usage_is_told() -> None:
    model, ledger = Model(*PARTS, chunk("!", usage=USAGE)), costs.Watched()
    layer = kept(model, ledger=ledger)
    exchange = call(stream=True, stream_options={"include_usage": True})
    async with running(layer, exchange) as task:
        await model.begun.wait()
        await cancel(layer, members(exchange.body)[0]["id"])
        await task
    assert ledger.end.total == costs.COST


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("n", [1, 2])
async def test_one_that_has_not_been_answered_gets_an_answer(*, stream: bool, n: int) -> None:
    model, ledger = Model(), costs.Watched()
    layer = kept(model, ledger=ledger)
    exchange = call(stream=stream, n=n)
    async with running(layer, exchange) as task:
        await model.begun.wait()
        [name] = names(layer)
        told = (await cancel(layer, name)).json()
        await task
    assert exchange.status == 200
    assert exchange.ended
    if stream:
        last, done = members(exchange.body)
        assert (exchange.header("content-type") or "").startswith("text/event-stream")
        assert done == "[DONE]"
        assert [each["index"] for each in last["choices"]] == [*range(n)]
    else:
        assert exchange.json() == told
        last = told
    assert {each["finish_reason"] for each in last["choices"]} == {"cancelled"}
    assert ledger.end.state == "disconnected"
    assert ledger.end.total == 10 * costs.TOKEN


async def test_one_that_has_begun_a_plain_answer_gets_another() -> None:
    model = Model(b'{"id":"x",', stream=False)
    layer = kept(model)
    exchange = call()
    async with running(layer, exchange) as task:
        await model.begun.wait()
        [name] = names(layer)
        assert (await cancel(layer, name)).status == 200
        assert (await task).json()["status"] == "cancelled"


@pytest.mark.parametrize("whole", [False, True])
async def test_an_answer_that_is_no_stream_and_has_begun_gets_no_second(*, whole: bool) -> None:
    begun, end = asyncio.Event(), asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await read_body(receive)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"Hel", "more_body": not whole})
        begun.set()
        with client_of(scope, receive).while_connected():
            await end.wait()

    layer = Known(Lint(CompletionsMiddleware(app)), ANN)
    exchange = call()
    async with running(layer, exchange) as task:
        await begun.wait()
        [name] = names(layer)
        assert (await cancel(layer, name)).status == 200
        if whole:
            await task
        else:
            with pytest.raises(BrokenResponseError):
                await task
    assert (exchange.body, exchange.ended) == (b"Hel", whole)


async def test_no_more_choices_are_told_of_than_are_ever_kept() -> None:
    model = Model()
    layer = kept(model)
    exchange = call(n=10_000_000)
    async with running(layer, exchange) as task:
        await model.begun.wait()
        [name] = names(layer)
        told = (await cancel(layer, name)).json()
        await task
    assert len(told["choices"]) == MAX_INDEX


async def test_choices_that_were_finished_stay_so() -> None:
    model = Model(chunk("a", index=0), chunk("b", index=1), chunk(index=0, finish="length"))
    # Where nobody waits for what belongs into the last chunk.
    layer = Known(Lint(CompletionsMiddleware(RelayMiddleware(model))), ANN)
    exchange = call(stream=True, n=2)
    async with running(layer, exchange) as task:
        await model.begun.wait()
        told = (await cancel(layer, members(exchange.body)[0]["id"])).json()
        await task
    assert [each["finish_reason"] for each in told["choices"]] == ["length", "cancelled"]
    assert [each["index"] for each in members(exchange.body)[-2]["choices"]] == [1]


async def test_two_who_cancel_get_the_same() -> None:
    model = Model(*PARTS)
    layer = kept(model)
    exchange = call(stream=True)
    async with running(layer, exchange) as task:
        await model.begun.wait()
        name = members(exchange.body)[0]["id"]
        answers = await asyncio.gather(cancel(layer, name), cancel(layer, name))
        await task
    assert [each.status for each in answers] == [200, 200]
    assert answers[0].body == answers[1].body
    over = await cancel(layer, name)
    assert (over.status, over.header("x-should-retry")) == (409, "false")
    assert over.json()["error"]["code"] == "chat_cancel_target_already_terminal"


async def test_one_that_is_over_cannot_be_cancelled_nor_one_being_kept() -> None:
    store = Watched()
    store.gate.clear()
    model = Model(*CHAT)
    layer = kept(model, store=store)
    exchange = call(stream=True)
    async with running(layer, exchange) as task:
        await store.committing.wait()
        [name] = names(layer)
        answer = await cancel(layer, name)
        store.gate.set()
        assert answer.json()["error"]["code"] == "chat_cancel_target_already_terminal"
        await exchange.until(DONE)
        exchange.disconnect.set()
        await task
    assert (await retrieve(layer, name)).json()["status"] == "completed"


def test_an_app_that_does_not_notice_is_cancelled_after_a_while() -> None:
    async def main() -> None:
        model = Model(*PARTS, stubborn=True)
        layer = kept(model)
        exchange = call(stream=True)
        async with running(layer, exchange) as task:
            await model.begun.wait()
            answer = await cancel(layer, members(exchange.body)[0]["id"])
            assert (await task).body.endswith(DONE)
        assert (answer.status, model.left) == (200, True)

    virtual.run(main())


def test_one_that_will_not_end_is_said_not_to_be_cancellable() -> None:
    async def main() -> None:
        go = asyncio.Event()

        async def deaf(_scope: Any, _receive: Any, _send: Any) -> None:
            while not go.is_set():
                try:
                    await go.wait()
                except asyncio.CancelledError:
                    continue

        layer = kept(deaf)
        async with running(layer, call()) as task:
            await asyncio.sleep(1)
            [name] = names(layer)
            answer = await cancel(layer, name)
            assert answer.status == 409
            assert answer.json()["error"]["code"] == "chat_cancel_target_not_cancellable"
            go.set()
            assert (await task).json()["status"] == "cancelled"

    virtual.run(main())


def test_one_that_runs_in_another_process_is_ended_there() -> None:
    async def main() -> None:
        store, model = Watched(), Model(*PARTS)
        here, there = kept(model, store=store), kept(Model(), store=store)
        exchange = call(stream=True)
        async with running(here, exchange) as task:
            await model.begun.wait()
            name = members(exchange.body)[0]["id"]
            answer = await cancel(there, name)
            assert (await task).body.endswith(DONE)
        assert (answer.status, answer.json()["status"]) == (200, "cancelled")
        assert answer.json() == (await retrieve(here, name)).json()
        assert not virtual.timers()

    virtual.run(main())


def test_one_that_ends_by_itself_in_another_process_is_over() -> None:
    async def main() -> None:
        store, model = Watched(), Model(*CHAT)
        here, there = kept(model, store=store), kept(Model(), store=store)
        store.gate.clear()
        exchange = call(stream=True)
        async with running(here, exchange) as task:
            await store.committing.wait()
            [name] = names(here)
            async with asyncio.TaskGroup() as group:
                asked = group.create_task(cancel(there, name))
                await asyncio.sleep(0.5)
                store.gate.set()
            assert asked.result().status == 409
            assert "already_terminal" in asked.result().json()["error"]["code"]
            exchange.disconnect.set()
            await task

    virtual.run(main())


def test_one_of_a_process_that_has_stopped_cannot_be_cancelled() -> None:
    async def main() -> None:
        store = Watched()
        there = kept(Model(), store=store)
        exchange = call(stream=True)
        lost = kept(Model(*PARTS), store=store)
        async with running(lost, exchange):
            await exchange.until(b"Hel")
            [name] = names(lost)
            # It asks nobody any more, and is never told.
            run = next(iter(layer_of(lost)._register.running.values()))
            run._stop()
            answer = await cancel(there, name)
        assert answer.json()["error"]["code"] == "chat_cancel_target_not_cancellable"

    virtual.run(main())


def layer_of(known: Any) -> Any:
    """Return the layer itself."""
    return known.app.app


def names(known: Any) -> list[str]:
    """Return the ids of the calls that run."""
    return [run.head.id for run in layer_of(known)._register.running.values()]
