"""Flights; the tests of the layer show the rest of what they do."""

import asyncio
from typing import Any, Literal

import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from tests.asgi import Exchange, http_scope
from tests.idempotency.stores import ANSWER, FIRST, LONG, SECOND, TTL, claimed, new_key
from tests.layers.keyed import Watched, nothing_left
from tests.limiters import virtual
from veneer import facts
from veneer.idempotency.flights import LAST_WORDS, Flights, answer_of
from veneer.idempotency.replay import IN_FLIGHT, MISMATCH, NOT_KEPT, UNAVAILABLE, Replay
from veneer.idempotency.rules import Rules
from veneer.idempotency.store import Done, InFlight, StoreUnavailableError


async def answering(_scope: Scope, _receive: Receive, send: Send) -> None:
    await asyncio.sleep(1)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"{}"})


def flights(
    store: Watched, app: ASGIApp = answering, on_failure: Literal["open", "closed"] = "closed"
) -> Flights:
    rules = Rules(
        in_flight="follow",
        keep="success",
        ttl=TTL,
        lease=LONG,
        detach=10.0,
        max_answer=1000,
        on_failure=on_failure,
    )
    return Flights(app, store, rules)


def scope() -> Scope:
    made = http_scope()
    facts.open_in(made)
    return made


@pytest.mark.parametrize(
    ("found", "answer"),
    [
        (None, IN_FLIGHT),
        (InFlight(FIRST, 1.0), IN_FLIGHT),
        (InFlight(SECOND, 1.0), MISMATCH),
        (Done(SECOND, ANSWER), MISMATCH),
        (Done(FIRST, None), NOT_KEPT),
        (Done(FIRST, ANSWER), Replay(ANSWER)),
    ],
)
def test_what_is_found_says_what_is_answered(found: Any, answer: ASGIApp) -> None:
    assert answer_of(found, FIRST) == answer


async def test_only_what_is_over_is_recalled() -> None:
    store, key = Watched(), new_key()
    made = flights(store)
    assert await made.recall(key, FIRST) is None
    token = await claimed(store.store, key)
    assert await made.recall(key, FIRST) is None
    assert await made.recall(key, SECOND) is None
    await store.commit(key, token, ANSWER, TTL)
    assert await made.recall(key, FIRST) == Replay(ANSWER)
    assert await made.recall(key, SECOND) is MISMATCH
    store.away = {"look"}
    assert await made.recall(key, FIRST) is UNAVAILABLE
    with pytest.raises(StoreUnavailableError):
        await flights(store, on_failure="open").recall(key, FIRST)


def test_a_flight_is_found_while_it_is_to_be_answered() -> None:
    async def main() -> None:
        made, key = flights(Watched()), new_key()
        flight = made.depart(key, FIRST, scope(), b"{}")
        assert made.find(key) is flight
        assert made.refusal(flight, FIRST) is None
        assert made.refusal(flight, SECOND) is MISMATCH
        exchange = Exchange(http_scope())
        await flight.follow(exchange.scope, exchange.receive, exchange.send)
        assert exchange.body == b"{}"
        assert made.find(key) is None
        assert (made._flights, made._running) == ({}, set())

    virtual.run(main())


def test_one_that_is_given_up_makes_room_for_the_next() -> None:
    async def main() -> None:
        made, key = flights(Watched()), new_key()
        first = made.depart(key, FIRST, scope(), b"{}")
        first.abandon()
        exchange = Exchange(http_scope())

        async def ask() -> None:
            flight = made.depart(key, FIRST, scope(), b"{}")
            await flight.follow(exchange.scope, exchange.receive, exchange.send)

        asking = asyncio.ensure_future(ask())
        await asyncio.sleep(0.5)
        second = made.find(key)
        assert second not in (None, first)
        await asyncio.sleep(0.55)
        assert not first.can_be_found
        assert made.find(key) is second, "the end of the first does not remove it"
        await asking
        assert exchange.body == b"{}"
        assert made.find(key) is None

    virtual.run(main())


def test_at_the_end_all_are_ended_in_bounded_time() -> None:
    async def main() -> None:
        stubborn = asyncio.Event()

        async def app(_scope: Scope, _receive: Receive, _send: Send) -> None:
            while not stubborn.is_set():
                try:
                    await stubborn.wait()
                except asyncio.CancelledError:
                    continue

        store, loop = Watched(), asyncio.get_running_loop()
        made, hanging = flights(store), flights(store, app)
        await made.close()
        for _ in range(3):
            made.depart(new_key(), FIRST, scope(), b"{}")
        await asyncio.sleep(0.5)
        assert store.claims == 3
        await made.close()
        assert (store.claims, nothing_left()) == (0, True)
        hanging.depart(new_key(), FIRST, scope(), b"{}")
        await asyncio.sleep(0.5)
        started = loop.time()
        await hanging.close()
        assert loop.time() - started == pytest.approx(LAST_WORDS)
        stubborn.set()
        await asyncio.sleep(0.1)
        assert nothing_left()

    virtual.run(main())
