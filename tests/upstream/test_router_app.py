"""The router as an app: its lifespan, its readings, and apps that behave badly."""

import asyncio
from http import HTTPStatus
from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send

from tests.asgi import Exchange, http_scope, json_request
from tests.limiters import virtual
from tests.upstream.targets import (
    DONE,
    EVENT,
    JSON,
    SSE,
    Scripted,
    answers,
    part,
    routed,
    start,
    streams,
)
from veneer import facts
from veneer.facts import Route, Unreached
from veneer.lifetime import lifespan
from veneer.prices.book import PriceBook
from veneer.prices.price import Price
from veneer.routing.preferences import Preferences
from veneer.routing.target import Target
from veneer.upstream.router import Router

CACHED = (
    b'data: {"choices":[],"usage":{"prompt_tokens":2000,"completion_tokens":40,'
    b'"prompt_tokens_details":{"cached_tokens":1900}}}\n\n'
)


def call(**body: Any) -> Exchange:
    exchange = json_request({"model": "m", "messages": [], **body})
    facts.open_in(exchange.scope)
    return exchange


async def test_websockets_are_closed() -> None:
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    async def send(message: Message) -> None:
        sent.append(message)

    await routed(Scripted(answers()))({"type": "websocket"}, receive, send)

    assert sent == [{"type": "websocket.close", "code": 1008}]


class Living:
    """An app with a lifespan."""

    def __init__(self, *, fails: bool = False) -> None:
        self.seen: list[str] = []
        self._fails = fails

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Take part in the protocol."""
        assert scope["type"] == "lifespan"
        self.seen.append((await receive())["type"])
        if self._fails:
            await send({"type": "lifespan.startup.failed", "message": "the disk is full"})
            return
        await send({"type": "lifespan.startup.complete"})
        self.seen.append((await receive())["type"])
        await send({"type": "lifespan.shutdown.complete"})

    async def aclose(self) -> None:
        """Close."""
        self.seen.append("closed")


async def test_targets_live_as_long_as_the_router() -> None:
    living = Living()
    async with lifespan(routed(living, Scripted(answers()))):
        assert living.seen == ["lifespan.startup"]

    assert living.seen == ["lifespan.startup", "closed", "lifespan.shutdown"]


async def test_a_target_that_cannot_start_keeps_the_router_from_it() -> None:
    first = Living()
    with pytest.raises(RuntimeError, match="the disk is full"):
        async with lifespan(routed(first, Living(fails=True))):
            pytest.fail("it has started")

    assert first.seen == ["lifespan.startup", "lifespan.shutdown"]


async def test_who_cannot_tell_is_taken_to_be_reachable() -> None:
    assert await routed(Scripted(answers())).reachable()


async def test_the_cheapest_is_asked_and_what_was_seen_is_learned() -> None:
    def priced(dollars: int) -> PriceBook:
        return PriceBook([("*", Price(input=dollars, output=dollars))])

    dear = Scripted(answers())
    cheap = Scripted(streams(EVENT % b"x", CACHED, DONE))
    router = Router(
        [
            Target(name="dear", app=dear, prices=priced(9)),
            Target(name="cheap", app=cheap, prices=priced(1)),
        ],
        preferences=Preferences(optimize="cost"),
        random=lambda: 0.9,
    )
    exchange = await call(stream=True).run(router)

    route = facts.get(exchange.scope, Route)
    assert route is not None
    assert (route.target, route.strategy) == ("cheap", "cost")
    observed = router._roster.observations
    assert observed.expected_output("m", None) == 40
    _, offer = router._roster.offers(("m",))
    reading = observed.reading(offer)
    assert reading.ttft is not None
    assert reading.ttft.count == 1


@pytest.mark.parametrize("stream", [True, False])
async def test_a_long_beginning_goes_where_it_is_cached(stream: bool) -> None:  # noqa: FBT001 - parametrized
    body = b'{"choices":[],"usage":{"prompt_tokens":20000,"completion_tokens":1}}'
    deed = streams(EVENT % b"x", CACHED, DONE) if stream else answers(body)
    apps = [Scripted(deed) for _ in range(4)]
    router = Router(
        [Target(name=f"t{number}", app=app) for number, app in enumerate(apps)],
        preferences=Preferences(optimize="ttft"),
    )
    messages = [{"role": "user", "content": "once upon a time " * 2000}]
    offers = router._roster.offers(("m",))
    exchange = call(stream=stream, messages=messages)
    text = exchange._inbox[0]["body"]
    await exchange.run(router)
    prefix = router._roster.prefix(text)
    warm = [reading.warm for reading in router._roster.readings(offers, prefix)]

    assert [tokens > 0 for tokens in warm] == [bool(app.bodies) for app in apps]


def test_an_app_that_holds_on_after_its_time_is_not_heard() -> None:
    async def stubborn(_scope: Scope, _receive: Receive, send: Send) -> None:
        try:
            await asyncio.sleep(100)
        except asyncio.CancelledError:
            await send(start(200, SSE))
            await send(part(EVENT % b"late"))

    async def main() -> None:
        good = Scripted(streams(EVENT % b"hi", DONE))
        exchange = await call(stream=True).run(routed(Scripted(stubborn), good))
        assert exchange.body == EVENT % b"hi" + DONE

    virtual.run(main())


async def test_an_app_that_answers_every_failure_itself_is_not_heard() -> None:
    async def guarded(_scope: Scope, _receive: Receive, send: Send) -> None:
        try:
            await send(start(200, SSE))
            await send(part(b'data: {"error":{"message":"no"}}\n\n'))
        except Exception:
            await send(part(b"data: sorry\n\n", more=False))
            raise

    good = Scripted(streams(EVENT % b"hi", DONE))
    exchange = await call(stream=True).run(routed(Scripted(guarded), good))

    assert exchange.body == EVENT % b"hi" + DONE


async def test_bugs_are_raised() -> None:
    async def buggy(_scope: Scope, _receive: Receive, _send: Send) -> None:
        raise LookupError("a bug")

    router = routed(Scripted(buggy), Scripted(answers()))
    with pytest.raises(LookupError):
        await call().run(router)

    assert router._roster.standing("a").outstanding == 0


async def test_other_ways_to_send_a_body_go_through() -> None:
    async def by_path(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.debug", "info": {}})
        await send(start(200, JSON))
        await send({"type": "http.response.pathsend", "path": "/x"})

    sent: list[Message] = []
    exchange = call()

    async def send(message: Message) -> None:
        sent.append(message)

    await routed(Scripted(by_path))(exchange.scope, exchange.receive, send)

    assert [message["type"] for message in sent] == [
        "http.response.start",
        "http.response.pathsend",
    ]


async def test_a_compressed_stream_is_not_looked_into() -> None:
    async def packed(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send(start(200, [*SSE, (b"content-encoding", b"gzip")]))
        await send(part(b"\x1f\x8b", more=False))

    exchange = await call(stream=True).run(routed(Scripted(packed)))

    assert exchange.body == b"\x1f\x8b"


async def test_what_a_targets_own_layer_refuses_was_never_sent_and_says_nothing_of_it() -> None:
    async def refusing(scope: Scope, receive: Receive, send: Send) -> None:
        facts.put(scope, Unreached())
        await answers(b'{"error":"yours"}', 400)(scope, receive, send)

    exchange = await call().run(routed(Scripted(refusing)))

    assert exchange.status == HTTPStatus.BAD_REQUEST
    assert facts.get(exchange.scope, Unreached) is not None
    assert facts.get(exchange.scope, Route) is None


async def test_a_client_that_sends_slowly_is_no_failure_of_its_target() -> None:
    app = Scripted(answers(b'{"error":"late"}', 408))
    router = routed(app)
    for _ in range(20):
        scope = http_scope("POST", "/v1/audio/transcriptions")
        assert (await Exchange(scope, [b"a", b"b"]).run(router)).status == 408

    assert len(app.bodies) == 20
