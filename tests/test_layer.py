"""The base of layers: facts, checks and lifespan of one that stands alone or in a chain."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tests.asgi import Exchange, Responder, http_scope
from tests.lint import Lint
from veneer import facts
from veneer.client import Client, ClientDisconnectedError, client_of
from veneer.facts import RequestFact, ResponseFact
from veneer.layer import Layer
from veneer.wiring import ConfigurationError


class Who(RequestFact, frozen=True):
    """Who calls."""

    name: str


class Cost(ResponseFact, frozen=True):
    """What it cost."""

    cents: int


class Writes(Layer):
    """Says who calls."""

    writes = (Who,)

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Write the fact."""
        facts.put(scope, Who("a"))
        await self.app(scope, receive, send)


class Reads(Layer):
    """Needs to know who calls."""

    reads = (Who,)


class Charges(Layer):
    """Says what a call cost."""

    writes = (Cost,)

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Write the fact when the answer is there."""
        await self.app({**scope}, receive, send)
        facts.put(scope, Cost(3))


class Bills(Layer):
    """Needs to know what a call cost."""

    reads = (Cost,)

    def __init__(self, app: ASGIApp, bills: list[int], provides: Iterable[type] = ()) -> None:
        super().__init__(app, provides=provides)
        self.bills = bills

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Write the bill."""
        await self.app(scope, receive, send)
        cost = facts.get(scope, Cost)
        self.bills.append(-1 if cost is None else cost.cents)


class Holds(Layer):
    """Holds something open."""

    def __init__(self, app: ASGIApp, log: list[str]) -> None:
        super().__init__(app)
        self.log = log

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        """Write down when it opens and closes."""
        await asyncio.sleep(0)
        self.log.append("open")
        try:
            yield
        finally:
            self.log.append("close")

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Be open while a request is answered."""
        assert self.log[-1] == "open"
        await self.app(scope, receive, send)


def get(path: str = "/") -> Exchange:
    return Exchange(http_scope("GET", path))


def ok() -> ASGIApp:
    return Lint(Responder(b"{}"))


async def test_facts_reach_layers_through_copies_of_the_scope() -> None:
    bills: list[int] = []
    await get().run(Bills(Charges(ok()), bills))

    assert bills == [3]


async def test_a_layer_sees_the_facts_of_those_above() -> None:
    responder = Responder(b"{}")
    await get().run(Writes(Reads(responder)))

    assert facts.get(responder.scopes[0], Who) == Who("a")


async def test_requests_do_not_share_facts() -> None:
    responder = Responder(b"{}")
    layer = Layer(responder)
    scope = http_scope("GET", "/")
    await Exchange(scope).run(layer)
    await Exchange(scope).run(layer)

    first, second = (facts.get(scope, Client) for scope in responder.scopes)
    assert first is not second
    assert facts.SCOPE_KEY not in scope


async def test_a_host_that_opened_the_facts_sees_what_is_learnt() -> None:
    scope = http_scope("GET", "/")
    facts.put(scope, Who("host"))
    await Exchange(scope).run(Reads(Charges(ok())))

    assert facts.get(scope, Cost) == Cost(3)


async def test_the_client_is_shared_and_closed_by_the_outermost() -> None:
    seen: list[Client] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        client = client_of(scope, receive)
        seen.append(client)
        client.on_disconnect(lambda: pytest.fail("the call was over"))
        await ok()(scope, receive, send)

    before = asyncio.all_tasks()
    exchange = await get().run(Layer(Layer(app)))
    exchange.disconnect.set()
    await asyncio.sleep(0.04)

    assert exchange.ended
    assert len(seen) == 1
    assert asyncio.all_tasks() == before


async def test_a_client_that_has_left_is_no_error_for_the_server() -> None:
    async def app(_scope: Scope, _receive: Receive, _send: Send) -> None:
        raise ClientDisconnectedError

    exchange = await get().run(Layer(Layer(app)))
    assert exchange.messages == []


async def test_a_bug_passes_to_the_server_and_leaves_nothing_behind() -> None:
    async def app(scope: Scope, receive: Receive, _send: Send) -> None:
        client_of(scope, receive).on_disconnect(lambda: None)
        raise LookupError("a bug")

    before = asyncio.all_tasks()
    with pytest.raises(LookupError):
        await get().run(Layer(app))
    await asyncio.sleep(0.04)
    assert asyncio.all_tasks() == before


def test_downward_a_chain_is_checked_at_construction() -> None:
    with pytest.raises(ConfigurationError, match="Bills reads Cost, which nothing below it writes"):
        Bills(ok(), [])
    Bills(ok(), [], provides=[Cost])
    Bills(Layer(Charges(ok())), [])


async def test_upward_a_chain_is_checked_on_the_first_request() -> None:
    layer = Reads(ok())
    for _ in range(2):
        with pytest.raises(ConfigurationError, match="nothing above it writes"):
            await get().run(layer)


async def test_a_writer_below_its_reader_does_not_help() -> None:
    with pytest.raises(ConfigurationError):
        await get().run(Reads(Writes(ok())))


async def test_a_host_may_have_put_the_fact() -> None:
    scope = http_scope("GET", "/")
    facts.put(scope, Who("host"))
    exchange = await Exchange(scope).run(Reads(ok()))

    assert exchange.status == 200


def application(*middleware: Any) -> Starlette:
    async def page(_request: Request) -> PlainTextResponse:
        return PlainTextResponse("page")

    app = Starlette(routes=[Route("/", page)])
    for cls, *args in middleware:
        app.add_middleware(cls, *args)
    return app


async def test_layers_are_added_one_by_one_to_a_real_app() -> None:
    bills: list[int] = []
    app = application((Reads,), (Charges,), (Bills, bills), (Writes,))
    exchange = await get().run(app)

    assert exchange.body == b"page"
    assert bills == [3]


async def test_a_real_app_is_refused_that_has_its_layers_in_the_wrong_order() -> None:
    with pytest.raises(ConfigurationError, match="nothing above it writes"):
        await get().run(application((Writes,), (Reads,)))
    with pytest.raises(ConfigurationError, match="nothing below it writes"):
        await get().run(application((Bills, []), (Charges,)))


async def test_facts_of_a_host_reach_a_mounted_layer() -> None:
    responder = Responder(b"{}")
    host = Starlette(routes=[Mount("/v1", app=Reads(responder))], middleware=[Middleware(Writes)])
    await get("/v1/models").run(host)

    assert facts.get(responder.scopes[0], Who) == Who("a")


async def test_a_mounted_layer_misses_what_its_host_does_not_write() -> None:
    host = Starlette(routes=[Mount("/v1", app=Reads(ok()))], middleware=[Middleware(Layer)])
    with pytest.raises(ConfigurationError, match="Reads reads Who"):
        await get("/v1/models").run(host)


async def test_bodies_pass_through_a_chain_to_a_real_app() -> None:
    async def echo(request: Request) -> JSONResponse:
        return JSONResponse((await request.body()).decode())

    app = Starlette(routes=[Route("/", echo, methods=["POST"])], middleware=[Middleware(Layer)] * 3)
    exchange = await Exchange(http_scope("POST", "/"), [b"a", b"b", b"c"]).run(app)

    assert exchange.json() == "abc"


async def test_a_mounted_layer_starts_with_its_first_request_and_once() -> None:
    log: list[str] = []
    layer = Holds(ok(), log)
    host = Starlette(routes=[Mount("/v1", app=layer)])
    assert log == []
    exchanges = [get("/v1/") for _ in range(5)]
    await asyncio.gather(*(exchange.run(host) for exchange in exchanges))
    await get("/v1/").run(host)

    assert [exchange.status for exchange in exchanges] == [200] * 5
    assert log == ["open"]


async def test_a_layer_that_does_not_start_is_tried_again() -> None:
    class Fails(Holds):
        @asynccontextmanager
        async def lifespan(self) -> AsyncIterator[None]:
            if len(self.log) < 2:
                self.log.append("failed")
                raise OSError("no disk")
            async with super().lifespan():
                yield

    log: list[str] = []
    layer = Fails(ok(), log)
    for _ in range(2):
        with pytest.raises(OSError, match="no disk"):
            await get().run(layer)
    exchange = await get().run(layer)

    assert exchange.status == 200
    assert log == ["failed", "failed", "open"]


def test_a_layer_starts_anew_in_another_loop() -> None:
    log: list[str] = []
    layer = Holds(ok(), log)
    for _ in range(2):
        exchange = get()
        asyncio.run(exchange.run(layer))
        assert exchange.status == 200

    assert log == ["open", "close", "open", "close"]


async def test_a_served_layer_is_started_and_stopped_by_its_server() -> None:
    log: list[str] = []
    inbox: asyncio.Queue[Message] = asyncio.Queue()
    outbox: asyncio.Queue[Message] = asyncio.Queue()
    app = Layer(Holds(Starlette(), log))
    serving = asyncio.create_task(app({"type": "lifespan"}, inbox.get, outbox.put))
    inbox.put_nowait({"type": "lifespan.startup"})
    assert (await outbox.get())["type"] == "lifespan.startup.complete"
    assert log == ["open"]
    assert (await get().run(app)).status == 404
    inbox.put_nowait({"type": "lifespan.shutdown"})
    await serving

    assert log == ["open", "close"]


async def test_a_layer_that_holds_nothing_has_an_empty_lifespan() -> None:
    async with Layer(ok()).lifespan() as held:
        assert held is None


async def test_websockets_pass() -> None:
    seen: list[str] = []

    async def app(scope: Scope, _receive: Receive, _send: Send) -> None:
        seen.append(scope["type"])

    exchange = get()
    await Layer(app)({"type": "websocket"}, exchange.receive, exchange.send)
    assert seen == ["websocket"]
