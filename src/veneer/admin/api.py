"""What all admin APIs have in common: whom they answer, and how they refuse."""

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, nullcontext

from starlette.types import Receive, Scope, Send

from veneer import facts
from veneer.admin.documents import Answer
from veneer.admin.inputs import shown
from veneer.auth import scopes
from veneer.auth.credentials import CHALLENGE
from veneer.client import ClientDisconnectedError
from veneer.dialects import Kind
from veneer.errors import Error
from veneer.facts import Principal, RequestId
from veneer.keys.fields import FieldError
from veneer.ledger.ledger import LedgerUnavailableError
from veneer.paths import path_of
from veneer.stores.unavailable import StoreUnavailableError

logger = logging.getLogger("veneer.audit")

NO_PRINCIPAL = Error(
    Kind.KEY_MISSING, "This needs an API key with the scope 'admin'.", headers=CHALLENGE
)
_LATER = ((b"retry-after", b"2"),)
KEYS_UNAVAILABLE = Error(
    Kind.KEYS_UNAVAILABLE,
    "The keys cannot be reached at present. Try again in a moment; what you asked for may have "
    "been done.",
    headers=_LATER,
)
LEDGER_UNAVAILABLE = Error(
    Kind.LEDGER_UNAVAILABLE,
    "The ledger cannot be reached at present. Try again in a moment; what you asked for may have "
    "been done.",
    headers=_LATER,
)

Handler = Callable[[Scope, Receive], Awaitable[Answer | Error]]


class AdminApi:
    """An ASGI app that answers principals with the scope `admin`, and nobody else.

    It goes by the `Principal` that an auth layer above has left, so without one it refuses all. A
    subclass says in `handlers` what there is; what it may raise is answered here.
    """

    def handlers(self, path: str) -> Mapping[str, Handler] | None:
        """Return what answers each method on a path below `root_path`; None where there is none."""
        raise NotImplementedError(path)

    def lifespan(self) -> AbstractAsyncContextManager[object]:
        """Return the context in which it is used."""
        return nullcontext()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request; WebSockets are refused, lifespans left to others."""
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008})
        elif scope["type"] == "http":
            try:
                answer = await self._answer(scope, receive)
            except ClientDisconnectedError:
                # There is nobody left to answer.
                return
            await answer(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive) -> Answer | Error:
        handler = self._handler(scope)
        if isinstance(handler, Error):
            return handler
        try:
            return await handler(scope, receive)
        except FieldError as error:
            return Error(Kind.INVALID_VALUE, str(error), param=error.field)
        except StoreUnavailableError as error:
            return _unavailable(scope, error, KEYS_UNAVAILABLE)
        except LedgerUnavailableError as error:
            return _unavailable(scope, error, LEDGER_UNAVAILABLE)

    def _handler(self, scope: Scope) -> Handler | Error:
        principal = facts.get(scope, Principal)
        refusal = NO_PRINCIPAL if principal is None else scopes.admin_refusal(principal)
        if refusal is not None:
            return refusal
        handlers = self.handlers(path_of(scope))
        if handlers is None:
            return Error(Kind.UNKNOWN_URL, "Unknown request URL.")
        handler = handlers.get("GET" if scope["method"] == "HEAD" else scope["method"])
        if handler is not None:
            return handler
        allowed = ", ".join(["HEAD", *handlers] if "GET" in handlers else handlers)
        return Error(
            Kind.METHOD_NOT_ALLOWED,
            f"This path answers {allowed}.",
            headers=((b"allow", allowed.encode()),),
        )


class AdminApis(AdminApi):
    """Several admin APIs in one, each with paths of its own."""

    def __init__(self, *apis: AdminApi) -> None:
        self._apis = apis

    def handlers(self, path: str) -> Mapping[str, Handler] | None:
        """Return what the first has that knows the path."""
        found = (api.handlers(path) for api in self._apis)
        return next((handlers for handlers in found if handlers is not None), None)

    def lifespan(self) -> AbstractAsyncContextManager[object]:
        """Return the context in which all of them are used."""
        return self._lifespan()

    @asynccontextmanager
    async def _lifespan(self) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            for api in self._apis:
                await stack.enter_async_context(api.lifespan())
            yield


def by(scope: Scope) -> str:
    """Return who asks, for the audit log."""
    principal = facts.get(scope, Principal)
    request_id = facts.get(scope, RequestId)
    who = "" if principal is None else f" by {shown(principal.id)}"
    return who if request_id is None else f"{who} in {request_id.value}"


def _unavailable(scope: Scope, error: Exception, answer: Error) -> Error:
    request = f"{shown(scope['method'])} {shown(scope['path'])}"
    logger.warning("%s%s: the store did not answer: %s", request, by(scope), error)
    return answer
