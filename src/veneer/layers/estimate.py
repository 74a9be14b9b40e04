"""Estimate: tells what an embedding would cost, without making it.

Answers calls of `embeddings.estimate` where the dialect has that: with a document, or with the
error that the embedding would get. Everything else passes. Uses `Endpoint` and `Resolved`, if they
are there, and writes `Call`. Stands right below what finds models, above all that counts tokens or
money: an estimate is a request and nothing else, and the app below never hears of it.
"""

import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Literal

from starlette.types import ASGIApp, Receive, Scope, Send

from veneer import facts
from veneer.answers import send_document
from veneer.budgets.refusal import NOT_PRICED
from veneer.call import Call, read_call
from veneer.catalog.model import Provider, Resolved
from veneer.client import client_of
from veneer.dialects import OPENAI, Dialect, Kind
from veneer.dialects.dialect import ESTIMATE
from veneer.dialects.receipts import Estimated
from veneer.embeddings.counting import Tokens, tokens_of
from veneer.embeddings.inputs import TOO_LONG, Caps, TooManyItemsError
from veneer.embeddings.planning import MAX_ITEMS, Batches, Planning
from veneer.errors import Error
from veneer.facts import Cost, Usage
from veneer.layer import Layer
from veneer.operations import Endpoint, endpoint_of
from veneer.prices.book import PriceBook
from veneer.prices.costing import cost_of
from veneer.prices.credits import Credits
from veneer.quotas.media import MediaTokens

Render = Callable[[Estimated, Credits], bytes]

NO_MODEL = Error(Kind.MISSING_PARAMETER, "You must provide a model parameter.", param="model")
NO_INPUT = Error(Kind.MISSING_PARAMETER, "You must provide an input parameter.", param="input")
ODD = Error(
    Kind.INVALID_TYPE,
    "'input' must be a text, a list of texts or tokens, or content parts.",
    param="input",
)


class EstimateMiddleware(Layer):
    """Answers what embeddings would cost at `prices`; without these they cost nothing.

    A model that has several providers is taken at the dearest price that one of them has for it.
    `credits` and `unpriced` are those of the `CostMiddleware` below, and `batches`,
    `allow_singleton_list`, `max_items` and `caps` those of the `EmbeddingsMiddleware`, so that what
    it would refuse is refused here. `media` says what images are taken to cost, in tokens. `clock`
    gives seconds since the epoch.

    Raises ValueError for options that cannot be.
    """

    writes = (Call,)

    def __init__(  # noqa: PLR0913 - each is a setting with a name and a default
        self,
        app: ASGIApp,
        *,
        prices: PriceBook | None = None,
        credits: Credits | None = None,  # noqa: A002 - the option's name
        unpriced: Literal["refuse", "free"] = "refuse",
        batches: Batches = "refuse",
        allow_singleton_list: bool = False,
        max_items: int = MAX_ITEMS,
        caps: Caps | None = None,
        media: MediaTokens | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if unpriced not in ("refuse", "free"):
            raise ValueError(f"unpriced is {unpriced!r}: say 'refuse' or 'free'.")
        super().__init__(app)
        self._planning = Planning(
            batches=batches,
            allow_singleton_list=allow_singleton_list,
            max_items=max_items,
            caps=caps,
        )
        self._prices = prices
        self._credits = Credits() if credits is None else credits
        self._free = unpriced == "free"
        self._media = media or MediaTokens()
        self._clock = clock

    def handle(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Answer an estimate; pass everything else on."""
        known = scope[facts.SCOPE_KEY]
        endpoint = known.get(Endpoint) or endpoint_of(scope)
        if endpoint is None or endpoint.operation.name != ESTIMATE or scope["method"] != "POST":
            return self.below(scope, receive, send)
        render = (known.get(Dialect) or OPENAI).estimate
        if render is None:
            return self.below(scope, receive, send)
        return self._answer(render, scope, receive, send)

    async def _answer(self, render: Render, scope: Scope, receive: Receive, send: Send) -> None:
        call = await read_call(scope, receive)
        found = call if isinstance(call, Error) else self._estimate(scope, receive, call)
        if isinstance(found, Error):
            await found(scope, receive, send)
            return
        await send_document(scope, send, render(found, self._credits))

    def _estimate(self, scope: Scope, receive: Receive, call: Call) -> Estimated | Error:
        if call.model is None:
            return NO_MODEL
        resolved = facts.get(scope, Resolved)
        model = None if resolved is None else resolved.model
        plan = self._planning.plan(model, client_of(scope, receive).kept)
        if isinstance(plan, Error):
            return plan
        tokens = self._tokens(plan.given)
        if isinstance(tokens, Error):
            return tokens
        cost = self._cost(call.model, () if model is None else model.providers, tokens)
        if cost is None:
            return NOT_PRICED
        return Estimated(text=tokens.text, image=tokens.image, video=tokens.video, cost=cost)

    def _tokens(self, given: bytes) -> Tokens | Error:
        if not given:
            return NO_INPUT
        try:
            return tokens_of(given, self._media)
        except TooManyItemsError:
            return TOO_LONG
        except ValueError:
            return ODD

    def _cost(self, model: str, providers: Iterable[Provider], tokens: Tokens) -> Cost | None:
        """Return the cost of an input; None where the model has no price, and is not free."""
        prices = self._prices
        if prices is None:
            return Cost(model=model)
        usage = Usage(
            input_tokens=tokens.total, total_tokens=tokens.total, input_image_tokens=tokens.image
        )
        names = dict.fromkeys([model, *(prices.name_at(each.name, model) for each in providers)])
        at = self._clock()
        found = [
            cost_of(usage, price, model=model, version=prices.version)
            for name in names
            if (price := prices.price(name, at=at, input_tokens=tokens.total)) is not None
            and (price.has_tokens or price.request is not None)
        ]
        free = Cost(model=model) if self._free else None
        return max(found, key=lambda cost: cost.total, default=free)
