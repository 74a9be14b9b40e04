"""Operations: what may be asked here, and what each request asks for.

Answers 404 for paths that are no operation and for operations that are not served, 405 for wrong
methods, and 400, 408, 413, 415 for bodies that cannot be read. Reads nothing; writes `Endpoint`
and `Call`. Belongs into a stack around an app of its own; in a host app with pages beside the API,
leave it out, and `Upstream` guards itself.
"""

from collections.abc import Awaitable, Iterable

from starlette.types import ASGIApp, Receive, Scope, Send

from veneer import facts
from veneer.call import MAX_BODY, Call, read_call
from veneer.errors import Error
from veneer.layer import Layer
from veneer.operations import Allowed, Endpoint


class OperationsMiddleware(Layer):
    """Lets through the operations that are served.

    By default those are the stateless ones whose use can be accounted for; `allow` names others
    (`"files"`, or a path of the upstream's own such as `"/rerank"`), `deny` takes some out
    (`"images"` is all that begins so). `max_body` (bytes) bounds JSON bodies, which are read here;
    uploads are passed on unread.

    Raises ValueError for a name that is no operation's, or is in both.
    """

    writes = (Endpoint, Call)

    def __init__(
        self,
        app: ASGIApp,
        *,
        allow: Iterable[str] = (),
        deny: Iterable[str] = (),
        max_body: int = MAX_BODY,
    ) -> None:
        if max_body <= 0:
            raise ValueError(f"max_body is {max_body}; give the bytes that a body may have.")
        super().__init__(app)
        self._allowed = Allowed(allow, deny)
        self._max_body = max_body

    def handle(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Refuse the request, or leave what it asks for and pass it on."""
        known = scope[facts.SCOPE_KEY]
        endpoint = self._allowed.judge(scope)
        # Not isinstance: the classes of structs take long to say no.
        if type(endpoint) is Error:
            return endpoint(scope, receive, send)
        known[Endpoint] = endpoint
        return (self.below if Call in known else self._read)(scope, receive, send)

    async def _read(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Read what the request asks of a model, unless that is wrong."""
        call = await read_call(scope, receive, max_body=self._max_body, stored=self._allowed.stored)
        await (call if isinstance(call, Error) else self.below)(scope, receive, send)

    async def handle_websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a WebSocket through where realtime is allowed; else refuse its handshake (403)."""
        if "realtime" in self._allowed.names:
            await self.app(scope, receive, send)
        else:
            await receive()
            await send({"type": "websocket.close", "code": 1008})
