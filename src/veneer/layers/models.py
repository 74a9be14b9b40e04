"""Models: which ones there are, under which names, and who may call them with what.

Answers 404 for a model that there is not, or not for this caller, and 400 for what a model cannot
do. Reads `Principal`, if there is one; writes `Resolved`, and `Call` anew with the name that the
upstream knows. Stands below what replays answers, so that a replay goes by the request as its
client wrote it, and above all that counts by the model.
"""

from collections.abc import Iterable, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Literal

import msgspec
from starlette.types import ASGIApp, Receive, Scope, Send

from veneer import facts
from veneer.call import MAX_BODY, Call, read_call
from veneer.catalog.asking import asking
from veneer.catalog.discovery import DEFAULT_REFRESH, Discovery
from veneer.catalog.guards import refusal
from veneer.catalog.hidden import hidden_models
from veneer.catalog.model import KIND_OF, Model, Resolved
from veneer.catalog.permission import is_permitted
from veneer.client import Client
from veneer.dialects import Kind
from veneer.edits import edits_of
from veneer.errors import Error
from veneer.facts import Principal
from veneer.layer import Layer
from veneer.layers._listing import LISTS, LOOK, MODELS, Listing, unknown
from veneer.operations import Body, Endpoint, Operation, endpoint_of
from veneer.prices.book import PriceBook
from veneer.prices.credits import Credits
from veneer.wire import splice
from veneer.wiring import chain

Shown = Literal["upstream", "requested", "resolved"]

# Calls of these may leave the model to the upstream.
UNNAMED = frozenset(["moderations", "images.generations"])

ANY = Model(id="*", listed=False)

NO_MODEL = Error(
    Kind.MISSING_PARAMETER,
    "You must provide a model parameter.",
    param="model",
    suggestion=LOOK,
)
UNREAD = Error(
    Kind.PERMISSION,
    "Which models this operation uses is not read here, so a key that is held to some of them "
    "cannot ask for it.",
)


class ModelsMiddleware(Layer):
    """Finds the model of each call by its name, and refuses what it cannot do.

    `models` are those that there are; with `discover`, those that the app below lists count, too:
    it is asked every `refresh` seconds. With neither, any name is a model's: then only callers are
    held to theirs, who see the app's list cut to these. `default` is the name of calls that name
    none.

    `show` is the name that answers have: what the `upstream` says, or the one that was `requested`,
    or the one that it `resolved` to. `GET /models` is answered here, and the other lists that the
    dialect has, with `prices` where it shows them; `credits` is what a credit is worth.
    """

    writes = (Call, Resolved)
    enforces = ("models",)

    def __init__(  # noqa: PLR0913 - each is a setting with a name, and most have a default
        self,
        app: ASGIApp,
        *,
        models: Sequence[Model] = (),
        default: str | None = None,
        discover: bool = False,
        refresh: float = DEFAULT_REFRESH,
        prices: PriceBook | None = None,
        credits: Credits | None = None,  # noqa: A002 - the option's name
        show: Shown = "requested",
        max_body: int = MAX_BODY,
        provides: Iterable[type] = (),
    ) -> None:
        super().__init__(app, provides=provides)
        *_, inner = chain(app)
        self._any = not models and not discover
        self._discovers = discover
        self._discovery = Discovery(asking(inner), (ANY,) if self._any else models, refresh=refresh)
        self._default = default
        if default is not None and not discover and not self._discovery.catalog.find(default):
            raise ValueError(f"The default model {default!r} is none of those that there are.")
        self._listing = Listing(prices=prices, credits_=credits or Credits())
        self._show = show
        self._max_body = max_body

    def lifespan(self) -> AbstractAsyncContextManager[object]:
        """Return the context in which the app below is asked for its models."""
        return self._discovery.lifespan() if self._discovers else nullcontext()

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a call on under its model's own name, or refuse it."""
        known = scope[facts.SCOPE_KEY]
        endpoint = known.get(Endpoint) or endpoint_of(scope)
        if endpoint is not None and endpoint.operation.name in LISTS:
            await self._list(endpoint, scope, receive, send)
            return
        if endpoint is None or not is_read(endpoint.operation):
            held = endpoint is not None and is_held(known.get(Principal))
            await (UNREAD if held else self.app)(scope, receive, send)
            return
        call = known.get(Call) or await read_call(scope, receive, max_body=self._max_body)
        found = call if isinstance(call, Error) else await self._resolve(scope, call)
        if isinstance(found, Error):
            await found(scope, receive, send)
            return
        await self.app(found, receive, send)

    async def _list(self, endpoint: Endpoint, scope: Scope, receive: Receive, send: Send) -> None:
        if not self._listing.has(endpoint, scope):
            await self.app(scope, receive, send)
            return
        principal = facts.get(scope, Principal)
        if self._any:
            if endpoint.operation.name == MODELS and not is_held(principal):
                # The app's own list may say more than we would.
                await self.app(scope, receive, send)
                return
            await self._discovery.refreshed()
        await self._listing.answer(self._discovery.catalog, endpoint, scope, receive, send)

    async def _resolve(self, scope: Scope, call: Call) -> Scope | Error:
        """Return the scope of the call with its model's own name, or the error that it gets."""
        known = scope[facts.SCOPE_KEY]
        principal = known.get(Principal)
        name = call.model or self._default
        if name is None:
            held = is_held(principal)
            return NO_MODEL if held or call.operation.name not in UNNAMED else scope
        model = self._discovery.catalog.find(name)
        if model is None and self._discovers:
            model = await self._discovery.find(name)
        if model is None or not is_permitted(principal, name, model):
            return unknown(name)
        client: Client = known[Client]
        refused = refusal(model, call, client.kept) or self._refusal(principal, client.kept)
        if refused is not None:
            return refused
        facts.put(scope, Resolved(name, model))
        self._name(scope, name, model)
        if model.id == call.model:
            return scope
        facts.put(scope, msgspec.structs.replace(call, model=model.id))
        return client.replace_body(scope, renamed(client.kept, model.id, named=bool(call.model)))

    def _refusal(self, principal: Principal | None, body: bytes) -> Error | None:
        """Return the error of a call that has another model do something that may not."""
        for name in hidden_models(body):
            model = self._discovery.catalog.find(name)
            # Its name goes on as it is: an alias would mean nothing to the upstream.
            if model is None or model.id != name or not is_permitted(principal, name, model):
                return unknown(name)
        return None

    def _name(self, scope: Scope, requested: str, model: Model) -> None:
        """Say which name the answer shows."""
        if self._show == "resolved":
            edits_of(scope).show_model(model.id)
        elif self._show == "requested" and requested != model.id:
            edits_of(scope).show_model(requested)


def renamed(body: bytes, name: str, *, named: bool) -> bytes:
    """Return the body of a call with another model; `named` is whether it names one."""
    value = msgspec.json.encode(name)
    # An escape may hide another of the name; a call that has been read names it once.
    span = splice.only(body, b'"model"') if named and b"\\u" not in body else None
    if span is None:
        return splice.set_member(body, (), "model", value)
    return body[: span[0]] + value + body[span[1] :]


def is_read(operation: Operation) -> bool:
    """Whether the model of an operation's calls is read; uploads and batches may name any."""
    return operation.name in KIND_OF and operation.body is Body.JSON


def is_held(principal: Principal | None) -> bool:
    """Whether a caller may use some models only."""
    return principal is not None and principal.models is not None
