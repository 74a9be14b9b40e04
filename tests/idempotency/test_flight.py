"""The flight."""

import asyncio
from typing import Any

import pytest
from starlette.types import Receive, Scope, Send

from tests.asgi import Exchange, http_scope, read_body
from tests.limiters import virtual
from veneer.client import Client, ClientDisconnectedError
from veneer.errors import BrokenResponseError
from veneer.facts import RequestId
from veneer.idempotency.flight import FAREWELL, Flight
from veneer.idempotency.recorder import Landing
from veneer.idempotency.replay import IN_FLIGHT

KNOWN: dict[type, Any] = {RequestId: RequestId("req_1")}


def flight(detach: float = 10.0) -> Flight:
    return Flight(b"f", KNOWN, limit=1000, detach=detach, alone=lambda _flight: None)


async def given(_landing: Landing) -> bool:
    return True


async def follow(followed: Flight) -> Exchange:
    exchange = Exchange(http_scope())
    await followed.follow(exchange.scope, exchange.receive, exchange.send)
    return exchange


async def answering(_scope: Scope, receive: Receive, send: Send) -> None:
    body = await read_body(receive)
    await asyncio.sleep(1)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})


def departed(app: Any, detach: float = 10.0) -> Flight:
    """Return a flight on its way to an app."""
    it = flight(detach)
    below = it.client.replace_body(http_scope(), b"asked")
    it.begin(it.record(app, below, given))
    return it


def test_it_has_a_client_and_facts_of_its_own() -> None:
    async def main() -> None:
        it = departed(answering)
        assert it.facts == {**KNOWN, Client: it.client}
        assert KNOWN.keys() == {RequestId}
        assert (await follow(it)).body == b"asked"
        assert it.client.disconnected is False
        assert virtual.timers() == []

    virtual.run(main())


def test_it_can_be_found_until_it_is_answered_or_given_up() -> None:
    async def main() -> None:
        it = departed(answering)
        assert (it.can_be_found, it.can_be_joined, it.begun) == (True, True, False)
        await follow(it)
        assert (it.can_be_found, it.begun) == (False, True)
        it = departed(answering)
        it.abandon()
        assert not it.can_be_found

    virtual.run(main())


def test_it_goes_on_for_a_while_when_nobody_follows() -> None:
    async def main() -> None:
        async def app(_scope: Scope, _receive: Receive, _send: Send) -> None:
            await asyncio.sleep(1000)

        it, loop = departed(app), asyncio.get_running_loop()
        task, started = it._task, loop.time()
        assert task is not None
        for _ in range(2):
            following = asyncio.ensure_future(follow(it))
            await asyncio.sleep(7)
            following.cancel()
            await asyncio.wait([following])
        await asyncio.wait([task])
        assert loop.time() - started == pytest.approx(14 + 10 + FAREWELL)
        assert virtual.timers() == []

    virtual.run(main())


def test_who_leaves_what_was_given_up_does_not_prolong_it() -> None:
    async def main() -> None:
        async def app(_scope: Scope, _receive: Receive, _send: Send) -> None:
            await asyncio.sleep(1000)

        it, loop = departed(app, detach=600.0), asyncio.get_running_loop()
        task, started = it._task, loop.time()
        assert task is not None
        following = asyncio.ensure_future(follow(it))
        await asyncio.sleep(1)
        it.abandon()
        await asyncio.sleep(1)
        following.cancel()
        await asyncio.wait([task])
        assert loop.time() - started == pytest.approx(1 + FAREWELL)

    virtual.run(main())


@pytest.mark.parametrize("error", [ClientDisconnectedError(), None])
def test_who_follows_what_was_given_up_is_answered_all_the_same(error: Exception | None) -> None:
    """It is not the one that has left."""

    async def main() -> None:
        async def app(_scope: Scope, receive: Receive, _send: Send) -> None:
            await read_body(receive)
            await receive()
            raise error or asyncio.CancelledError

        it = departed(app)
        following = asyncio.ensure_future(follow(it))
        await asyncio.sleep(1)
        it.abandon()
        assert (await following).status == 503
        it = departed(app)
        it.answer = IN_FLIGHT
        it.abandon()
        assert (await follow(it)).status == 409

    virtual.run(main())


def test_what_has_begun_and_was_given_up_is_broken() -> None:
    async def main() -> None:
        async def app(_scope: Scope, receive: Receive, send: Send) -> None:
            kind = [(b"content-type", b"audio/mpeg")]
            await send({"type": "http.response.start", "status": 200, "headers": kind})
            await send({"type": "http.response.body", "body": b"a", "more_body": True})
            await read_body(receive)
            await receive()
            raise ClientDisconnectedError

        it = departed(app)
        following = asyncio.ensure_future(follow(it))
        await asyncio.sleep(1)
        it.abandon()
        with pytest.raises(BrokenResponseError):
            await following

    virtual.run(main())


async def test_one_of_those_who_follow_raises_what_the_call_raised() -> None:
    async def app(_scope: Scope, _receive: Receive, _send: Send) -> None:
        await asyncio.sleep(0)
        raise ZeroDivisionError

    it = departed(app)
    raised = await asyncio.gather(*(follow(it) for _ in range(5)), return_exceptions=True)
    kinds = [type(error) for error in raised]
    assert kinds == [ZeroDivisionError, *[BrokenResponseError] * 4]
    depth, traceback = 0, raised[0].__traceback__  # type: ignore[union-attr]  # it is an exception
    while traceback is not None:
        depth, traceback = depth + 1, traceback.tb_next
    assert depth < 10
    assert it._failure is None, "it is not held"
