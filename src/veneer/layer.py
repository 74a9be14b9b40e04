"""The base of every layer: opens the facts, checks who reads and writes which, has a lifespan."""

from collections.abc import AsyncIterator, Awaitable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from weakref import WeakSet

from starlette.types import ASGIApp, Receive, Scope, Send

from veneer import facts
from veneer.client import Client, ClientDisconnectedError
from veneer.lifetime import Lifetime
from veneer.lookout import Lookout
from veneer.wiring import ConfigurationError, chain, check_above, check_below, written_by


class Written(facts.RequestFact, frozen=True):
    """The fact types that the chain of the outermost layer says it writes."""

    kinds: frozenset[type]


class Layer:
    """A middleware of ours.

    A subclass says which fact types it `reads` (cannot work without) and `writes`, as class
    attributes or, where that depends on its options, on the instance before it calls this
    constructor; it answers a request in `handle`, and may hold things open in `lifespan`. `app` is
    what stands below it, and `below` the same at less cost, for the request that `handle` is given;
    `enter` answers an HTTP request whose facts a layer above has opened.
    `provides` names response facts that the app below writes without saying so.

    Raises `ConfigurationError` where a response fact that it reads is written by nothing below it.
    """

    reads: Sequence[type] = ()
    writes: Sequence[type] = ()

    def __init__(self, app: ASGIApp, *, provides: Iterable[type] = ()) -> None:
        self.app = app
        self.enter: ASGIApp = self._enter_first
        self.below: ASGIApp = app
        # The layers that enter here.
        self.above: WeakSet[Layer] = WeakSet()
        # One of ours need not find out again that a request is one, and has its facts.
        if isinstance(app, Layer) and type(app).__call__ is Layer.__call__:
            self.below = app.enter
            app.above.add(self)
        self._lookout = Lookout()
        self._ready = False
        self._written: Written | None = None
        self._lifetime: Lifetime | None = None
        if type(self).lifespan is not Layer.lifespan:
            self._lifetime = Lifetime(self._open)
        check_below(self, provides)

    @property
    def under_way(self) -> int:
        """How many calls it runs in tasks of their own, which whoever stops it may let end."""
        return 0

    def lifespan(self) -> AbstractAsyncContextManager[object]:
        """Return a context that is open while the layer is in use."""
        return nullcontext()

    def handle(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Answer one HTTP request, or hand it down to `self.below`.

        A subclass that only hands it down may return what that returns; others are coroutines.
        """
        return self.below(scope, receive, send)

    async def handle_websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one WebSocket, or hand it down as it is."""
        await self.app(scope, receive, send)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one ASGI connection."""
        if scope["type"] == "http":
            await self.arrive(scope, receive, send)
        elif scope["type"] == "websocket":
            await self.handle_websocket(scope, receive, send)
        elif self._lifetime is not None:
            await self._lifetime.join(self.app, scope, receive, send)
        else:
            await self.app(scope, receive, send)

    def arrive(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Answer an HTTP request, as the outermost layer where no other stands above."""
        known = scope.get(facts.SCOPE_KEY)
        outermost = known is None or Client not in known
        return (self._own if outermost else self.enter)(scope, receive, send)

    async def _own(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Be the outermost layer of a request: open its facts and own its client."""
        known = scope.get(facts.SCOPE_KEY)
        if known is None:
            scope = dict(scope)
            known = facts.open_in(scope)
        if self._written is None:
            parts = list(chain(self))
            check_above(parts, known)
            self._written = Written(written_by(parts))
        client = Client(receive, lookout=self._lookout)
        known[Written] = self._written
        known[Client] = client
        try:
            await self.enter(scope, client.receive, send)
        except ClientDisconnectedError:
            # There is nobody left to answer.
            return
        finally:
            client.close()

    async def _enter_first(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Before the first request: check what stands above, start what no lifespan has started.

        Those that come later are handled at once.
        """
        if not self._ready:
            known = scope[facts.SCOPE_KEY]
            check_above([self], {*known, *known[Written].kinds})
            self._ready = True
        lifetime = self._lifetime
        if lifetime is not None and not lifetime.started:
            await lifetime.start()
        # Who waited for it may come when it has ended again.
        if lifetime is None or lifetime.started:
            self._lead_to(self.handle)
        await self.handle(scope, receive, send)

    @asynccontextmanager
    async def _open(self) -> AsyncIterator[None]:
        try:
            async with self.lifespan():
                yield
        finally:
            self._lead_to(self._enter_first)

    def _lead_to(self, entry: ASGIApp) -> None:
        """Have requests enter here: no call in between, each of which costs every request."""
        self.enter = entry
        for layer in self.above:
            layer.below = entry


__all__ = ["ConfigurationError", "Layer"]
