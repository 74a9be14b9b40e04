"""Lifetimes: an asynchronous context held open from the first need until the end."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

logger = logging.getLogger("veneer")


class Lifetime:
    """Holds a context open in a task of its own, so that one task enters it and the same leaves it.

    `context` makes the context. It is entered once, by whoever comes first: the server's lifespan
    protocol, or the first request where no lifespan event arrives (a mounted app). It is left by
    `stop`, or when the loop ends and cancels its tasks.
    """

    def __init__(self, context: Callable[[], AbstractAsyncContextManager[object]]) -> None:
        self._context = context
        self._task: asyncio.Task[None] | None = None
        self._entered: asyncio.Future[None] | None = None
        self._leave = asyncio.Event()
        self.started = False

    async def start(self) -> None:
        """Enter the context, or wait until it is entered; what entering raises is raised here.

        After a failure the next call tries again.
        """
        if self._entered is None:
            loop = asyncio.get_running_loop()
            self._entered = loop.create_future()
            self._leave = asyncio.Event()
            self._task = loop.create_task(self._hold(self._entered))
        await asyncio.shield(self._entered)

    async def stop(self) -> None:
        """Leave the context and wait until it is left; what leaving raises is raised here."""
        task, self._task = self._task, None
        if task is not None:
            self._leave.set()
            await asyncio.shield(task)

    async def _hold(self, entered: asyncio.Future[None]) -> None:
        try:
            async with self._context():
                self.started = True
                entered.set_result(None)
                await self._leave.wait()
        except Exception as error:
            if entered.done():
                raise
            entered.set_exception(error)
        finally:
            self.started = False
            self._entered = None
            if not entered.done():
                entered.cancel()

    async def join(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the lifespan protocol to `app`, started before it and stopped after it.

        Where the app takes no part in the protocol, this answers in its place.
        """
        joined = _Joined(self, receive, send)
        try:
            await _run(app, scope, joined.receive, joined.send)
            await joined.answer()
        finally:
            await self.stop()


class _Joined:
    """One lifespan on its way through: what the app below still owes the server."""

    def __init__(self, lifetime: Lifetime, receive: Receive, send: Send) -> None:
        self._lifetime = lifetime
        self._receive = receive
        self._send = send
        self._received: str | None = None
        self._sent: str | None = None
        self._failed = False

    async def receive(self) -> Message:
        """Deliver the server's next message, after the start if that is what it asks for."""
        message = await self._receive()
        self._received = message["type"]
        if self._received == "lifespan.startup":
            try:
                await self._lifetime.start()
            except Exception as error:
                await self.send({"type": "lifespan.startup.failed", "message": str(error)})
                self._failed = True
                raise
        return message

    async def send(self, message: Message) -> None:
        """Pass the app's answer on, after the stop if it is the last one."""
        if self._failed:
            # The server knows; what the app makes of our exception is a second answer.
            return
        if message["type"] != "lifespan.startup.complete":
            try:
                await self._lifetime.stop()
            except Exception as error:
                logger.exception("a layer did not stop")
                if message["type"] == "lifespan.shutdown.complete":
                    message = {"type": "lifespan.shutdown.failed", "message": str(error)}
        self._sent = message["type"]
        await self._send(message)

    async def answer(self) -> None:
        """Say what an app that has ended has left unsaid."""
        if self._received is None:
            await self.receive()
        if self._sent is None:
            await self.send({"type": "lifespan.startup.complete"})
        if self._sent == "lifespan.startup.complete":
            if self._received == "lifespan.startup":
                await self.receive()
            await self.send({"type": "lifespan.shutdown.complete"})


@asynccontextmanager
async def lifespan(app: ASGIApp) -> AsyncIterator[None]:
    """Run an app's lifespan as a server would: started inside, stopped on the way out.

    An app without a lifespan of its own (it raises, or returns at once) is none the worse for it.
    Raises RuntimeError with the app's sentence where its start or its stop fails.
    """
    inbox: asyncio.Queue[Message] = asyncio.Queue()
    outbox: asyncio.Queue[Message] = asyncio.Queue()
    scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": {}}
    running = asyncio.ensure_future(_run(app, scope, inbox.get, outbox.put))
    try:
        inbox.put_nowait({"type": "lifespan.startup"})
        await _reply(running, outbox)
        yield
        if not running.done():
            inbox.put_nowait({"type": "lifespan.shutdown"})
            await _reply(running, outbox)
    finally:
        running.cancel()
        await asyncio.wait({running})


async def _run(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    try:
        await app(scope, receive, send)
    except Exception:
        # To raise is how an app says that it takes no part; what fails says so in a message.
        logger.debug("the app has left the lifespan protocol", exc_info=True)


async def _reply(running: asyncio.Future[None], outbox: asyncio.Queue[Message]) -> None:
    """Wait for the app's next message, or for its end; raise RuntimeError for a failure."""
    getting = asyncio.ensure_future(outbox.get())
    waiting: set[asyncio.Future[Any]] = {running, getting}
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        reply = getting.result() if getting.done() else {"type": "none"}
    finally:
        getting.cancel()
    if reply["type"].endswith(".failed"):
        raise RuntimeError(reply.get("message") or f"the app sent {reply['type']}")
