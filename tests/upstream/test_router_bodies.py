"""The bodies of tries: sent again while they are kept, uploads once."""

import json
from http import HTTPStatus
from typing import Any

import pytest

from tests.asgi import Exchange, http_scope, json_request
from tests.upstream.targets import Scripted, answers, routed
from veneer import facts
from veneer.call import Call
from veneer.facts import Unreached
from veneer.layers.models import ModelsMiddleware
from veneer.operations import FIXED
from veneer.routing.target import Target
from veneer.upstream.router import Router

ERROR = b'{"error":{}}'
FORM = (
    b'--x\r\nContent-Disposition: form-data; name="model"\r\n\r\n%b\r\n'
    b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nmodel\r\n--x--\r\n'
)


def form(model: bytes, *, parts: int = 1) -> Exchange:
    body = FORM % model
    headers = [
        (b"content-type", b"multipart/form-data; boundary=x"),
        (b"content-length", b"%d" % len(body)),
    ]
    scope = http_scope("POST", "/v1/audio/transcriptions", headers)
    size = -(-len(body) // parts)
    return Exchange(scope, [body[at : at + size] for at in range(0, len(body), size)])


@pytest.mark.parametrize("parts", [1, 3])
async def test_the_form_of_an_upload_names_the_model_as_its_target_does(parts: int) -> None:
    app = Scripted(answers())
    router = Router([Target(name="a", app=app, models={"whisper": "org/whisper-1"})])
    exchange = await form(b"whisper", parts=parts).run(ModelsMiddleware(router))

    assert exchange.status == HTTPStatus.OK
    assert app.bodies == [FORM % b"org/whisper-1"]
    lengths = [v for n, v in app.scopes[0]["headers"] if n == b"content-length"]
    assert lengths == [b"%d" % len(app.bodies[0])]


async def test_a_form_whose_model_is_somebody_elses_to_find_goes_on_as_it_is() -> None:
    app = Scripted(answers())
    router = Router([Target(name="a", app=app, models={"m": "theirs"})])
    for headers in ([], [(b"content-type", b"multipart/form-data; boundary=x")]):
        scope = http_scope("POST", "/v1/audio/transcriptions", headers)
        facts.put(scope, Call(FIXED["audio/transcriptions"], "m"))
        await Exchange(scope, [b"bytes"]).run(router)

    assert app.bodies == [b"bytes"] * 2


async def test_a_get_is_repeated() -> None:
    a, b = Scripted(answers(ERROR, 500)), Scripted(answers())
    exchange = Exchange(http_scope("GET", "/v1/rerankers"))
    await exchange.run(routed(a, b, allow=["/rerankers"]))

    # What an operator allows besides may be stored: it goes to the first only.
    assert exchange.status == HTTPStatus.INTERNAL_SERVER_ERROR


@pytest.mark.parametrize(
    "body",
    [
        b'{"model":"m","seed":1,"seed":2}',
        b'{"model":"m",%b}' % b",".join(b'"a%d":1' % i for i in range(1200)),
    ],
)
async def test_what_cannot_be_left_out_safely_is_refused(body: bytes) -> None:
    app = Scripted(answers())
    router = Router([Target(name="a", app=app, unknown_parameters=frozenset(["seed", "a7"]))])
    exchange = json_request(body)
    facts.open_in(exchange.scope)
    await exchange.run(router)

    assert exchange.status == HTTPStatus.BAD_REQUEST
    assert app.bodies == []
    assert facts.get(exchange.scope, Unreached) is not None


async def test_every_try_begins_with_the_clients_own_body() -> None:
    apps = [Scripted(answers(ERROR, 500)) for _ in range(3)]
    names: list[dict[str, str]] = [{"m": "one"}, {"*": "*"}, {"m": "three"}]
    targets = [
        Target(name=str(number), app=app, models=models, weight=1000.0**-number)
        for number, (app, models) in enumerate(zip(apps, names, strict=True))
    ]
    said: dict[str, Any] = {"messages": [{"content": "ä"}], "model": "m"}
    await json_request(said).run(Router(targets, random=lambda: 0.25))

    assert [json.loads(app.bodies[0]) for app in apps] == [
        {**said, "model": name} for name in ("one", "m", "three")
    ]
