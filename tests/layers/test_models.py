"""Models, in front of an app."""

import json
from typing import Any

import msgspec
import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from tests.asgi import Exchange, Responder, http_scope, json_request
from tests.layers.limits import Known
from tests.lint import Lint
from veneer import facts
from veneer.call import Call
from veneer.catalog.model import Model, Resolved
from veneer.client import client_of
from veneer.dialects.auriko import auriko
from veneer.edits import edits_of
from veneer.facts import Principal
from veneer.layers.headers import HeadersMiddleware
from veneer.layers.models import ModelsMiddleware

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


class Body:
    """An app that notes the body and the facts that it gets."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.scope: Scope = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer with nothing but a status."""
        self.scope = scope
        message = await receive()
        self.bodies.append(message["body"])
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})


def models(app: ASGIApp, **options: Any) -> ASGIApp:
    """Return the layer between two linters."""
    return Lint(ModelsMiddleware(Lint(app), models=MODELS, **options))


async def test_an_alias_is_replaced_at_the_model_member_and_nowhere_else() -> None:
    app = Body()
    body = b'{ "messages":[{"role":"user","content":"gpt-4o"}], "model" : "gpt-4o","n":1.0}'
    exchange = await Exchange(http_scope(), [body]).run(models(app))
    assert exchange.status == 200
    assert app.bodies == [body.replace(b'"model" : "gpt-4o"', b'"model" : "llama-3"')]
    assert dict(app.scope["headers"])[b"content-length"] == b"%d" % len(app.bodies[0])
    assert facts.get(app.scope, Resolved) == Resolved("gpt-4o", LLAMA)
    call = facts.get(app.scope, Call)
    assert call is not None
    assert call.model == "llama-3"
    assert edits_of(app.scope).model == b'"gpt-4o"'


async def test_a_models_own_name_passes_as_it_came() -> None:
    app = Body()
    body = b'{"model":"llama-3" }'
    await Exchange(http_scope(), [body]).run(models(app))
    assert app.bodies == [body]
    assert edits_of(app.scope).model is None


@pytest.mark.parametrize(
    ("show", "name"), [("upstream", None), ("requested", b'"gpt-4o"'), ("resolved", b'"llama-3"')]
)
async def test_answers_show_the_name_that_they_are_to(show: str, name: bytes | None) -> None:
    app = Body()
    await json_request({"model": "gpt-4o"}).run(models(app, show=show))
    assert edits_of(app.scope).model == name


async def test_a_call_without_a_model_has_the_default() -> None:
    app = Body()
    await json_request({"messages": []}).run(models(app, default="gpt-4o"))
    assert json.loads(app.bodies[0]) == {"messages": [], "model": "llama-3"}


@pytest.mark.parametrize(
    ("body", "status", "code", "param"),
    [
        ({"model": "nope"}, 404, "model_not_found", "model"),
        ({"model": "vectors"}, 400, "model_wrong_kind", "model"),
        ({"model": 5}, 400, "invalid_type", "model"),
        ({"model": "a\nb"}, 400, "invalid_value", "model"),
        ({"model": "x" * 10_000}, 400, "invalid_value", "model"),
        ({}, 400, "missing_required_parameter", "model"),
        ({"model": "gpt-4o", "max_tokens": 5000}, 400, "invalid_value", "max_tokens"),
    ],
)
async def test_a_call_that_cannot_be_is_refused(
    body: dict[str, Any], status: int, code: str, param: str
) -> None:
    app = Responder(b"{}")
    exchange = await json_request(body).run(models(app))
    error = exchange.json()["error"]
    assert (exchange.status, error["code"], error["param"]) == (status, code, param)
    assert app.scopes == []


async def test_a_caller_that_may_not_use_a_model_hears_that_there_is_none() -> None:
    app = Responder(b"{}")
    layer = models(app)
    for name in ("gpt-4o", "vectors", "nope"):
        exchange = await json_request({"model": name}).run(Known(layer, HELD))
        assert exchange.status == 404
        assert exchange.json()["error"]["message"] == (
            f"The model `{name}` does not exist or you do not have access to it."
        )
    exchange = await json_request({"model": "llama-3"}).run(Known(layer, HELD))
    assert exchange.status == 200


async def test_what_names_models_unread_is_closed_to_who_is_held_to_some() -> None:
    layer = models(Responder(b"{}"))
    scope = http_scope("POST", "/v1/batches")
    assert (await Exchange(dict(scope), [b"{}"]).run(Known(layer, HELD))).status == 403
    assert (await Exchange(dict(scope), [b"{}"]).run(layer)).status == 200


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"tools": [{"type": "image_generation", "model": "nope"}]}, 404),
        ({"tools": [{"type": "image_generation", "model": "gpt-4o"}]}, 404),
        ({"tools": [{"type": "image_generation", "model": "llama-3"}]}, 200),
        ({"moderation": {"model": "nope"}}, 404),
        ({"tools": [{"type": "function", "parameters": {"model": "nope"}}, "model", 5]}, 200),
        ({"tools": "model", "input": '{"model": "nope"}'}, 200),
    ],
)
async def test_models_that_a_call_has_below_its_own_are_judged_too(
    body: dict[str, Any], status: int
) -> None:
    model = msgspec.structs.replace(LLAMA, capabilities=None)
    layer = ModelsMiddleware(Responder(b"{}"), models=[model])
    exchange = await json_request({"model": "llama-3", **body}, "/v1/responses").run(layer)
    assert exchange.status == status


async def test_a_name_that_escapes_hide_is_found() -> None:
    layer = ModelsMiddleware(Responder(b"{}"), models=MODELS)
    body = rb'{"model":"llama-3","tools":[{"mod\u0065l":"nope"}]}'
    exchange = await Exchange(http_scope("POST", "/v1/responses"), [body]).run(layer)
    assert exchange.status == 404


async def listed(layer: ASGIApp, path: str = "/v1/models", query: bytes = b"") -> Exchange:
    return await Exchange({**http_scope("GET", path), "query_string": query}).run(layer)


class Listing:
    """An app that lists models, for as long as it is not broken."""

    def __init__(self, *names: str) -> None:
        self.names = list(names)
        self.broken = False
        self.asked = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer with the list, or with nothing."""
        rows: list[dict[str, Any]] = [{"id": name, "max_model_len": 5} for name in self.names]
        body = json.dumps({"object": "list", "data": [*rows, {"no": "model"}]}).encode()
        if scope["path"] == "/v1/models":
            self.asked += 1
        await client_of(scope, receive).body(10**6)
        status = 500 if self.broken else 200
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": body})


async def test_what_the_app_lists_counts_beside_what_is_configured() -> None:
    app = Listing("mistral", "llama-3", "gpt-4o")
    layer = ModelsMiddleware(Lint(app), models=MODELS, discover=True)
    exchange = await json_request({"model": "mistral", "max_tokens": 9}).run(layer)
    assert exchange.json()["error"]["code"] == "context_length_exceeded"
    rows = (await listed(layer)).json()["data"]
    assert [row["id"] for row in rows] == ["llama-3", "gpt-4o", "vectors", "mistral"]
    assert (await json_request({"model": "mistral"}).run(layer)).status == 200


async def test_with_no_models_named_any_passes_and_callers_are_held_to_theirs() -> None:
    app = Listing("llama-3", "other")
    layer = ModelsMiddleware(Lint(app))
    assert (await json_request({"model": "whatever"}).run(layer)).status == 200
    assert (await json_request({"model": "other"}).run(Known(layer, HELD))).status == 404
    rows = (await listed(Known(layer, HELD))).json()["data"]
    assert [row["id"] for row in rows] == ["llama-3"]
    assert len((await listed(layer)).json()["data"]) == 3


async def test_aurikos_lists_tell_of_what_is_not_configured_too() -> None:
    app = Listing("mistral")
    layer = HeadersMiddleware(ModelsMiddleware(Lint(app)), dialect=auriko())
    for _ in range(2):
        document = (await listed(layer, "/v1/registry/models")).json()
        assert [row["id"] for row in document["models"]] == ["mistral"]
    assert app.asked == 1


def test_a_default_that_is_no_model_is_refused() -> None:
    with pytest.raises(ValueError, match="The default model 'nope'"):
        ModelsMiddleware(Responder(b"{}"), models=MODELS, default="nope")
