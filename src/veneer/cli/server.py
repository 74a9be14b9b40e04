"""The server of one process: uvicorn's, with a shutdown that says goodbye."""

import asyncio
import gc
import logging
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from socket import socket
from types import FrameType

import uvicorn

from veneer.cli.protocol import BoundedProtocol, HeadBounds
from veneer.config import Config
from veneer.config.dialect import build_dialect
from veneer.layer import Layer
from veneer.layers.health import HealthMiddleware
from veneer.wiring import chain

logger = logging.getLogger("veneer.server")

# Seconds that calls get to say goodbye once they are cancelled, and layers to close what they hold.
FAREWELL = 2.0
POLL = 0.05

# Calls under way are not garbage, yet a few of them are more new objects than the 700 after which
# Python looks for cycles by default: it then walks through them again and again.
YOUNG = 10_000


def run(app: HealthMiddleware, config: Config, listener: socket, control: int | None = None) -> int:
    """Serve on a listening socket until a signal says to stop; return the exit code.

    SIGINT and SIGTERM stop gracefully, a second one at once. In a worker, `control` is the end of a
    pipe that says so instead, a byte each time; that it is closed means that our parent is gone.
    """
    server = Server(app, config, control)
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(server.serve(sockets=[listener]))
    return 0


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    if find_spec("uvloop") is None:
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = import_module("uvloop").new_event_loop
    return factory


def protocol(config: Config) -> type[BoundedProtocol]:
    """Return the protocol class with the bounds of a configuration."""

    class Protocol(BoundedProtocol):
        """uvicorn makes one for each connection, without a word of ours."""

        bounds = HeadBounds(
            timeout=config.serve.header_timeout,
            size=config.serve.max_header,
            url=config.serve.max_url,
        )
        dialect = build_dialect(config.dialect)

    return Protocol


class Server(uvicorn.Server):
    """Stops in this order: readiness, listening, calls under way, what is left of them, the app.

    uvicorn's own shutdown cancels calls and does not wait for what they still have to say.
    """

    def __init__(self, app: HealthMiddleware, config: Config, control: int | None = None) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http=protocol(config),
                ws="none",
                lifespan="on",
                interface="asgi3",
                log_config=None,
                access_log=False,
                proxy_headers=False,
                server_header=False,
                timeout_keep_alive=config.serve.keepalive,
            )
        )
        self._app = app
        self._layers = [part for part in chain(app) if isinstance(part, Layer)]
        self._drain = config.serve.drain
        self._grace = config.serve.grace
        self._control = control

    async def startup(self, sockets: list[socket] | None = None) -> None:
        """Begin to serve, and to listen to our parent."""
        await super().startup(sockets)
        # What has been built lives as long as the process: no collection need look at it again.
        gc.collect()
        gc.freeze()
        gc.set_threshold(YOUNG)
        if self._control is not None:
            loop = asyncio.get_running_loop()
            loop.add_reader(self._control, self._listen_to_parent, self._control)

    async def shutdown(self, sockets: list[socket] | None = None) -> None:
        """Stop serving; `force_exit` at any time skips what is left of waiting."""
        self._app.drain()
        await self._wait(self._drain, until=lambda: False)
        for server in self.servers:
            server.close()
        for listener in sockets or ():
            listener.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        await self._wait(self._grace, until=self._is_done)
        tasks = set(self.server_state.tasks)
        if tasks:
            logger.warning("ending %d calls that are still under way", len(tasks))
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks, timeout=FAREWELL)
        for connection in list(self.server_state.connections):
            connection.transport.close()
        await self._wait(FAREWELL, until=self._is_quiet)
        try:
            async with asyncio.timeout(FAREWELL):
                await self.lifespan.shutdown()
        except TimeoutError:
            logger.warning("the layers did not close in %s s", FAREWELL)

    def _is_done(self) -> bool:
        """Whether no call is under way any more, those without a client included."""
        return self._is_quiet() and not any(layer.under_way for layer in self._layers)

    def _is_quiet(self) -> bool:
        return not (self.server_state.tasks or self.server_state.connections)

    async def _wait(self, seconds: float, until: Callable[[], bool]) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end and not self.force_exit:
            if until():
                return
            await asyncio.sleep(POLL)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Handle the signals that stop us while inside; unlike uvicorn, do not raise them again."""
        handlers: dict[signal.Signals, Callable[[int, FrameType | None], None] | signal.Handlers]
        if self._control is None:
            handlers = {signal.SIGINT: self.handle_exit, signal.SIGTERM: self.handle_exit}
        else:
            # Terminals and supervisors signal the whole group; our parent counts for all.
            handlers = {signal.SIGINT: signal.SIG_IGN, signal.SIGTERM: self._stop}
        before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stop gracefully; told again, at once."""
        del sig, frame
        self.force_exit = self.should_exit
        self.should_exit = True

    def _stop(self, sig: int, frame: FrameType | None) -> None:
        del sig, frame
        self.should_exit = True

    def _listen_to_parent(self, control: int) -> None:
        told = os.read(control, 16)
        if not told:
            asyncio.get_running_loop().remove_reader(control)
            self.should_exit = True
        for _ in told:
            self.handle_exit(signal.SIGTERM, None)
