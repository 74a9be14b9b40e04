"""Uploads, whose model is a field of a form, through the layer of models."""

import contextlib
from typing import Any

import httpx
import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.types import ASGIApp, Receive, Scope, Send

from tests.asgi import Exchange, Responder, http_scope, json_request
from tests.layers.limits import Known
from tests.lint import Lint
from tests.listening import listening
from veneer import facts
from veneer.call import Call
from veneer.catalog.model import Model, Resolved
from veneer.client import BodyTooLargeError, client_of
from veneer.facts import Principal, Unreached
from veneer.layer import Layer
from veneer.layers.models import ModelsMiddleware
from veneer.layers.relay import RelayMiddleware
from veneer.upstream.proxy import Upstream
from veneer.wire.multipart import FormError

WHISPER = Model(id="whisper-large-v3", kind="transcription", aliases=("whisper-1",))
CHAT = Model(id="llama-3", kind="chat")
IMAGES = Model(id="flux", kind="image")
MODELS = (WHISPER, CHAT, IMAGES)
HELD = Principal(id="held", models=("whisper-large-v3",))

PATH = "/v1/audio/transcriptions"
BOUNDARY = b"----b0undary"
TYPE = (b"content-type", b"multipart/form-data; boundary=" + BOUNDARY)


def field(name: str, content: bytes) -> bytes:
    head = b'Content-Disposition: form-data; name="%b"' % name.encode()
    return b"--%b\r\n%b\r\n\r\n%b\r\n" % (BOUNDARY, head, content)


def file(content: bytes = b"RIFF") -> bytes:
    return field('file"; filename="a.wav', content)


def form(*parts: bytes) -> bytes:
    return b"".join(parts) + b"--" + BOUNDARY + b"--\r\n"


def model(name: str = "whisper-1") -> bytes:
    return field("model", name.encode())


# A form up to the middle of a file, behind its model.
OPEN = model() + file()[:-2]


class Streaming:
    """An app that notes the messages of a body, and what is known when the first of them comes."""

    def __init__(self, *, answers_first: bool = False) -> None:
        self.parts: list[bytes] = []
        self.scope: Scope = {}
        self.answers_first = answers_first

    @property
    def body(self) -> bytes:
        """All that came."""
        return b"".join(self.parts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Read the body as it comes, then answer, or the other way round."""
        self.scope = scope
        if self.answers_first:
            await send({"type": "http.response.start", "status": 200, "headers": []})
        more = True
        while more:
            message = await receive()
            self.parts.append(message["body"])
            more = message["more_body"]
        if not self.answers_first:
            await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})


def models(app: ASGIApp, **options: Any) -> ASGIApp:
    return Lint(ModelsMiddleware(Lint(app), models=MODELS, **options))


def upload(*pieces: bytes, path: str = PATH, headers: Any = (TYPE,)) -> Exchange:
    length = (b"content-length", b"%d" % len(b"".join(pieces)))
    return Exchange(http_scope("POST", path, [*headers, length]), pieces)


def error_of(exchange: Exchange) -> tuple[int, str, str | None]:
    error = exchange.json()["error"]
    return exchange.status, error["code"], error["param"]


@pytest.mark.parametrize("parts", [(model(), file()), (file(), model())])
async def test_an_alias_is_replaced_in_its_part_and_nowhere_else(parts: tuple[bytes, ...]) -> None:
    app = Streaming()
    body = form(field("prompt", b"whisper-1"), *parts)
    exchange = await upload(body).run(models(app))
    assert exchange.status == 200
    assert app.body == form(field("prompt", b"whisper-1"), *parts).replace(
        model(), model(WHISPER.id)
    )
    assert (b"content-length", b"%d" % len(app.body)) in app.scope["headers"]
    assert facts.get(app.scope, Resolved) == Resolved("whisper-1", WHISPER)
    call = facts.get(app.scope, Call)
    assert call is not None
    assert (call.operation.name, call.model) == ("audio.transcriptions", WHISPER.id)


@given(st.lists(st.integers(0, 400), max_size=5), st.booleans())
async def test_however_it_comes_the_upstream_gets_the_same(
    cuts: list[int],
    last: bool,  # noqa: FBT001 - hypothesis gives it
) -> None:
    parts = [model(), file(b"\r\n--" * 20)]
    body = form(*(reversed(parts) if last else parts))
    at, pieces = 0, []
    for cut in (*sorted(cuts), len(body)):
        pieces.append(body[at:cut])
        at = max(at, cut)
    app = Streaming()
    await upload(*pieces).run(models(app))
    assert app.body == body.replace(model(), model(WHISPER.id))


async def test_a_models_own_name_passes_as_it_came() -> None:
    app = Streaming()
    body = form(model(WHISPER.id), file())
    exchange = upload(body)
    headers = exchange.scope["headers"]
    await exchange.run(models(app))
    assert (app.body, app.scope["headers"]) == (body, headers)


async def test_files_behind_the_model_are_not_held() -> None:
    app = Streaming()
    large = [b"x" * 1000] * 50
    pieces = [OPEN, *large, b"\r\n" + form()]
    await upload(*pieces).run(models(app, max_form=500))
    assert app.parts[1:] == pieces[1:]


async def test_what_comes_before_the_model_is_bounded() -> None:
    app = Streaming()
    exchange = await upload(file(b"x" * 300), file(b"x" * 300), form(model())).run(
        models(app, max_form=500)
    )
    assert error_of(exchange) == (413, "request_too_large", "model")
    assert exchange.header("connection") == "close"
    assert app.parts == []


async def test_permission_is_asked_for_both_names() -> None:
    app = Streaming()
    layer = Known(models(app), HELD)
    assert (await upload(form(model(WHISPER.id), file())).run(layer)).status == 200
    for name in ("whisper-1", "flux", "nope"):
        assert error_of(await upload(form(file(), model(name))).run(layer)) == (
            404,
            "model_not_found",
            "model",
        )


@pytest.mark.parametrize("path", ["images/edits", "images/variations", "audio/translations", PATH])
async def test_every_upload_is_for_models_of_its_kind(path: str) -> None:
    path = path if path == PATH else f"/v1/{path}"
    exchange = await upload(form(model("llama-3"), file()), path=path).run(models(Streaming()))
    assert error_of(exchange) == (400, "model_wrong_kind", "model")


async def test_a_form_without_a_model_has_the_default_or_is_refused() -> None:
    app = Streaming()
    body = form(file())
    assert (await upload(body).run(models(app, default="whisper-1"))).status == 200
    assert app.body == model(WHISPER.id) + body
    exchange = await upload(body).run(models(app))
    assert error_of(exchange) == (400, "missing_required_parameter", "model")


async def test_edits_of_images_may_leave_the_model_to_the_upstream() -> None:
    app = Streaming()
    body = form(file())
    assert (await upload(body, path="/v1/images/edits").run(models(app))).status == 200
    assert app.body == body
    held = await upload(body, path="/v1/images/edits").run(Known(models(app), HELD))
    assert error_of(held) == (400, "missing_required_parameter", "model")


async def test_a_second_model_is_found_behind_the_first_and_before_the_upstream_has_it() -> None:
    app = Streaming()
    second = form(model("flux"))
    exchange = await upload(OPEN, b"x" * 1000, b"\r\n" + second).run(models(app))
    assert error_of(exchange) == (400, "invalid_value", "model")
    assert b"flux" not in app.body
    assert facts.get(app.scope, Unreached) is not None


async def test_a_form_that_goes_bad_after_its_answer_has_begun_cuts_it() -> None:
    app = Streaming(answers_first=True)
    with pytest.raises(FormError, match="twice"):
        await upload(OPEN, b"\r\n" + form(model("flux"))).run(models(app))


@pytest.mark.parametrize(
    ("body", "code", "param"),
    [
        (form(model(), model()), "invalid_value", "model"),
        (form(model("a\nb")), "invalid_value", "model"),
        (form(model("x" * 600)), "invalid_value", "model"),
        (form(field("model", b"\xff")), "invalid_value", "model"),
        (form(model())[:-30], "invalid_request_error", None),
        (b"x" + form(model()), "invalid_request_error", None),
        (b"", "invalid_request_error", None),
    ],
)
async def test_a_form_that_cannot_be_read_is_refused(
    body: bytes, code: str, param: str | None
) -> None:
    app = Streaming()
    exchange = await upload(body).run(models(app))
    status, found, about = error_of(exchange)
    assert (status, about) == (400, param)
    assert found == code or param is None
    assert app.parts == []


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [(b"content-type", b"text/plain")],
        [TYPE, (b"content-encoding", b"gzip")],
        [TYPE, TYPE],
        [(b"content-type", b"multipart/form-data")],
    ],
)
async def test_what_is_no_form_is_refused(headers: Any) -> None:
    app = Streaming()
    exchange = await upload(form(model()), headers=headers).run(models(app))
    assert exchange.status == 415
    assert app.parts == []


async def test_edits_in_json_name_their_model_as_other_calls_do() -> None:
    app = Streaming()
    layer = models(app)
    body = {"model": "flux", "prompt": "a", "images": [{"image_url": "data:,"}]}
    assert (await json_request(body, "/v1/images/edits").run(layer)).status == 200
    call = facts.get(app.scope, Call)
    assert call is not None
    assert call.model == "flux"
    refused = await json_request(body, "/v1/images/edits").run(Known(layer, HELD))
    assert refused.status == 404


class Reading(Layer):
    """A layer that reads the body, `limit` bytes of it at most."""

    def __init__(self, app: ASGIApp, limit: int) -> None:
        super().__init__(app)
        self.limit = limit

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Read, and pass on."""
        with contextlib.suppress(BodyTooLargeError):
            await client_of(scope, receive).body(self.limit)
        await self.app(scope, receive, send)


@pytest.mark.parametrize("limit", [10, 10_000])
async def test_who_has_read_of_the_body_already_does_no_harm(limit: int) -> None:
    app = Streaming()
    body = form(file(), model(), field("prompt", b"x"))
    assert (await upload(body[:50], body[50:]).run(Reading(models(app), limit))).status == 200
    assert app.body == body.replace(model(), model(WHISPER.id))


def test_the_bound_must_leave_room() -> None:
    with pytest.raises(ValueError, match="max_form is 0"):
        ModelsMiddleware(Responder(b"{}"), models=MODELS, max_form=0)
    with pytest.raises(ValueError, match="unsupported is 'no'"):
        ModelsMiddleware(Responder(b"{}"), models=MODELS, unsupported="no")  # type: ignore[arg-type]  # as from elsewhere


@pytest.mark.parametrize("chunked", [False, True])
async def test_forms_of_the_openai_package_are_read(*, chunked: bool) -> None:
    made: list[httpx.Request] = []

    async def note(request: httpx.Request) -> httpx.Response:
        await request.aread()
        made.append(request)
        return httpx.Response(200, json={"text": "hello"})

    async with httpx.AsyncClient(transport=httpx.MockTransport(note)) as http:
        client = openai.AsyncOpenAI(api_key="k", base_url="http://x/v1", http_client=http)  # type: ignore[arg-type]  # as good to it
        await client.audio.transcriptions.create(
            file=("a.wav", b"RIFF" * 1000), model="whisper-1", timestamp_granularities=["word"]
        )
        await client.images.edit(
            image=[("a.png", b"PNG"), ("b.png", b"PNG")], prompt="\u00e9", model="flux"
        )
    app = Streaming()
    for request, name in zip(made, (WHISPER, IMAGES), strict=True):
        app.parts.clear()
        headers = [(b"content-type", request.headers["content-type"].encode())]
        pieces = [request.content[at : at + 100] for at in range(0, len(request.content), 100)]
        if not chunked:
            pieces = [request.content]
        exchange = upload(*pieces, path=request.url.path, headers=headers)
        assert (await exchange.run(models(app))).status == 200
        assert app.body == request.content.replace(b"whisper-1", WHISPER.id.encode())
        resolved = facts.get(app.scope, Resolved)
        assert resolved is not None
        assert resolved.model is name


@pytest.mark.parametrize("client", [False, True])
async def test_an_upstream_never_gets_a_whole_form_with_two_models(*, client: bool) -> None:
    got: list[bytes] = []
    ended: list[bool] = []

    async def server(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            for step in ("startup", "shutdown"):
                await receive()
                await send({"type": f"lifespan.{step}.complete"})
            return
        more = True
        while more:
            message = await receive()
            got.append(message.get("body", b""))
            more = message.get("more_body", False)
        ended.append(message["type"] == "http.request")
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"{}"})

    with listening(server) as port:
        http = httpx.AsyncClient() if client else None
        below = Upstream(f"http://127.0.0.1:{port}/v1", client=http, close_client=True)
        layer = models(RelayMiddleware(below))
        first = [OPEN, b"x" * 70_000, b"\r\n"]
        async with contextlib.aclosing(below):
            fine = await upload(*first, form(field("prompt", b"x"))).run(layer)
            body = b"".join(got)
            got.clear()
            exchange = await upload(*first, form(model("flux"))).run(layer)
    assert fine.status == 200
    assert body.startswith(model(WHISPER.id))
    assert error_of(exchange) == (400, "invalid_value", "model")
    assert b"flux" not in b"".join(got)
    assert ended[0] is True
    assert True not in ended[1:]
