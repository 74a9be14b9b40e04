"""Admin: hands the requests below one path to an admin API.

Answers nothing by itself; what is not below its path passes. Reads `Principal`, which the API goes
by; writes nothing. Stands below AuthMiddleware, which is to be told the same paths as its `admin`
ones, and above OperationsMiddleware, which knows no such path.
"""

import re
from contextlib import AbstractAsyncContextManager, nullcontext

from starlette.types import ASGIApp, Receive, Scope, Send

from veneer.facts import Principal
from veneer.layer import Layer
from veneer.paths import path_of

PATH = "/admin"

_POSSIBLE = re.compile(r"(?:/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)+", re.ASCII).fullmatch


class AdminMiddleware(Layer):
    """Hands `path` and all below it to `api`, an ASGI app such as `AdminKeys`.

    The api is called as if it were mounted there: `path` is added to its `root_path`. It decides
    itself whom it answers; one that keeps something open has a `lifespan()`. Raises ValueError for
    a path that cannot be.
    """

    reads = (Principal,)

    def __init__(self, app: ASGIApp, *, api: ASGIApp, path: str = PATH) -> None:
        if not _POSSIBLE(path):
            raise ValueError(
                f"The path of the admin API is {path!r}: give one such as '/admin', of letters, "
                "digits, '.', '_', '~' and '-', without a slash at its end."
            )
        super().__init__(app)
        self._api = api
        self._path = path

    def lifespan(self) -> AbstractAsyncContextManager[object]:
        """Return the API's own lifespan, if it has one."""
        own = getattr(self._api, "lifespan", None)
        context: AbstractAsyncContextManager[object] = nullcontext() if own is None else own()
        return context

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand a request to the API or on."""
        below = path_of(scope)
        if below == self._path or below.startswith(f"{self._path}/"):
            root = scope.get("root_path", "") + self._path
            path = root + below[len(self._path) :]
            scope = {**scope, "root_path": root, "path": path}
            await self._api(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    async def handle_websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Do the same for a WebSocket."""
        await self.handle(scope, receive, send)
