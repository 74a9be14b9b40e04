"""Lists of models, and single ones, for those who ask which there are."""

import time
from collections.abc import Callable
from urllib.parse import parse_qs, unquote

import msgspec
from starlette.types import Receive, Scope, Send

from veneer import facts
from veneer.answers import send_document
from veneer.catalog.catalog import Catalog
from veneer.catalog.model import Model
from veneer.catalog.permission import is_permitted
from veneer.dialects import OPENAI, Dialect, Kind
from veneer.dialects.listings import Listed, Offer, Shelf
from veneer.errors import Error
from veneer.facts import Principal
from veneer.operations import Endpoint
from veneer.prices.book import PriceBook
from veneer.prices.credits import Credits

PREFIX = b"models/"
MODELS = "models"
# The operations that ask for a list.
LISTS = frozenset([MODELS, "pricing", "directory.models", "registry.models", "registry.providers"])
LOOK = "GET /v1/models lists the models that you may use."


class Listing:
    """Answers `GET /models`, and `/models/{name}`, with what the caller may use.

    So it does for the further lists that the dialect has. `prices` are shown where the dialect
    shows prices, and `credits_` is what a credit is worth. `clock` gives seconds since the epoch.
    """

    def __init__(
        self,
        *,
        prices: PriceBook | None,
        credits_: Credits,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._prices = prices
        self._credits = credits_
        self._clock = clock

    @staticmethod
    def has(endpoint: Endpoint, scope: Scope) -> bool:
        """Whether the dialect has the list that is asked for."""
        name = endpoint.operation.name
        return name == MODELS or name in (facts.get(scope, Dialect) or OPENAI).lists

    async def answer(
        self, catalog: Catalog, endpoint: Endpoint, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """Answer with all models, with the one that the path names, or with another list."""
        dialect = facts.get(scope, Dialect) or OPENAI
        principal = facts.get(scope, Principal)
        if endpoint.path.startswith(PREFIX):
            name = unquote(endpoint.path[len(PREFIX) :].decode("ascii"))
            model = catalog.find(name)
            if model is None or not is_permitted(principal, name, model):
                await unknown(name)(scope, receive, send)
                return
            row = dialect.model(self._listed(name, model), self._credits)
            await send_document(scope, send, msgspec.json.encode(row), headers=())
            return
        permitted = [
            self._listed(name, model)
            for name, model in catalog.names()
            if is_permitted(principal, name, model)
        ]
        render = dialect.lists.get(endpoint.operation.name)
        if render is not None:
            body = render(self._shelf(permitted))
        else:
            asked = parse_qs(scope.get("query_string", b"").decode("latin-1")).get("endpoint")
            rows = [
                dialect.model(listed, self._credits)
                for listed in permitted
                if asked is None or asked[-1] in listed.endpoints
            ]
            age = max(0.0, self._clock() - catalog.made) if catalog.made else 0.0
            body = dialect.models(rows, catalog.version, age)
        await send_document(scope, send, body, headers=())

    def _shelf(self, permitted: list[Listed]) -> Shelf:
        version = None if self._prices is None else self._prices.version
        return Shelf(
            models=permitted, credits=self._credits, prices_version=version, at=self._clock()
        )

    def _listed(self, name: str, model: Model) -> Listed:
        prices = self._prices
        if prices is None:
            return Listed(name, model, None, tuple(map(Offer, model.providers)))
        at = self._clock()
        price = prices.price(model.id, at=at)
        offers = tuple(
            Offer(provider, prices.price(prices.name_at(provider.name, model.id), at=at) or price)
            for provider in model.providers
        )
        return Listed(name, model, price, offers)


def unknown(name: str) -> Error:
    """Return the error of a model that is not there, or not for this caller, in OpenAI's words."""
    return Error(
        Kind.MODEL_NOT_FOUND,
        f"The model `{name}` does not exist or you do not have access to it.",
        param="model",
        suggestion=LOOK,
    )
