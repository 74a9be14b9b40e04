"""Embeddings, for models that take no batches and upstreams that know no base64."""

import base64
import json
import struct
from typing import Any

import pytest
from starlette.types import ASGIApp

from tests.asgi import Exchange, Responder, http_scope, json_request
from tests.layers.streams import compact
from tests.lint import Lint
from veneer import facts
from veneer.catalog.model import Model
from veneer.embeddings.inputs import Caps
from veneer.facts import Unreached
from veneer.layers import _encoded
from veneer.layers.embeddings import EmbeddingsMiddleware
from veneer.layers.models import ModelsMiddleware

PATH = "/v1/embeddings"
MODELS = (
    Model(id="alone", kind="embedding", capabilities=frozenset({"vision"})),
    Model(id="batches", kind="embedding", capabilities=frozenset({"embeddings_batch", "vision"})),
    Model(id="unknown", kind="embedding"),
)
FLOATS = [0.5, -1.0, 3.25]


def rows(*vectors: Any) -> bytes:
    data = [
        {"object": "embedding", "index": place, "embedding": vector}
        for place, vector in enumerate(vectors)
    ]
    return compact({"object": "list", "data": data, "model": "m", "usage": {"prompt_tokens": 2}})


def packed(floats: list[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(floats)}f", *floats)).decode()


def embeddings(app: ASGIApp, **options: Any) -> ASGIApp:
    """Return the layer between two linters, below the models."""
    return ModelsMiddleware(Lint(EmbeddingsMiddleware(Lint(app), **options)), models=MODELS)


def asked(given: Any, model: str = "alone", **more: Any) -> Exchange:
    exchange = json_request({"model": model, "input": given, **more}, PATH)
    facts.open_in(exchange.scope)
    return exchange


PARTS = [{"type": "text", "text": "a"}, {"type": "image_url", "image_url": {"url": "http://x"}}]
BATCHES = (["a"], ["a", "b"], [1, 2], [[1], [2]], [[1, 2]], [PARTS, "a"], [True])


@pytest.mark.parametrize("given", BATCHES)
async def test_a_batch_is_refused_for_a_model_that_takes_none(given: Any) -> None:
    app = Responder(rows(FLOATS))
    exchange = await asked(given).run(embeddings(app))
    error = exchange.json()["error"]
    assert (exchange.status, error["code"]) == (400, "embeddings_batch_not_supported")
    assert error["param"] == "input"
    assert app.bodies == []
    assert facts.get(exchange.scope, Unreached) is not None


@pytest.mark.parametrize("given", BATCHES)
@pytest.mark.parametrize(
    ("model", "options"), [("batches", {}), ("unknown", {}), ("alone", {"batches": "pass"})]
)
async def test_a_batch_passes_where_it_may_be_taken(given: Any, model: str, options: Any) -> None:
    app = Responder(rows(FLOATS))
    exchange = await asked(given, model).run(embeddings(app, **options))
    assert exchange.body == rows(FLOATS)
    assert json.loads(app.bodies[0])["input"] == given


async def test_without_a_catalog_nothing_is_known_of_models() -> None:
    app = Responder(rows(FLOATS))
    assert (await asked(["a", "b"]).run(EmbeddingsMiddleware(app))).status == 200


@pytest.mark.parametrize("given", ["one text", PARTS, None, {"odd": 1}])
async def test_one_input_passes_as_it_came(given: Any) -> None:
    app = Responder(rows(FLOATS))
    exchange = await asked(given).run(embeddings(app))
    assert exchange.body == rows(FLOATS)
    assert json.loads(app.bodies[0])["input"] == given


@pytest.mark.parametrize("batches", ["refuse", "fan-out"])
async def test_no_input_at_all_is_refused(batches: str) -> None:
    exchange = await asked([]).run(embeddings(Responder(), batches=batches))
    assert (exchange.status, exchange.json()["error"]["param"]) == (400, "input")


@pytest.mark.parametrize(("given", "gets"), [(["hi"], "hi"), ([PARTS], PARTS)])
async def test_a_list_of_one_is_that_one_where_it_is_allowed(given: Any, gets: Any) -> None:
    app = Responder(rows(FLOATS))
    exchange = await asked(given).run(embeddings(app, allow_singleton_list=True))
    assert exchange.status == 200
    assert json.loads(app.bodies[0])["input"] == gets


@pytest.mark.parametrize("given", [["a", "b"], [1], [[1]], [["a"]]])
async def test_other_lists_are_refused_all_the_same(given: Any) -> None:
    exchange = await asked(given).run(embeddings(Responder(), allow_singleton_list=True))
    assert exchange.json()["error"]["code"] == "embeddings_batch_not_supported"


async def test_only_the_input_changes() -> None:
    app = Responder(rows(FLOATS))
    body = b'{ "model":"alone","input" : [ "hi" ] , "x":1.0}'
    layer = embeddings(app, allow_singleton_list=True)
    await Exchange(http_scope(path=PATH), [body]).run(layer)
    assert app.bodies == [b'{ "model":"alone","input" : "hi" , "x":1.0}']


async def test_content_parts_have_caps() -> None:
    layer = embeddings(Responder(rows(FLOATS)), caps=Caps(parts=1))
    exchange = await asked(PARTS, "unknown").run(layer)
    assert (exchange.status, exchange.json()["error"]["param"]) == (400, "input")


@pytest.mark.parametrize(
    "body",
    [
        b'{"model":"alone","input":"a","encoding_format":"float","encoding_format":"base64"}',
        b'{"model":"alone","input":["a"],"input":"b"}',
        b"{",
    ],
)
async def test_what_cannot_be_read_in_one_way_is_refused(body: bytes) -> None:
    exchange = await Exchange(http_scope(path=PATH), [body]).run(embeddings(Responder()))
    assert exchange.status == 400
    direct = EmbeddingsMiddleware(Responder())
    assert (await Exchange(http_scope(path=PATH), [body]).run(direct)).status == 400


async def test_a_body_that_cannot_be_walked_is_refused() -> None:
    more = {f"m{number}": "input" for number in range(1001)}
    exchange = await asked("input", **more).run(EmbeddingsMiddleware(Responder()))
    assert exchange.status == 400


async def test_other_operations_are_none_of_its_business() -> None:
    app = Responder(b"{}")
    exchange = await json_request({"model": "m", "input": []}, "/v1/moderations").run(
        EmbeddingsMiddleware(app)
    )
    assert exchange.status == 200


# Base64.


async def test_floats_are_rewritten_for_who_asked_for_base64() -> None:
    text = rows(FLOATS, FLOATS[::-1])
    app = Responder(text[:50], text[50:], headers=[(b"etag", b'"x"')])
    exchange = await asked("a", encoding_format="base64").run(embeddings(app))
    vectors = [row["embedding"] for row in exchange.json()["data"]]
    assert vectors == [packed(FLOATS), packed(FLOATS[::-1])]
    assert exchange.header("content-length") == str(len(exchange.body))
    assert exchange.header("etag") is None
    assert exchange.json()["usage"] == {"prompt_tokens": 2}
    assert json.loads(app.bodies[0])["encoding_format"] == "base64"
    assert dict(app.scopes[0]["headers"])[b"accept-encoding"] == b"identity"


async def test_base64_of_the_upstream_passes_at_once() -> None:
    text = rows(packed(FLOATS))
    app = Responder(text[:20], text[20:90], text[90:], headers=[(b"etag", b'"x"')])
    exchange = await asked("a", encoding_format="base64").run(embeddings(app))
    assert exchange.body == text
    assert exchange.header("etag") == '"x"'
    assert len(exchange.messages) == 3


@pytest.mark.parametrize("wanted", ["float", None, "hex"])
async def test_who_asks_for_floats_gets_what_comes(wanted: Any) -> None:
    app = Responder(rows(FLOATS))
    layer = embeddings(app, encoding="local")
    exchange = await asked("a", encoding_format=wanted).run(layer)
    assert exchange.body == rows(FLOATS)
    assert json.loads(app.bodies[0])["encoding_format"] == wanted


async def test_an_upstream_that_knows_no_base64_is_not_asked_for_it() -> None:
    app = Responder(rows(FLOATS))
    layer = embeddings(app, encoding="local")
    exchange = await asked("a", encoding_format="base64").run(layer)
    assert exchange.json()["data"][0]["embedding"] == packed(FLOATS)
    assert json.loads(app.bodies[0])["encoding_format"] == "float"


@pytest.mark.parametrize(("status", "headers"), [(400, []), (200, [(b"content-encoding", b"br")])])
async def test_errors_and_what_cannot_be_read_pass(status: int, headers: Any) -> None:
    app = Responder(rows(FLOATS), status=status, headers=headers)
    exchange = await asked("a", encoding_format="base64").run(embeddings(app))
    assert (exchange.status, exchange.body) == (status, rows(FLOATS))


async def test_an_answer_without_vectors_passes() -> None:
    for text in (b"{}", b"", b'{"data":[]}', b"x" * 100_000):
        app = Responder(text[:1], text[1:])
        exchange = await asked("a", encoding_format="base64").run(embeddings(app))
        assert exchange.body == text


async def test_others_have_their_turn_while_much_is_rewritten() -> None:
    vectors = [[float(number) for number in range(2000)]] * 20
    exchange = await asked("a", encoding_format="base64").run(embeddings(Responder(rows(*vectors))))
    assert [row["embedding"] for row in exchange.json()["data"]] == [packed(vectors[0])] * 20


async def test_what_is_too_large_to_be_held_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_encoded, "MAX_ANSWER", 100)
    text = rows([0.25] * 100)
    app = Responder(*[text[at : at + 60] for at in range(0, len(text), 60)])
    exchange = await asked("a", encoding_format="base64").run(embeddings(app))
    assert exchange.status == 502
    assert exchange.ended


def test_options_that_mean_nothing_are_refused() -> None:
    for options in ({"batches": "no"}, {"encoding": "x"}, {"parallel": 0}, {"max_items": 0}):
        with pytest.raises(ValueError, match=r"say|give"):
            EmbeddingsMiddleware(Responder(), **options)
