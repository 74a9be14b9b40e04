"""What is left out of a call, through the layer of models."""

import logging
from typing import Any

import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from tests.asgi import Exchange, Responder, json_request
from tests.lint import Lint
from veneer import facts
from veneer.catalog.model import Model
from veneer.edits import edits_of
from veneer.layer import Layer
from veneer.layers.models import ModelsMiddleware
from veneer.routing.preferences import Preferences

MODEL = Model(
    id="m",
    aliases=("alias",),
    capabilities=frozenset({"tools"}),
    unsupported_parameters=("seed", "logprobs"),
)


class Wishes(Layer):
    """A layer that says what the client wants of routing."""

    writes = (Preferences,)

    def __init__(self, app: ASGIApp, *, require_parameters: bool) -> None:
        super().__init__(app)
        self.preferences = Preferences(require_parameters=require_parameters)

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Say it."""
        facts.put(scope, self.preferences)
        await self.app(scope, receive, send)


def models(app: ASGIApp, **options: Any) -> ASGIApp:
    return ModelsMiddleware(Lint(app), models=(MODEL,), **options)


def told(app: Responder) -> list[str]:
    return [told.code for told in edits_of(app.scopes[0]).warnings]


async def test_members_are_cut_out_of_the_text_and_no_other_byte_changes() -> None:
    app = Responder(b"{}")
    body = b'{ "seed" : 1, "model":"m" , "n":1.0,"logprobs":true ,"messages":[ "seed" ] }'
    assert (await json_request(body).run(models(app))).status == 200
    assert app.bodies == [b'{ "model":"m" , "n":1.0 ,"messages":[ "seed" ] }']
    assert (b"content-length", b"%d" % len(app.bodies[0])) in app.scopes[0]["headers"]
    assert told(app) == ["seed_not_supported", "logprobs_not_supported"]


async def test_an_alias_is_replaced_in_what_is_left() -> None:
    app = Responder(b"{}")
    await json_request(b'{"seed": 1, "model": "alias"}').run(models(app))
    assert app.bodies == [b'{"model": "m"}']


async def test_a_call_with_nothing_to_leave_out_passes_as_it_came() -> None:
    app = Responder(b"{}")
    body = b'{"model": "m", "seed": null, "messages": [{"logprobs": 1}]}'
    await json_request(body).run(models(app, unsupported="drop"))
    assert app.bodies == [body]
    assert told(app) == []


@pytest.mark.parametrize(
    ("name", "value"),
    [("reasoning_effort", "low"), ("reasoning", {"effort": "low"}), ("tool_choice", "required")],
)
async def test_what_a_model_cannot_do_is_refused_or_left_out_by_option(
    name: str, value: Any
) -> None:
    app = Responder(b"{}")
    body = {"model": "m", name: value}
    refused = await json_request(body).run(models(app))
    assert (refused.status, refused.json()["error"]["param"]) == (400, name)
    assert (await json_request(body).run(models(app, unsupported="drop"))).status == 200
    assert app.bodies == [b'{"model": "m"}']
    assert told(app) == [f"{name}_not_supported"]


@pytest.mark.parametrize("unsupported", ["refuse", "drop"])
async def test_a_call_that_requires_its_parameters_is_not_made_without_them(
    unsupported: str,
) -> None:
    app = Responder(b"{}")
    for name in ("seed", "reasoning_effort"):
        exchange = json_request({"model": "m", name: "low"})
        layer = Wishes(models(app, unsupported=unsupported), require_parameters=True)
        refused = await exchange.run(layer)
        assert (refused.status, refused.json()["error"]["param"]) == (400, name)
    assert app.bodies == []
    free = Wishes(models(app, unsupported=unsupported), require_parameters=False)
    assert (await json_request({"model": "m", "seed": 1}).run(free)).status == 200


async def refusal_of(body: bytes) -> Exchange:
    app = Responder(b"{}")
    exchange = await json_request(body).run(models(app))
    assert app.bodies == []
    return exchange


async def test_a_member_that_stands_twice_is_refused_by_its_name() -> None:
    exchange = await refusal_of(b'{"model": "m", "seed": 1, "seed": 2}')
    assert (exchange.status, exchange.json()["error"]["param"]) == (400, "seed")


async def test_a_body_of_too_many_members_is_refused() -> None:
    many = b",".join(b'"x%d":1' % number for number in range(1001))
    assert (await refusal_of(b'{"model": "m", "seed": 1, %b}' % many)).status == 400


async def test_the_operator_may_read_what_was_left_out(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "veneer.models")
    await json_request({"model": "m", "seed": 12345}).run(models(Responder(b"{}")))
    assert caplog.messages == ["left out of a call to m: seed"]
