"""Lists of models: who is shown which, in whose form, at what prices."""

from typing import Any

import msgspec
import pytest
from starlette.types import ASGIApp

from tests.asgi import Exchange, Responder, http_scope
from tests.layers.limits import Known
from tests.lint import Lint
from veneer.catalog.model import Model, Provider
from veneer.dialects.auriko import auriko
from veneer.dialects.aurous import aurous
from veneer.facts import Principal
from veneer.layers.headers import HeadersMiddleware
from veneer.layers.models import ModelsMiddleware
from veneer.prices.book import PriceBook
from veneer.prices.money import DOLLAR
from veneer.prices.price import Price

LLAMA = Model(
    id="llama-3",
    kind="chat",
    context_window=8000,
    output_cap=4000,
    capabilities=frozenset({"tools", "reasoning"}),
    aliases=("gpt-4o",),
    owned_by="meta",
    created=7,
)
VECTORS = Model(id="vectors", kind="embedding", dimensions=(256,), owned_by="us")
MODELS = (LLAMA, VECTORS)
HELD = Principal(id="held", models=("llama-3",))


def models(app: ASGIApp, **options: Any) -> ASGIApp:
    """Return the layer between two linters."""
    return Lint(ModelsMiddleware(Lint(app), models=MODELS, **options))


async def listed(layer: ASGIApp, path: str = "/v1/models", query: bytes = b"") -> Exchange:
    return await Exchange({**http_scope("GET", path), "query_string": query}).run(layer)


async def test_models_are_listed_with_their_aliases() -> None:
    exchange = await listed(models(Responder(b"{}")))
    document = exchange.json()
    assert document["object"] == "list"
    assert [row["id"] for row in document["data"]] == ["llama-3", "gpt-4o", "vectors"]
    assert document["data"][0] == {
        "id": "llama-3",
        "object": "model",
        "created": 7,
        "owned_by": "meta",
    }


async def test_a_caller_sees_the_models_that_it_may_use() -> None:
    exchange = await listed(Known(models(Responder(b"{}")), HELD))
    assert [row["id"] for row in exchange.json()["data"]] == ["llama-3"]


async def test_one_model_is_shown_by_any_of_its_names() -> None:
    layer = models(Responder(b"{}"))
    assert (await listed(layer, "/v1/models/gpt-4o")).json()["id"] == "gpt-4o"
    missing = await listed(layer, "/v1/models/nope")
    assert (missing.status, missing.json()["error"]["code"]) == (404, "model_not_found")
    assert (await listed(Known(layer, HELD), "/v1/models/gpt-4o")).status == 404


async def test_lists_can_be_of_one_endpoint() -> None:
    layer = models(Responder(b"{}"))
    exchange = await listed(layer, query=b"endpoint=embeddings")
    assert [row["id"] for row in exchange.json()["data"]] == ["vectors"]


PRICES = PriceBook(
    [
        ("llama-3", Price(input=125 * DOLLAR // 1000, output=DOLLAR)),
        ("fast/llama-3", Price(input=DOLLAR, output=2 * DOLLAR)),
        # A pattern is no price of a provider's.
        ("*llama-3", Price(input=9 * DOLLAR, output=9 * DOLLAR)),
        ("vectors", Price(input=DOLLAR, input_image=2 * DOLLAR)),
    ]
)


async def test_aurous_lists_kinds_abilities_and_rates_in_credits() -> None:
    layer = HeadersMiddleware(models(Responder(b"{}"), prices=PRICES), dialect=aurous("Acme"))
    llama, _, vectors = (await listed(layer)).json()["data"]
    assert llama["kind"] == "chat"
    pricing = {"input": {"credits_per_M": 12.5}, "output": {"credits_per_M": 100}}
    assert llama["chat_pricing"] == pricing
    assert llama["embedding_pricing"] is None
    assert llama["acme_metadata"] == {
        "kind": "chat",
        "context_window": 8000,
        "dimensions": None,
        "capabilities": ["reasoning_effort", "tools"],
        "max_output_tokens_hard_cap": 4000,
        "chat_pricing": pricing,
        "embedding_pricing": None,
    }
    assert vectors["embedding_pricing"] == {
        "text": {"credits_per_M": 100},
        "visual": {"credits_per_M": 200},
    }


async def test_auriko_lists_endpoints_and_prices_in_dollars() -> None:
    layer = HeadersMiddleware(models(Responder(b"{}"), prices=PRICES), dialect=auriko())
    document = (await listed(layer, query=b"endpoint=responses")).json()
    assert document["catalog_age_seconds"] == 0
    assert len(document["catalog_version"]) == 12
    llama, _ = document["data"]
    assert llama["supported_endpoints"] == ["chat_completions", "responses"]
    assert llama["context_window"] == 8000
    assert "providers" not in llama


PROVIDERS = (Provider("fast", "zdr"), Provider("cheap"))


@pytest.mark.parametrize(
    ("prices", "providers"),
    [
        (
            PRICES,
            [
                {"name": "fast", "input_price": 1, "output_price": 2, "data_policy": "zdr"},
                {"name": "cheap", "input_price": 0.125, "output_price": 1},
            ],
        ),
        (None, None),
    ],
    ids=["priced", "unpriced"],
)
async def test_providers_are_named_with_their_own_prices_or_else_the_models(
    prices: PriceBook | None, providers: Any
) -> None:
    served = msgspec.structs.replace(LLAMA, providers=PROVIDERS)
    layer = ModelsMiddleware(Responder(b"{}"), models=[served], prices=prices)
    document = (await listed(HeadersMiddleware(layer, dialect=auriko()))).json()
    assert [row.get("providers") for row in document["data"]] == [providers, providers]


PUBLIC = ("/v1/directory/models", "/v1/registry/models", "/v1/registry/providers")


@pytest.mark.parametrize("path", [*PUBLIC, "/v1/pricing"])
async def test_a_list_that_the_dialect_has_not_is_the_apps_own(path: str) -> None:
    layer = ModelsMiddleware(Lint(Responder(b"theirs")), models=MODELS)
    assert (await listed(layer, path)).body == b"theirs"
    other = aurous() if path in PUBLIC else auriko()
    assert (await listed(HeadersMiddleware(layer, dialect=other), path)).body == b"theirs"


async def test_aurous_has_a_price_list_of_the_models_that_a_caller_may_use() -> None:
    free = Model(id="unpriced", kind="chat")
    layer = ModelsMiddleware(Responder(b"{}"), models=[*MODELS, free], prices=PRICES)
    spoken = HeadersMiddleware(layer, dialect=aurous())
    document = (await listed(spoken, "/v1/pricing")).json()
    assert (document["object"], document["currency"]) == ("list", "credit")
    assert [row["id"] for row in document["data"]] == ["llama-3", "gpt-4o", "vectors"]
    assert document["data"][0] == {
        "id": "llama-3",
        "kind": "chat",
        "chat_pricing": {"input": {"credits_per_M": 12.5}, "output": {"credits_per_M": 100}},
        "embedding_pricing": None,
        "pricing_version": PRICES.version,
    }
    assert document["data"][2]["chat_pricing"] is None
    held = HeadersMiddleware(Known(layer, HELD), dialect=aurous())
    document = (await listed(held, "/v1/pricing")).json()
    assert [row["id"] for row in document["data"]] == ["llama-3"]


async def test_without_prices_the_price_list_is_empty() -> None:
    layer = HeadersMiddleware(models(Responder(b"{}")), dialect=aurous())
    assert (await listed(layer, "/v1/pricing")).json()["data"] == []
