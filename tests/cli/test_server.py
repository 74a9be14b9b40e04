"""The server of one process, where a process of its own would show nothing more."""

import asyncio
import logging
from typing import Any

import pytest

from tests.asgi import Responder
from veneer.cli import server
from veneer.cli.logs import is_no_cut
from veneer.cli.server import Server
from veneer.config import Config, parse
from veneer.errors import BrokenResponseError
from veneer.layer import Layer
from veneer.layers.health import HealthMiddleware


class Lifespan:
    """A lifespan that does not end."""

    async def shutdown(self) -> None:
        """Wait for ever."""
        await asyncio.Event().wait()


def test_without_uvloop_asyncio_s_own_loop_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "find_spec", lambda _: None)
    assert server._loop_factory() is None


async def test_layers_that_do_not_close_do_not_hold_the_process(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(server, "FAREWELL", 0.01)
    stopping = Server(HealthMiddleware(Responder()), Config())
    stopping.servers = []
    stopping.lifespan = Lifespan()
    await stopping.shutdown()
    assert "did not close" in caplog.text


async def test_what_stands_before_the_first_call_is_left_alone_by_the_collector(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told: list[tuple[str, tuple[int, ...]]] = []

    class Collector:
        def __getattr__(self, name: str) -> Any:
            return lambda *given: told.append((name, given))

    async def startup(_self: object, sockets: object = None) -> None:
        assert not sockets
        told.append(("started", ()))

    monkeypatch.setattr(server, "gc", Collector())
    monkeypatch.setattr("uvicorn.Server.startup", startup)
    await Server(HealthMiddleware(Responder()), Config()).startup()
    assert told == [
        ("started", ()),
        ("collect", ()),
        ("freeze", ()),
        ("set_threshold", (server.YOUNG,)),
    ]


async def test_connections_that_are_left_are_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    class Lingering:
        closed = 0
        transport: "Lingering"

        def close(self) -> None:
            self.closed += 1

        shutdown = close

    monkeypatch.setattr(server, "FAREWELL", 0.01)
    stopping = Server(HealthMiddleware(Responder()), parse({"serve": {"grace": 0}}))
    connection = Lingering()
    connection.transport = connection
    connections: set[Any] = stopping.server_state.connections  # of protocols, by their interface
    connections.add(connection)
    stopping.servers = []
    stopping.lifespan = Lifespan()
    await stopping.shutdown()
    assert connection.closed == 2


def test_bounds_of_the_configuration_reach_the_protocol() -> None:
    config = parse({"serve": {"header_timeout": 1, "max_header": 2000, "max_url": 300}})
    bounds = server.protocol(config).bounds
    assert (bounds.timeout, bounds.size, bounds.url) == (1.0, 2000, 300)


@pytest.mark.parametrize(
    ("error", "logged"),
    [(BrokenResponseError(), False), (asyncio.CancelledError(), False), (ValueError(), True)],
)
def test_only_what_was_not_meant_is_logged_as_an_error(
    error: BaseException, *, logged: bool
) -> None:
    record = logging.LogRecord("x", 40, "", 0, "", (), (type(error), error, None))
    assert is_no_cut(record) is logged


async def test_calls_that_no_client_waits_for_are_let_end_within_the_grace(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Detached(Layer):
        """A layer with a call that ends when it has been looked at a few times."""

        looks = 0

        @property
        def under_way(self) -> int:
            """Count the looks."""
            self.looks += 1
            return 3 - self.looks

    monkeypatch.setattr(server, "FAREWELL", 0.01)
    monkeypatch.setattr(server, "POLL", 0.001)
    layer = Detached(Responder())
    stopping = Server(HealthMiddleware(layer), parse({"serve": {"grace": 20}}))
    stopping.servers = []
    stopping.lifespan = Lifespan()
    await stopping.shutdown()
    assert layer.looks == 3
