"""What stands below a layer is entered at less cost, and as surely as if it were called."""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager

import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from tests.asgi import Exchange, Responder, http_scope
from tests.lint import Lint
from veneer import facts
from veneer.facts import RequestFact
from veneer.layer import Layer
from veneer.lifetime import lifespan
from veneer.wiring import ConfigurationError


class Who(RequestFact, frozen=True):
    """Who calls."""


class Reads(Layer):
    """Needs to know who calls."""

    reads = (Who,)


class Tells(Layer):
    """Has whoever enters it await what it was given."""

    def __init__(self, app: ASGIApp, told: asyncio.Future[None]) -> None:
        super().__init__(app)
        self.told = told

    def handle(self, _scope: Scope, _receive: Receive, _send: Send) -> Awaitable[None]:
        """Return it."""
        return self.told


class Counts(Layer):
    """Is asked in its own way."""

    calls = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Count, and answer as any layer."""
        self.calls += 1
        await super().__call__(scope, receive, send)


class Holds(Layer):
    """Holds something open, which takes two turns to be."""

    def __init__(self, app: ASGIApp, log: list[str], *, failures: int = 0) -> None:
        super().__init__(app)
        self.log = log
        self.failures = failures

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        """Write down when it opens and closes."""
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        if self.failures:
            self.failures -= 1
            raise OSError("no disk")
        self.log.append("open")
        try:
            yield
        finally:
            self.log.append("close")

    def handle(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Be open when a request is handed down."""
        assert self.log[-1] == "open"
        return self.below(scope, receive, send)


def get() -> Exchange:
    return Exchange(http_scope("GET", "/"))


def ok() -> ASGIApp:
    return Lint(Responder(b"{}"))


def test_below_is_the_entry_of_a_layer_and_all_of_another_app() -> None:
    app, layer = ok(), Layer(ok())
    assert Layer(app).below is app
    assert Layer(layer).below == layer.enter


async def test_a_layer_that_is_called_in_its_own_way_is_called() -> None:
    layer = Counts(ok())
    above = Layer(layer)
    assert above.below is layer
    for _ in range(2):
        assert (await get().run(above)).status == 200
    assert layer.calls == 2


@pytest.mark.parametrize("layers", [1, 2, 5])
async def test_each_of_a_chain_is_asked_for_each_request(layers: int) -> None:
    asked: list[int] = []

    class Asked(Layer):
        def __init__(self, app: ASGIApp, number: int) -> None:
            super().__init__(app)
            self.number = number

        def handle(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
            asked.append(self.number)
            return self.below(scope, receive, send)

    app = ok()
    for number in range(layers):
        app = Asked(app, number)
    for _ in range(2):
        assert (await get().run(app)).status == 200
    assert asked == [*range(layers)][::-1] * 2


async def test_entering_costs_no_coroutine_once_it_is_ready() -> None:
    told = asyncio.get_running_loop().create_future()
    told.set_result(None)
    layer = Tells(ok(), told)
    exchange = get()
    # Its first request finds out that it stands where it can.
    await layer(exchange.scope, exchange.receive, exchange.send)

    assert layer.enter(exchange.scope, exchange.receive, exchange.send) is told


async def test_below_leads_to_what_handles_a_request_while_it_is_open() -> None:
    inner = Holds(ok(), ["open"])
    layer = Layer(inner)
    for _ in range(2):
        async with lifespan(layer):
            assert layer.below == inner.enter != inner.handle
            assert (await get().run(layer)).status == 200
            assert layer.below == inner.enter == inner.handle
        assert layer.below == inner.enter != inner.handle


async def test_one_that_several_stand_above_is_entered_by_all_at_less_cost() -> None:
    inner = Layer(ok())
    above = [Layer(inner), Layer(inner)]
    assert (await get().run(above[0])).status == 200
    assert [layer.below for layer in above] == [inner.handle] * 2


async def test_what_it_cannot_do_without_is_missed_below_as_well() -> None:
    for layer in (Layer(Reads(ok())), Layer(Layer(Reads(ok())))):
        for _ in range(2):
            with pytest.raises(ConfigurationError, match="Reads reads Who"):
                await get().run(layer)
        scope = http_scope("GET", "/")
        facts.put(scope, Who())
        assert (await Exchange(scope).run(layer)).status == 200


async def test_it_is_missed_also_where_another_app_hides_who_needs_it() -> None:
    inner = Layer(Layer(Reads(ok())))

    async def hides(scope: Scope, receive: Receive, send: Send) -> None:
        await inner(scope, receive, send)

    for _ in range(2):
        with pytest.raises(ConfigurationError, match="Reads reads Who"):
            await get().run(Layer(hides))


async def test_what_it_holds_is_open_before_the_first_request_and_once() -> None:
    log: list[str] = []
    layer = Layer(Holds(Holds(ok(), log), log))
    exchanges = [get() for _ in range(5)]
    await asyncio.gather(*(exchange.run(layer) for exchange in exchanges))
    await get().run(layer)

    assert [exchange.status for exchange in exchanges] == [200] * 5
    assert log == ["open", "open"]


async def test_one_that_did_not_start_is_started_by_the_next_request() -> None:
    log: list[str] = []
    layer = Layer(Holds(ok(), log, failures=2))
    for _ in range(2):
        with pytest.raises(OSError, match="no disk"):
            await get().run(layer)
    assert log == []
    assert (await get().run(layer)).status == 200
    assert log == ["open"]


def test_one_that_was_closed_is_opened_anew() -> None:
    log: list[str] = []
    layer = Layer(Holds(ok(), log))
    for _ in range(2):
        exchange = get()
        asyncio.run(exchange.run(layer))
        assert exchange.status == 200
    assert log == ["open", "close"] * 2


@pytest.mark.parametrize("turns", range(6))
async def test_who_leaves_while_it_starts_keeps_nobody_else_from_it(turns: int) -> None:
    log: list[str] = []
    layer = Layer(Holds(ok(), log))
    first, second = (asyncio.create_task(get().run(layer)) for _ in range(2))
    for _ in range(turns):
        await asyncio.sleep(0)
    first.cancel()
    await asyncio.wait([first])
    assert (await second).status == 200
    assert (await get().run(layer)).status == 200
    assert log == ["open"]


async def test_a_bug_below_passes_whether_it_is_entered_first_or_again() -> None:
    class Fails(Layer):
        def handle(self, _scope: Scope, _receive: Receive, _send: Send) -> Awaitable[None]:
            raise LookupError("a bug")

    layer = Layer(Fails(ok()))
    for _ in range(2):
        with pytest.raises(LookupError, match="a bug"):
            await get().run(layer)
