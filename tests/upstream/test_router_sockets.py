"""The router before upstreams on loopback, that fail as servers do."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from http import HTTPStatus
from typing import Any

import pytest

from tests.asgi import Exchange, json_request, running
from tests.upstream.servers import Peer, Script, answering, eventually, ok, serving
from veneer import facts
from veneer.errors import BrokenResponseError
from veneer.facts import OwnKeys, Route, Unreached
from veneer.layers.compat import CompatMiddleware
from veneer.lifetime import lifespan
from veneer.routing.target import Target
from veneer.upstream.fleet import Fleet
from veneer.upstream.h1 import H1Transport
from veneer.upstream.proxy import Upstream
from veneer.upstream.router import Router
from veneer.upstream.transport import Timeouts

SSE = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
EVENT = b'data: {"choices":[]}\n\n'
DONE = b"data: [DONE]\n\n"
JSON = b"content-type: application/json"


def chunked(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


GOOD = SSE + chunked(EVENT) + chunked(DONE) + b"0\r\n\r\n"
BROKEN = b"HTTP/1.1 500 Oh\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}"


@contextlib.asynccontextmanager
async def router(*scripts: Script | None, **options: Any) -> AsyncIterator[Router]:
    """Give a router before servers, where None is nobody; see that nothing is left open."""
    before = asyncio.all_tasks()
    async with contextlib.AsyncExitStack() as stack:
        upstreams = []
        for script in scripts:
            url = "http://127.0.0.1:1"
            if script is not None:
                url = (await stack.enter_async_context(serving(script))).url
            upstreams.append(Upstream(url, timeouts=Timeouts(response_header=5.0)))
        targets = [
            Target(name=name, app=upstream, weight=1000.0**-number)
            for number, (name, upstream) in enumerate(zip("abc", upstreams, strict=False))
        ]
        made = Router(targets, **{"random": lambda: 0.25, **options})
        yield made
        for upstream in upstreams:
            transport = upstream._transport
            assert isinstance(transport, H1Transport)
            await eventually(lambda transport=transport: transport.open == transport.idle)  # type: ignore[misc]  # mypy cannot infer a lambda with a default
        assert all(made._roster.standing(target.name).outstanding == 0 for target in targets)
        await made.aclose()
    await eventually(lambda: asyncio.all_tasks() <= before)


def chat(**more: Any) -> Exchange:
    exchange = json_request({"model": "m", "messages": [], "stream": True}, **more)
    facts.open_in(exchange.scope)
    return exchange


async def dies(peer: Peer) -> None:
    await peer.request()
    await peer.send(SSE, chunked(b": busy\n\n"))


async def resets(peer: Peer) -> None:
    await peer.request()
    peer.reset()


async def sleeps(peer: Peer) -> None:
    await peer.request()
    await peer.rest()


async def comments(peer: Peer) -> None:
    await peer.request()
    await peer.send(SSE, chunked(b": busy\n\n"))
    await peer.rest()


@pytest.mark.parametrize("failing", [None, answering(BROKEN), dies, resets, sleeps, comments])
async def test_the_next_server_is_asked_where_one_fails(failing: Script | None) -> None:
    async with router(failing, answering(GOOD), try_timeout=0.2) as app:
        exchange = await chat().run(app)

        assert (exchange.status, exchange.body) == (HTTPStatus.OK, EVENT + DONE)
        route = facts.get(exchange.scope, Route)
        assert route is not None
        assert (route.target, [tried.target for tried in route.tried]) == ("b", ["a"])
        assert route.tried[0].reached is (failing is not None)


async def test_every_server_gets_the_whole_body() -> None:
    bodies = []

    async def keeps(peer: Peer) -> None:
        _, body = await peer.request()
        bodies.append(json.loads(body))
        await peer.send(BROKEN)

    async with router(keeps, keeps, keeps) as app:
        await chat().run(app)

    assert bodies == [{"model": "m", "messages": [], "stream": True}] * 3


async def test_a_stream_that_breaks_late_is_cut() -> None:
    async def dies_late(peer: Peer) -> None:
        await peer.request()
        await peer.send(SSE, chunked(EVENT))

    async with router(dies_late, answering(GOOD)) as app:
        exchange = chat()
        with pytest.raises(BrokenResponseError):
            await exchange.run(app)

        assert exchange.body == EVENT
        assert not exchange.ended


@pytest.mark.parametrize("script", [sleeps, comments])
async def test_a_server_is_left_when_the_client_leaves(script: Script) -> None:
    left = asyncio.Event()
    reached = asyncio.Event()

    async def watched(peer: Peer) -> None:
        reached.set()
        await script(peer)
        left.set()

    async with router(watched, answering(GOOD)) as app:
        exchange = chat()
        async with running(app, exchange) as task:
            await reached.wait()
            exchange.disconnect.set()
            await asyncio.wait_for(left.wait(), 5)
            await task
        assert exchange.messages == []


async def test_nobody_reached_is_one_error() -> None:
    async with router(None, None, None) as app:
        exchange = await chat().run(app)

        assert exchange.status == HTTPStatus.BAD_GATEWAY
        assert exchange.json()["error"]["code"] == "upstream_unreachable"
        assert facts.get(exchange.scope, Unreached) is not None


async def test_plain_answers_are_whole_or_anothers() -> None:
    async def half(peer: Peer) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\n", JSON, b"\r\ncontent-length: 99\r\n\r\n")

    async with router(half, answering(ok(b"{}", JSON))) as app:
        exchange = await json_request({"model": "m", "messages": []}).run(app)

        assert (exchange.status, exchange.body) == (HTTPStatus.OK, b"{}")


async def test_the_operators_refused_key_has_another_asked() -> None:
    refusing = b"HTTP/1.1 401 No\r\ncontent-length: 0\r\n\r\n"
    async with serving(answering(refusing)) as first, serving(answering(GOOD)) as second:
        app = Router(
            [
                Target(name="a", app=Upstream(first.url, api_key="sk-a"), weight=1e6),
                Target(name="b", app=CompatMiddleware(Upstream(second.url, api_key="sk-b"))),
            ],
            random=lambda: 0.25,
        )
        body = {"model": "m", "messages": [{"role": "user", "content": "x"}], "stream": True}
        exchange = json_request(body)
        facts.open_in(exchange.scope)
        await exchange.run(app)
        await app.aclose()

    assert exchange.status == HTTPStatus.OK
    route = facts.get(exchange.scope, Route)
    assert route is not None
    assert route.tried[0].status == HTTPStatus.UNAUTHORIZED


async def test_health_checks_leave_a_server_alone_until_it_is_back() -> None:
    async with serving(answering(*[ok(b"{}", JSON)] * 9)) as server:
        there = Upstream(server.url)
        away = Upstream("http://127.0.0.1:1")
        app = Router(
            [Target(name="a", app=away), Target(name="b", app=there)], health_interval=60.0
        )
        async with lifespan(app):
            await eventually(lambda: app._roster.standing("a").resting("m") > 0)
            assert app._roster.standing("b").resting("m") == 0
            assert await app.reachable()

    nobody = Router([Target(name="a", app=Upstream("http://127.0.0.1:1"))])
    assert not await nobody.reachable()


async def test_a_fleet_is_one_target() -> None:
    async with serving(answering(BROKEN)) as first, serving(answering(GOOD)) as second:
        fleet = Fleet(["http://127.0.0.1:1", first.url], name="inside")
        app = Router(
            [
                Target(name="fleet", app=fleet, weight=1e6),
                Target(name="other", app=Upstream(second.url)),
            ],
            random=lambda: 0.25,
        )
        exchange = await chat().run(app)
        await app.aclose()

    assert (exchange.status, exchange.body) == (HTTPStatus.OK, EVENT + DONE)
    route = facts.get(exchange.scope, Route)
    assert route is not None
    assert (route.target, [tried.target for tried in route.tried]) == ("other", ["fleet"])
    assert (route.tried[0].status, route.tried[0].reached) == (500, True)


async def test_who_has_its_own_key_refused_is_served_with_the_operators() -> None:
    shown = []

    async def judging(peer: Peer) -> None:
        for _ in range(2):
            head, _ = await peer.request()
            shown.append(head.partition(b"authorization: ")[2].partition(b"\r\n")[0])
            refused = b"HTTP/1.1 401 No\r\ncontent-length: 0\r\n\r\n"
            await peer.send(refused if b"mine" in shown[-1] else GOOD)

    async with serving(judging) as server:
        target = Target(name="a", app=Upstream(server.url, api_key="sk-ours"), own_keys=True)
        app = Router([target])
        exchange = chat()
        facts.put(exchange.scope, OwnKeys({"a": "sk-mine"}))
        await exchange.run(app)
        await app.aclose()

    assert (exchange.status, exchange.body) == (HTTPStatus.OK, EVENT + DONE)
    assert shown == [b"Bearer sk-mine", b"Bearer sk-ours"]
    route = facts.get(exchange.scope, Route)
    assert route is not None
    assert (route.own_key, route.tried[0].status) == (False, 401)
