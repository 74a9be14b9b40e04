"""The stack: order, check and lifespan, in all its ways of use."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tests.asgi import Exchange, Responder, http_scope
from tests.test_layer import Bills, Charges, Cost, Holds, Reads, Who, Writes
from veneer import facts
from veneer.layer import Layer
from veneer.lifetime import lifespan
from veneer.stack import Stack
from veneer.wiring import ConfigurationError


def get(path: str = "/") -> Exchange:
    return Exchange(http_scope("GET", path))


class Marks(Layer):
    """Leaves its name on the scope."""

    def __init__(self, app: ASGIApp, name: str) -> None:
        super().__init__(app)
        self.name = name

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Add the name."""
        await self.app({**scope, "marks": [*scope.get("marks", ()), self.name]}, receive, send)


async def test_the_first_layer_is_the_outermost() -> None:
    responder = Responder(b"{}")
    await get().run(Stack([Middleware(Marks, "a"), Middleware(Marks, name="b")], responder))

    assert responder.scopes[0]["marks"] == ["a", "b"]


async def test_a_stack_without_layers_is_its_app() -> None:
    assert (await get().run(Stack([], Responder(b"{}")))).body == b"{}"


def test_a_stack_in_the_wrong_order_is_refused_before_any_request() -> None:
    with pytest.raises(ConfigurationError, match="Reads reads Who, which nothing above it"):
        Stack([Middleware(Reads), Middleware(Writes)], Responder())
    with pytest.raises(ConfigurationError, match="Bills reads Cost, which nothing below it"):
        Stack([Middleware(Charges), Middleware(Bills, [])], Responder())
    Stack([Middleware(Writes), Middleware(Reads)], Responder())


def test_an_app_that_is_a_stack_itself_counts() -> None:
    inner = Stack([Middleware(Charges)], Responder())
    Stack([Middleware(Bills, [])], inner)


async def test_a_host_may_say_what_it_provides() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        facts.put(scope, Cost(7))
        await Responder(b"{}")(scope, receive, send)

    bills: list[int] = []
    stack = Stack([Middleware(Bills, bills), Middleware(Reads)], app, provides=[Who, Cost])
    scope = http_scope("GET", "/")
    facts.put(scope, Who("host"))
    await Exchange(scope).run(stack)

    assert bills == [7]


async def test_a_host_that_does_not_keep_its_word_is_found_out() -> None:
    stack = Stack([Middleware(Reads)], Responder(b"{}"), provides=[Who])
    with pytest.raises(ConfigurationError, match="nothing above it writes"):
        await get().run(stack)


def held(log: list[str], app_log: list[str]) -> Stack:
    @asynccontextmanager
    async def opened(_app: Starlette) -> AsyncIterator[None]:
        app_log.append("open")
        yield
        app_log.append("close")

    async def page(_request: Request) -> PlainTextResponse:
        assert app_log[-1] == "open"
        return PlainTextResponse("page")

    app = Starlette(
        routes=[Route("/", page), Route("/v1/", page), Route("/v1", page)], lifespan=opened
    )
    return Stack([Middleware(Holds, log), Middleware(Layer)], app)


async def test_served_it_starts_and_stops_with_its_server() -> None:
    log: list[str] = []
    app_log: list[str] = []
    stack = held(log, app_log)
    inbox: asyncio.Queue[Message] = asyncio.Queue()
    outbox: asyncio.Queue[Message] = asyncio.Queue()
    serving = asyncio.create_task(stack({"type": "lifespan", "state": {}}, inbox.get, outbox.put))
    inbox.put_nowait({"type": "lifespan.startup"})
    assert (await outbox.get())["type"] == "lifespan.startup.complete"
    assert (await get().run(stack)).body == b"page"
    inbox.put_nowait({"type": "lifespan.shutdown"})
    await serving

    assert log == app_log == ["open", "close"]


async def test_mounted_it_starts_once_with_the_first_requests() -> None:
    log: list[str] = []
    app_log: list[str] = []
    host = Starlette(routes=[Mount("/v1", app=held(log, app_log))])
    async with lifespan(host):
        assert log == []
        exchanges = [get("/v1/") for _ in range(5)]
        await asyncio.gather(*(exchange.run(host) for exchange in exchanges))
        assert [exchange.body for exchange in exchanges] == [b"page"] * 5

    assert log == app_log == ["open"]


async def test_mounted_it_may_be_held_by_its_host() -> None:
    log: list[str] = []
    app_log: list[str] = []
    stack = held(log, app_log)

    @asynccontextmanager
    async def opened(_app: Starlette) -> AsyncIterator[None]:
        async with stack.lifespan():
            yield

    host = Starlette(routes=[Mount("/v1", app=stack)], lifespan=opened)
    async with lifespan(host):
        assert log == ["open"]
        assert (await get("/v1/").run(host)).body == b"page"

    assert log == app_log == ["open", "close"]


async def test_a_start_that_fails_is_raised_and_tried_again() -> None:
    fail = True

    @asynccontextmanager
    async def opened(_app: Starlette) -> AsyncIterator[None]:
        if fail:
            raise OSError("no disk")
        yield

    async def page(_request: Request) -> PlainTextResponse:
        return PlainTextResponse("page")

    stack = Stack([Middleware(Layer)], Starlette(routes=[Route("/", page)], lifespan=opened))
    for _ in range(2):
        with pytest.raises(RuntimeError, match="no disk"):
            await get().run(stack)
    fail = False

    assert (await get().run(stack)).body == b"page"


def test_in_another_loop_it_starts_anew() -> None:
    log: list[str] = []
    app_log: list[str] = []
    stack = held(log, app_log)
    for _ in range(2):
        exchange = get()
        asyncio.run(exchange.run(stack))
        assert exchange.body == b"page"

    assert log == ["open", "close", "open", "close"]
    assert app_log[:2] == ["open", "open"], "a loop that ends cancels what it runs"


async def test_above_an_app_without_a_lifespan_layers_have_theirs() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] == "http"
        await Responder(b"{}")(scope, receive, send)

    log: list[str] = []
    stack = Stack([Middleware(Holds, log)], app)
    async with lifespan(stack):
        assert log == ["open"]
        assert (await get().run(stack)).status == 200

    assert log == ["open", "close"]
