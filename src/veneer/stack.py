"""The stack: layers in their order around an app, checked before the first request."""

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager

from starlette.middleware import Middleware
from starlette.types import ASGIApp, Receive, Scope, Send

from veneer.layer import Layer
from veneer.lifetime import Lifetime, lifespan
from veneer.wiring import chain, check_above


class Provided:
    """An app together with the facts that it writes, said by whoever put it there."""

    def __init__(self, app: ASGIApp, writes: Sequence[type]) -> None:
        self.app = app
        self.writes = writes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Call the app."""
        await self.app(scope, receive, send)


class Stack:
    """An ASGI app made of layers, outermost first, around an app.

    `layers` are Starlette's `Middleware` records, so that the same list serves
    `Starlette(middleware=...)`. `provides` names facts that something outside our sight writes: a
    host app above the stack, or the app below it. Serve it, mount it, or wrap it; where no lifespan
    events arrive (mounted), it starts with its first request, unless the host enters `lifespan`
    itself.

    Raises `ConfigurationError` where a layer reads a fact that nothing on the right side of it
    writes.
    """

    def __init__(
        self, layers: Sequence[Middleware], app: ASGIApp, *, provides: Iterable[type] = ()
    ) -> None:
        provided = tuple(provides)
        chained = Provided(app, provided) if provided else app
        for cls, args, kwargs in reversed(list(layers)):
            chained = cls(chained, *args, **kwargs)
        check_above(list(chain(chained)), provided)
        self.app = chained
        self._answer: ASGIApp = chained
        # One of ours need not find out again that a request is one.
        if isinstance(chained, Layer) and type(chained).__call__ is Layer.__call__:
            self._answer = chained.arrive
        self._lifetime = Lifetime(lambda: lifespan(self.app))
        self._held = False

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        """Start layers and app, and stop them: for the lifespan of a host that mounts the stack."""
        self._held = True
        try:
            async with lifespan(self.app):
                yield
        finally:
            self._held = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand a connection to the outermost layer."""
        if scope["type"] == "lifespan":
            self._held = True
            try:
                await self.app(scope, receive, send)
            finally:
                self._held = False
            return
        if not self._held and not self._lifetime.started:
            await self._lifetime.start()
        await (self._answer if scope["type"] == "http" else self.app)(scope, receive, send)
