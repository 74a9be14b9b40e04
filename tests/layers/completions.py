"""What stands around the layer of completions in its tests: models that go on, and callers."""

import asyncio
from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send

from tests.asgi import Exchange, http_scope, read_body
from tests.layers.costs import BOOK, NOW, estimated
from tests.layers.limits import Known
from tests.layers.probe import JSON, SSE
from tests.lint import Lint
from veneer.client import client_of
from veneer.facts import Principal
from veneer.layers.completions import CompletionsMiddleware
from veneer.layers.cost import CostMiddleware
from veneer.layers.relay import RelayMiddleware
from veneer.ledger.ledger import Ledger

ANN = Principal(id="ann", team="red")
BOB = Principal(id="bob", team="red")
EVE = Principal(id="eve", team="blue")
# The same word, as a key without a team.
RED = Principal(id="red")


class Model:
    """A model server behind a proxy: sends some parts, then goes on until its client leaves.

    If it is `stubborn`, it does not notice that. `left` is whether it was told.
    """

    def __init__(self, *parts: bytes, stream: bool = True, stubborn: bool = False) -> None:
        self._parts = parts
        self._headers = SSE if stream else JSON
        self._stubborn = stubborn
        self.begun = asyncio.Event()
        self.left = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer."""
        await read_body(receive)
        if self._parts:
            await send(
                {"type": "http.response.start", "status": 200, "headers": list(self._headers)}
            )
        for part in self._parts:
            await send({"type": "http.response.body", "body": part, "more_body": True})
        self.begun.set()
        try:
            if self._stubborn:
                await asyncio.Event().wait()
            with client_of(scope, receive).while_connected():
                await asyncio.Event().wait()
        finally:
            self.left = True


def kept(
    app: ASGIApp, principal: Principal = ANN, *, ledger: Ledger | None = None, **options: Any
) -> Known:
    """Return the layer above those that count and relay, asked by a principal."""
    relay = RelayMiddleware(Lint(app))
    cost = CostMiddleware(relay, prices=BOOK, estimator=estimated, clock=lambda: NOW, ledger=ledger)
    return Known(Lint(CompletionsMiddleware(Lint(cost), **options)), principal)


def as_caller(layer: Known, principal: Principal) -> Known:
    """Return the same layer, asked by somebody else."""
    return Known(layer.app, principal)


async def retrieve(layer: ASGIApp, name: str, method: str = "GET") -> Exchange:
    """Ask for a completion."""
    return await Exchange(http_scope(method, f"/v1/chat/completions/{name}")).run(layer)


async def cancel(layer: ASGIApp, name: str, method: str = "POST") -> Exchange:
    """Ask for the end of one."""
    return await Exchange(http_scope(method, f"/v1/chat/completions/{name}/cancel")).run(layer)
