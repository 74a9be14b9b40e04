"""Upstream: a reverse proxy to one OpenAI-compatible server, as an ASGI app."""

import asyncio
import logging
from collections.abc import Iterable, Sequence
from http import HTTPStatus
from ssl import SSLContext
from time import perf_counter
from typing import Any

from starlette.types import Receive, Scope, Send

from veneer import facts
from veneer.client import (
    BodyTimeoutError,
    Client,
    ClientDisconnectedError,
    client_of,
)
from veneer.errors import BODY_LATE, Error
from veneer.facts import Route, Unreached
from veneer.lookout import Lookout
from veneer.operations import Allowed, Endpoint
from veneer.upstream.base_url import split_url
from veneer.upstream.client_body import read_client_body
from veneer.upstream.credentials import Credentials, Shown
from veneer.upstream.failures import INVALID, UNSENT, UNWRITABLE, error_for
from veneer.upstream.forwarding import Answer, to_client, to_upstream
from veneer.upstream.guard import admit
from veneer.upstream.h1 import H1Transport
from veneer.upstream.httpx_transport import HttpxTransport
from veneer.upstream.relaying import relay
from veneer.upstream.transport import (
    PoolLimits,
    Request,
    Response,
    Timeouts,
    Transport,
    TransportError,
)

logger = logging.getLogger("veneer.upstream")

UNREACHED = Unreached()

FIRST_REDIRECT = 300

# How long `reachable` waits, in seconds.
PROBE_TIMEOUT = 2.0


class Upstream:
    """Forwards operations to the server at `url` and streams its answers back.

    `url` is the base that clients of the server would use (`http://localhost:8000/v1`). `api_key`
    is shown to the server in place of whatever credential the client sent; several take turns.
    Without one, the client's own goes through if `passes_credentials`, as one of several servers
    must not be shown what is meant for another. A router may have put a key of the caller's own for
    a try (`UpstreamKey`), which goes before both, and has none of ours rest where it is refused.
    `api_key_header` is where a key stands: as a Bearer token in Authorization, bare in any other
    field. `allow` names operations beyond the default ones, as for `OperationsMiddleware`. `client`
    is an `httpx.AsyncClient`, or one of its interface, to be used instead of our own HTTP/1.1; then
    `timeouts` apply, while `limits` and `ssl_context` are the client's own affair, and
    `close_client` says that it is ours to close. `address` is connected to in place of what the
    URL's host resolves to. `name` is what logs call this upstream.

    Raises ValueError for a URL or a key that cannot be used, and for an address with a client.
    """

    writes = (Route, Unreached)

    def __init__(  # noqa: PLR0913 - each is a setting with a name, and most have a default
        self,
        url: str,
        *,
        api_key: str | Sequence[str] | None = None,
        api_key_header: str = "Authorization",
        passes_credentials: bool = True,
        name: str = "upstream",
        allow: Iterable[str] = (),
        timeouts: Timeouts | None = None,
        limits: PoolLimits | None = None,
        ssl_context: SSLContext | None = None,
        address: str | None = None,
        client: Any = None,
        close_client: bool = False,
    ) -> None:
        origin, base = split_url(url)
        self.name = name
        self._base = base
        self._lookout = Lookout()
        keys = [api_key] if isinstance(api_key, str) else api_key
        self._credentials = Credentials(name, keys, api_key_header, passes=passes_credentials)
        self._allowed = Allowed(allow)
        self._transport: Transport
        timeouts = timeouts or Timeouts()
        if client is not None:
            if address is not None:
                raise ValueError("An httpx client resolves names itself: leave out the address.")
            self._transport = HttpxTransport(
                client, origin, timeouts=timeouts, close_client=close_client
            )
        else:
            self._transport = H1Transport(
                origin,
                timeouts=timeouts,
                limits=limits or PoolLimits(),
                ssl_context=ssl_context,
                address=address,
            )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one ASGI connection."""
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008})
        elif (client := facts.get(scope, Client)) is not None:
            await self._answer(client, scope, receive, send)
        else:
            scope = dict(scope)
            client = client_of(scope, receive, self._lookout)
            try:
                await self._answer(client, scope, client.receive, send)
            finally:
                client.close()

    async def reachable(self) -> bool:
        """Whether the server answers HTTP at all, asked for its models."""
        request = Request(b"GET", self._base + b"/models", self._credentials.probe())
        try:
            async with asyncio.timeout(PROBE_TIMEOUT):
                response = await self._transport.request(request)
                await response.aclose()
        except (TransportError, TimeoutError) as error:
            logger.warning("%s is not reachable: %s", self.name, error)
            return False
        return True

    async def aclose(self) -> None:
        """Close every connection to the server."""
        await self._transport.aclose()

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self.aclose()
        await send({"type": "lifespan.shutdown.complete"})

    async def _answer(self, client: Client, scope: Scope, receive: Receive, send: Send) -> None:
        endpoint = facts.get(scope, Endpoint)
        if endpoint is None:
            admitted = await admit(self._allowed, scope, receive)
            # Not `isinstance`: where it is none, that asks the metaclass of structs.
            if type(admitted) is Error:
                facts.put(scope, UNREACHED)
                await admitted(scope, receive, send)
                return
            endpoint = admitted
        response: Response | None = None
        try:
            with client.while_connected():
                answer = await self._ask(endpoint, scope, receive)
                if type(answer) is Error:
                    await answer(scope, receive, send)
                    return
                response, head = answer
                await relay(response, head, self.name, scope, receive, send)
        except ClientDisconnectedError:
            return
        finally:
            if response is not None and not response.ended:
                await response.aclose()

    async def _ask(
        self, endpoint: Endpoint, scope: Scope, receive: Receive
    ) -> tuple[Response, Answer] | Error:
        """Send the request on; return the response with its header read, or what went wrong."""
        prepared = await self._prepare(endpoint, scope, receive)
        if type(prepared) is Error:
            facts.put(scope, UNREACHED)
            return prepared
        request, shown = prepared
        started = perf_counter()
        try:
            response = await self._transport.request(request)
        except asyncio.CancelledError:
            if not request.begun:
                facts.put(scope, UNREACHED)
            raise
        except BodyTimeoutError:
            return BODY_LATE
        except ValueError as error:
            logger.warning("a request for %s could not be written: %s", self.name, error)
            facts.put(scope, UNREACHED)
            return UNWRITABLE
        except TransportError as error:
            logger.warning("%s: %s: %s", self.name, type(error).__name__, error)
            if isinstance(error, UNSENT):
                facts.put(scope, UNREACHED)
            return error_for(error)
        head = to_client(response.headers)
        facts.put(
            scope,
            Route(
                target=self.name,
                status=response.status,
                request_id=None if head.request_id is None else head.request_id.decode("latin-1"),
                seconds=perf_counter() - started,
            ),
        )
        if response.status >= FIRST_REDIRECT:
            refusal = self._judge(response, shown)
            if refusal is not None:
                await response.aclose()
                return refusal
        return response, head

    async def _prepare(
        self, endpoint: Endpoint, scope: Scope, receive: Receive
    ) -> tuple[Request, Shown] | Error:
        """Return the request as it goes on, its body perhaps still on the way, and its key."""
        shown = self._credentials.next(scope)
        if type(shown) is Error:
            return shown
        headers, framing = to_upstream(scope["headers"], scope["http_version"], shown.withheld)
        if shown.field is not None:
            headers.append(shown.field)
        try:
            body = await read_client_body(framing, receive)
        except BodyTimeoutError:
            return BODY_LATE
        if type(body) is Error:
            return body
        target = self._base + b"/" + endpoint.path
        if scope["query_string"]:
            target += b"?" + scope["query_string"]
        method = scope["method"].encode("ascii")
        return Request(method, target, headers, body.content, body.length), shown

    def _judge(self, response: Response, shown: Shown) -> Error | None:
        """Return the error for an answer that says more of our own settings than of the call."""
        status = response.status
        if status < HTTPStatus.BAD_REQUEST and status != HTTPStatus.NOT_MODIFIED:
            logger.error("%s answered with a redirect (%d): mend its URL", self.name, status)
            return INVALID
        return self._credentials.judge(shown, response)
