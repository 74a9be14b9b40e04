"""Estimates of embeddings, which cost nothing and ask nobody."""

import json
from typing import Any

import pytest
from starlette.types import ASGIApp

from tests.asgi import Exchange, Responder, http_scope, json_request
from tests.lint import Lint
from veneer.catalog.model import Model, Provider
from veneer.dialects import OPENAI, Dialect
from veneer.dialects.aurous import aurous
from veneer.embeddings.inputs import MAX_COMMAS, Caps
from veneer.layers.estimate import EstimateMiddleware
from veneer.layers.headers import HeadersMiddleware
from veneer.layers.models import ModelsMiddleware
from veneer.prices.book import PriceBook
from veneer.prices.credits import Credits
from veneer.prices.money import DOLLAR
from veneer.prices.price import Price
from veneer.quotas.media import MediaTokens

PATH = "/v1/embeddings/estimate"
MODELS = (
    Model(
        id="alone",
        kind="embedding",
        aliases=("short",),
        dimensions=(256,),
        capabilities=frozenset({"vision"}),
    ),
    Model(id="batches", kind="embedding", capabilities=frozenset({"embeddings_batch", "vision"})),
    Model(id="chat", kind="chat"),
    Model(id="unpriced", kind="embedding"),
    Model(id="images", kind="embedding"),
    Model(id="offered", kind="embedding", providers=(Provider("cheap"), Provider("dear"))),
)
PRICES = PriceBook(
    [
        ("alone", Price(input=100 * DOLLAR, input_image=200 * DOLLAR, request=DOLLAR)),
        ("batches", Price(input=100 * DOLLAR)),
        ("images", Price(image=DOLLAR)),
        ("cheap/offered", Price(input=100 * DOLLAR)),
        ("dear/offered", Price(input=300 * DOLLAR)),
    ]
)
IMAGE = {"type": "image_url", "image_url": {"url": "http://x"}}
TEXT = {"type": "text", "text": "abcd" * 10}


def layer(app: ASGIApp, dialect: Dialect | None = None, **options: Any) -> ASGIApp:
    options = {"prices": PRICES, "media": MediaTokens(image_high=1000), **options}
    estimate = Lint(EstimateMiddleware(Lint(app), **options))
    return HeadersMiddleware(
        ModelsMiddleware(estimate, models=MODELS), dialect=dialect or aurous("Acme")
    )


def asked(given: Any, model: str = "alone", **more: Any) -> Exchange:
    return json_request({"model": model, "input": given, **more}, PATH)


async def test_an_estimate_is_a_receipt_before_the_call() -> None:
    app = Responder(b"{}")
    exchange = await asked([TEXT, IMAGE], "short").run(layer(app))
    assert exchange.status == 200
    # A credit is a cent: ten tokens of text, a thousand of an image, and the request.
    assert exchange.json() == {
        "estimated": True,
        "tokens": {"text": 10, "image": 1000, "video": 0, "total": 1010},
        "credits_estimated": 120.1,
        "breakdown": {
            "input": {"text": 0.1, "visual": 20, "video": 0},
            "requests_credits": 100,
            "model": "alone",
        },
    }
    assert app.scopes == []
    assert dict(exchange.headers)[b"cache-control"] == b"no-store"


async def test_the_dearest_of_those_who_serve_a_model_counts() -> None:
    document = (await asked("abcd" * 10, "offered").run(layer(Responder()))).json()
    assert document["credits_estimated"] == 0.3
    assert document["breakdown"]["model"] == "offered"


async def test_credits_are_worth_what_they_are() -> None:
    worth = Credits(usd_per_credit=DOLLAR)
    exchange = await asked(["abcd"], "batches").run(layer(Responder(), credits=worth))
    assert b'"credits_estimated":0.0001,' in exchange.body


@pytest.mark.parametrize(
    ("body", "status", "code", "param"),
    [
        ({"model": "nope", "input": "a"}, 404, "model_not_found", "model"),
        ({"model": "chat", "input": "a"}, 400, "model_wrong_kind", "model"),
        ({"input": "a"}, 400, "missing_field", "model"),
        ({"model": "alone"}, 400, "missing_field", "input"),
        ({"model": "alone", "input": 5}, 400, "invalid_format", "input"),
        ({"model": "alone", "input": None}, 400, "invalid_format", "input"),
        ({"model": "alone", "input": ["a"]}, 400, "embeddings_batch_not_supported", "input"),
        (
            {"model": "alone", "input": "a", "dimensions": 3},
            400,
            "embeddings_unsupported_dimensions",
            "dimensions",
        ),
        (
            {"model": "alone", "input": [IMAGE] * 3},
            400,
            "embeddings_input_too_many_items",
            "input",
        ),
        (
            {"model": "alone", "input": [{"type": "video_url", "video_url": "http://x"}]},
            400,
            "embeddings_video_unsupported",
            "input[0].type",
        ),
        ({"model": "unpriced", "input": "a"}, 400, "model_not_priced", "model"),
        ({"model": "images", "input": "a"}, 400, "model_not_priced", "model"),
        (
            {"model": "batches", "input": [1] * (MAX_COMMAS + 2)},
            400,
            "embeddings_input_too_large",
            "input",
        ),
    ],
)
async def test_what_the_embedding_would_be_refused_for_the_estimate_is(
    body: dict[str, Any], status: int, code: str, param: str
) -> None:
    app = Responder(b"{}")
    exchange = await json_request(body, PATH).run(layer(app, caps=Caps(images=2)))
    error = exchange.json()["error"]
    assert (exchange.status, error["code"], error["param"]) == (status, code, param)
    assert app.scopes == []


async def test_a_batch_is_estimated_where_it_is_served() -> None:
    fans = layer(Responder(), batches="fan-out")
    for model, served in (("alone", fans), ("batches", layer(Responder()))):
        exchange = await asked(["abcd", "abcde"], model).run(served)
        assert exchange.json()["tokens"]["text"] == 3
    singleton = layer(Responder(), allow_singleton_list=True)
    assert (await asked(["abcd"]).run(singleton)).json()["tokens"]["text"] == 1


@pytest.mark.parametrize("options", [{"prices": None}, {"unpriced": "free"}])
async def test_what_has_no_price_is_free_by_option(options: Any) -> None:
    document = (await asked("abcd", "unpriced").run(layer(Responder(), **options))).json()
    assert (document["tokens"]["total"], document["credits_estimated"]) == (1, 0)
    assert document["breakdown"]["input"] == {"text": 0, "visual": 0, "video": 0}


async def test_without_a_catalog_the_request_names_the_model() -> None:
    layer_ = HeadersMiddleware(EstimateMiddleware(Responder()), dialect=aurous())
    assert (await asked("abcd").run(layer_)).json()["breakdown"]["model"] == "alone"
    exchange = await json_request({"input": "a"}, PATH).run(layer_)
    assert exchange.json()["error"]["param"] == "model"


async def test_all_else_passes() -> None:
    body = {"model": "alone", "input": "abcd"}
    for path in ("/v1/embeddings", "/v1/embeddings/other"):
        app = Responder(b"theirs")
        assert (await json_request(body, path).run(layer(app))).body == b"theirs"
    app = Responder(b"theirs")
    assert (await Exchange(http_scope("GET", PATH), [b""]).run(EstimateMiddleware(app))).status
    assert len(app.scopes) == 1


async def test_a_dialect_without_estimates_leaves_them_to_the_app() -> None:
    app = Responder(b"theirs")
    exchange = await asked("abcd").run(layer(app, OPENAI))
    assert exchange.body == b"theirs"
    assert json.loads(app.bodies[0])["input"] == "abcd"


def test_options_that_cannot_be_are_refused() -> None:
    with pytest.raises(ValueError, match="unpriced is 'maybe'"):
        EstimateMiddleware(Responder(), unpriced="maybe")  # type: ignore[arg-type]  # on purpose
    with pytest.raises(ValueError, match="batches is 'maybe'"):
        EstimateMiddleware(Responder(), batches="maybe")  # type: ignore[arg-type]  # on purpose
