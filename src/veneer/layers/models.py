"""Models: which ones there are, under which names, and who may call them with what.

Answers 404 for a model that there is not, or not for this caller, and 400 for what a model cannot
do. Reads `Principal`, if there is one; writes `Resolved`, and `Call` anew with the name that the
upstream knows, and `Unreached` for an upload that cannot be read to its end. Stands below what
replays answers, so that a replay goes by the request as its client wrote it, and above all that
counts by the model.
"""

from collections.abc import Awaitable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Literal, get_args

import msgspec
from starlette.types import ASGIApp, Receive, Scope, Send

from veneer import facts
from veneer.call import MAX_BODY, Call, read_call
from veneer.catalog.asking import asking
from veneer.catalog.discovery import DEFAULT_REFRESH, Discovery
from veneer.catalog.guards import refusal
from veneer.catalog.hidden import hidden_models
from veneer.catalog.model import KIND_OF, Model, Resolved
from veneer.catalog.permission import is_held, is_permitted
from veneer.client import Client
from veneer.dialects import Kind
from veneer.errors import Error
from veneer.facts import Principal, Unreached
from veneer.layer import Layer
from veneer.layers._alternatives import Asked, alternatives, preferred
from veneer.layers._dropped import without_unsupported
from veneer.layers._form import Form, read_upload
from veneer.layers._listing import LISTS, LOOK, MODELS, Listing, unknown
from veneer.layers._shown import Shown, show_name
from veneer.operations import Body, Endpoint, Operation, endpoint_of
from veneer.prices.book import PriceBook
from veneer.prices.credits import Credits
from veneer.routing.preferences import Preferences
from veneer.wire.naming import renamed
from veneer.wiring import chain

Unsupported = Literal["refuse", "drop"]

# Bytes of an upload that are held until its model has come.
MAX_FORM = 32 * 1024 * 1024

# Calls of these may leave the model to the upstream.
UNNAMED = frozenset(["moderations", "images.generations", "images.edits", "images.variations"])

_JSON = Body.JSON

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

    Of several models that a call names in its `gateway`, those that cannot do what it asks for are
    left out, unless none can.

    `show` is the name that answers have: what the `upstream` says, or the one that was `requested`,
    or the one that it `resolved` to. Of several, and where a router's target has another name for
    it, `requested` is the catalog's name of the one that answers. `GET /models` is answered
    here, and the other lists that the dialect has, with `prices` where it shows them; `credits` is
    what a credit is worth.

    Members that a model does not know are left out of its calls. `unsupported` is what becomes of
    those that ask for what it cannot do, and that a call can be made without: it is refused, or
    they are left out, too (`drop`). Clients whose dialect tells how a call was routed are told.

    Of an upload, as much is held as comes before its model, `max_form` bytes at most; then it goes
    on as it comes. `max_body` bounds a JSON body.
    """

    writes = (Call, Resolved, Unreached)
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
        unsupported: Unsupported = "refuse",
        max_body: int = MAX_BODY,
        max_form: int = MAX_FORM,
        provides: Iterable[type] = (),
    ) -> None:
        if unsupported not in get_args(Unsupported):
            raise ValueError(f"unsupported is {unsupported!r}: say 'refuse' or 'drop'.")
        if max_form <= 0:
            raise ValueError(
                f"max_form is {max_form}; give the bytes that may come before a model."
            )
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
        self._drops = unsupported == "drop"
        self._max_body = max_body
        self._max_form = max_form

    def lifespan(self) -> AbstractAsyncContextManager[object]:
        """Return the context in which the app below is asked for its models."""
        return self._discovery.lifespan() if self._discovers else nullcontext()

    def handle(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Pass a call on under its model's own name, or refuse it."""
        known = scope[facts.SCOPE_KEY]
        endpoint = known.get(Endpoint) or endpoint_of(scope)
        name = None if endpoint is None else endpoint.operation.name
        if endpoint is None or name not in KIND_OF:
            if endpoint is not None and name in LISTS:
                return self._list(endpoint, scope, receive, send)
            held = endpoint is not None and is_held(known.get(Principal))
            return (UNREAD if held else self.below)(scope, receive, send)
        call = known.get(Call)
        if call is None or self._discovers or endpoint.operation.body is not _JSON:
            return self._read(endpoint.operation, scope, receive, send)
        return self._pass(call, None, scope, receive, send)

    async def _read(self, operation: Operation, scope: Scope, receive: Receive, send: Send) -> None:
        """Read a call, and find out which models there are."""
        call: Call | Form | Error
        if operation.body is _JSON:
            call = await read_call(scope, receive, max_body=self._max_body)
        else:
            call = await read_upload(
                operation, scope, receive, most=self._max_form, max_body=self._max_body
            )
        if isinstance(call, Error):
            await call(scope, receive, send)
            return
        form, call = (call, call.call) if isinstance(call, Form) else (None, call)
        name = call.model or self._default
        if self._discovers and name is not None:
            for each in preferred(scope) or (name,):
                await self._discovery.find(each)
        await self._pass(call, form, scope, receive, send)

    def _pass(
        self, call: Call, form: Form | None, scope: Scope, receive: Receive, send: Send
    ) -> Awaitable[None]:
        several = preferred(scope)
        asked = self._fitting(scope, call, several) if several else call.model or self._default
        # Not isinstance: the classes of structs take long to say no.
        found = asked if type(asked) is Error else self._resolve(scope, call, asked, form)
        if type(found) is Error:
            return found(scope, receive, send)
        if form is None:
            return self.below(found, receive, send)
        return form.pass_on(self.below, found, receive, send)

    async def _list(self, endpoint: Endpoint, scope: Scope, receive: Receive, send: Send) -> None:
        if not self._listing.has(endpoint, scope):
            await self.below(scope, receive, send)
            return
        principal = facts.get(scope, Principal)
        if self._any:
            if endpoint.operation.name == MODELS and not is_held(principal):
                # The app's own list may say more than we would.
                await self.below(scope, receive, send)
                return
            await self._discovery.refreshed()
        await self._listing.answer(self._discovery.catalog, endpoint, scope, receive, send)

    def _fitting(self, scope: Scope, call: Call, names: Sequence[str]) -> str | Error:
        """Return the first of some models that may answer a call, and say which others may."""
        known = scope[facts.SCOPE_KEY]
        fitting = alternatives(
            self._discovery.catalog,
            known.get(Principal),
            Asked(call, known[Client].kept, drops=self._drops),
            names,
        )
        if isinstance(fitting, Error):
            return fitting
        known[Preferences] = msgspec.structs.replace(known[Preferences], models=fitting.ids)
        return fitting.names[0]

    def _resolve(
        self, scope: Scope, call: Call, name: str | None, form: Form | None
    ) -> Scope | Error:
        """Return the scope of the call with its model's own name, or the error that it gets."""
        known = scope[facts.SCOPE_KEY]
        principal = known.get(Principal)
        if name is None:
            held = is_held(principal)
            return NO_MODEL if held or call.operation.name not in UNNAMED else scope
        model = self._discovery.catalog.find(name)
        if model is None or not is_permitted(principal, name, model):
            return unknown(name)
        client: Client = known[Client]
        # A form has none of the members that guards look at.
        kept = client.kept if form is None else b"{}"
        body = kept
        if self._drops or model.unsupported_parameters:
            left = without_unsupported(scope, model, kept, drops=self._drops)
            if isinstance(left, Error):
                return left
            body = left
        refused = refusal(model, call, body) or (
            self._refusal(principal, hidden) if (hidden := hidden_models(body)) else None
        )
        if refused is not None:
            return refused
        known[Resolved] = Resolved(name, model)
        if self._show != "requested" or name != model.id:
            show_name(scope, self._show, name, model)
        if form is not None or model.id != call.model:
            known[Call] = msgspec.structs.replace(call, model=model.id)
        if form is not None:
            return form.renamed(scope, model.id)
        if model.id != call.model:
            body = renamed(body, model.id, named=bool(call.model))
        return scope if body is kept else client.replace_body(scope, body)

    def _refusal(self, principal: Principal | None, names: Iterable[str]) -> Error | None:
        """Return the error of a call that has other models do something that may not."""
        for name in names:
            model = self._discovery.catalog.find(name)
            # Its name goes on as it is: an alias would mean nothing to the upstream.
            if model is None or model.id != name or not is_permitted(principal, name, model):
                return unknown(name)
        return None
