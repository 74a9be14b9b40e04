"""The base of every layer: opens the facts, checks who reads and writes which, has a lifespan."""

from collections.abc import Iterable, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext

from starlette.types import ASGIApp, Receive, Scope, Send

from veneer import facts
from veneer.client import Client, ClientDisconnectedError
from veneer.lifetime import Lifetime
from veneer.wiring import ConfigurationError, chain, check_above, check_below, written_by


class Written(facts.RequestFact, frozen=True):
    """The fact types that the chain of the outermost layer says it writes."""

    kinds: frozenset[type]


class Layer:
    """A middleware of ours.

    A subclass says which fact types it `reads` (cannot work without) and `writes`, as class
    attributes or, where that depends on its options, on the instance before it calls this
    constructor; it answers a request in `handle`, and may hold things open in `lifespan`.
    `provides` names response facts that the app below writes without saying so.

    Raises `ConfigurationError` where a response fact that it reads is written by nothing below it.
    """

    reads: Sequence[type] = ()
    writes: Sequence[type] = ()

    def __init__(self, app: ASGIApp, *, provides: Iterable[type] = ()) -> None:
        self.app = app
        self._ready = False
        self._written: Written | None = None
        self._lifetime: Lifetime | None = None
        if type(self).lifespan is not Layer.lifespan:
            self._lifetime = Lifetime(self.lifespan)
        check_below(self, provides)

    @property
    def under_way(self) -> int:
        """How many calls it runs in tasks of their own, which whoever stops it may let end."""
        return 0

    def lifespan(self) -> AbstractAsyncContextManager[object]:
        """Return a context that is open while the layer is in use."""
        return nullcontext()

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request, or hand it down to `self.app`."""
        await self.app(scope, receive, send)

    async def handle_websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one WebSocket, or hand it down as it is."""
        await self.app(scope, receive, send)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one ASGI connection."""
        if scope["type"] == "http":
            known = scope.get(facts.SCOPE_KEY)
            if known is None or Client not in known:
                await self._own(scope, receive, send)
                return
            lifetime = self._lifetime
            if not self._ready or (lifetime is not None and not lifetime.started):
                await self._prepare(scope)
            await self.handle(scope, receive, send)
        elif scope["type"] == "websocket":
            await self.handle_websocket(scope, receive, send)
        elif self._lifetime is not None:
            await self._lifetime.join(self.app, scope, receive, send)
        else:
            await self.app(scope, receive, send)

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
        client = Client(receive)
        known[Written] = self._written
        known[Client] = client
        try:
            await self._prepare(scope)
            await self.handle(scope, client.receive, send)
        except ClientDisconnectedError:
            # There is nobody left to answer.
            return
        finally:
            client.close()

    async def _prepare(self, scope: Scope) -> None:
        """Before the first request: check what stands above, start what no lifespan has started."""
        if not self._ready:
            known = scope[facts.SCOPE_KEY]
            check_above([self], {*known, *known[Written].kinds})
            self._ready = True
        if self._lifetime is not None and not self._lifetime.started:
            await self._lifetime.start()


__all__ = ["ConfigurationError", "Layer"]
