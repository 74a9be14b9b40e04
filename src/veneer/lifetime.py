"""Lifetimes: an asynchronous context held open from the first need until the end."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

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
        """Pass the lifespan protocol to `app`, started before it and stopped after it."""

        async def receive_with_start() -> Message:
            message = await receive()
            if message["type"] == "lifespan.startup":
                try:
                    await self.start()
                except Exception as error:
                    await send({"type": "lifespan.startup.failed", "message": str(error)})
                    raise
            return message

        async def send_with_stop(message: Message) -> None:
            if message["type"] in ("lifespan.shutdown.complete", "lifespan.startup.failed"):
                await self.stop()
            await send(message)

        await app(scope, receive_with_start, send_with_stop)


@asynccontextmanager
async def lifespan(app: ASGIApp) -> AsyncIterator[None]:
    """Run an app's lifespan as a server would: started inside, stopped on the way out.

    An app without a lifespan of its own (it raises, or returns at once) is none the worse for it.
    Raises RuntimeError with the app's sentence where its start fails.
    """
    inbox: asyncio.Queue[Message] = asyncio.Queue()
    outbox: asyncio.Queue[Message] = asyncio.Queue()
    scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": {}}
    running = asyncio.ensure_future(_run(app, scope, inbox.get, outbox.put))
    try:
        inbox.put_nowait({"type": "lifespan.startup"})
        reply = await _reply(running, outbox)
        if reply is not None and reply["type"] == "lifespan.startup.failed":
            raise RuntimeError(reply.get("message") or "the app did not start")
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
    except Exception:  # noqa: BLE001 - to raise is how an app says that it has no lifespan
        logger.debug("the app takes no part in the lifespan protocol", exc_info=True)


async def _reply(running: asyncio.Future[None], outbox: asyncio.Queue[Message]) -> Message | None:
    """Return the app's next message, or None where it ended without one."""
    getting = asyncio.ensure_future(outbox.get())
    try:
        await asyncio.wait({running, getting}, return_when=asyncio.FIRST_COMPLETED)
        return getting.result() if getting.done() else None
    finally:
        getting.cancel()
