"""The auth layer: who passes, who is refused and how, and what goes further in."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from starlette.types import ASGIApp, Message

from tests.asgi import Exchange, Responder, http_scope
from tests.lint import Lint
from veneer import facts
from veneer.auth.verifier import Denial
from veneer.dialects import OPENAI, Dialect, Kind
from veneer.dialects.dialect import Form
from veneer.facts import Principal
from veneer.layers.auth import AuthMiddleware
from veneer.layers.headers import HeadersMiddleware
from veneer.stack import Stack

KEY = "vnr_live_0123456789"
ALICE = Principal(id="alice", team="ops", scopes=frozenset({"write"}))
BEARER = (b"authorization", f"Bearer {KEY}".encode())
HOST = (b"host", b"veneer.test")


class Keys:
    """A verifier with a table, that notes what it is asked and when it is open."""

    def __init__(self, **more: Principal | Denial) -> None:
        self.table: dict[str, Principal | Denial] = {KEY: ALICE, **more}
        self.asked: list[str] = []
        self.open = 0

    async def verify(self, credential: str) -> Principal | Denial:
        """Look it up."""
        self.asked.append(credential)
        return self.table.get(credential, Denial.UNKNOWN)

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        """Count who is inside."""
        self.open += 1
        yield
        self.open -= 1


def guarded(app: ASGIApp | None = None, keys: Any = None, **options: Any) -> AuthMiddleware:
    app = Responder(b"{}") if app is None else app
    return AuthMiddleware(Lint(app), verifier=keys or Keys(), **options)


async def ask(
    layer: ASGIApp,
    *headers: tuple[bytes, bytes],
    method: str = "POST",
    path: str = "/v1/chat/completions",
    **more: Any,
) -> Exchange:
    exchange = Exchange(http_scope(method, path, [HOST, *headers], **more), [b"{}"])
    return await exchange.run(layer)


async def test_a_known_key_passes_as_its_principal_and_goes_no_further() -> None:
    app = Responder(b"{}")
    scope_above = http_scope(headers=[HOST, BEARER, (b"x-api-key", KEY.encode())])
    exchange = await Exchange(scope_above, [b"body"]).run(guarded(app))
    assert (exchange.status, exchange.body) == (200, b"{}")
    [scope] = app.scopes
    assert facts.get(scope, Principal) is ALICE
    assert scope["headers"] == [HOST]
    assert app.bodies == [b"body"]
    assert BEARER in scope_above["headers"], "what stands above keeps what it was given"


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ([], 401, None),
        ([(b"authorization", b"Bearer wrong")], 401, "invalid_api_key"),
        ([(b"authorization", b"Basic d3Jvbmc=")], 401, "invalid_api_key"),
        ([(b"authorization", b"Bearer ")], 401, "invalid_api_key"),
        ([(b"x-api-key", "schlüssel".encode())], 401, "invalid_api_key"),
        ([(b"api-key", b"wrong" * 2000)], 401, "invalid_api_key"),
        ([(b"x-api-key", b"wrong,wrong")], 401, "invalid_api_key"),
        ([BEARER, (b"x-api-key", b"wrong")], 400, None),
        ([BEARER, (b"authorization", b"Bearer wrong")], 400, None),
    ],
)
async def test_what_is_no_known_key_is_refused_before_anything_else(
    headers: list[tuple[bytes, bytes]], status: int, code: str | None
) -> None:
    app = Responder(b"{}")
    answer = await ask(guarded(app), *headers)
    error = answer.json()["error"]
    assert (answer.status, error["code"]) == (status, code)
    assert error["type"] == "invalid_request_error"
    assert answer.header("www-authenticate") == ("Bearer" if status == 401 else None)
    assert app.scopes == []
    assert b"wrong" not in answer.body
    assert KEY.encode() not in answer.body


async def test_a_401_of_openai_does_not_tell_whether_a_key_once_existed() -> None:
    denials = (Denial.MALFORMED, Denial.REVOKED, Denial.EXPIRED, Denial.NOT_YET_VALID)
    keys = Keys(**{denial.name: denial for denial in denials})
    layer = guarded(keys=keys)
    names = ["NEVER_SEEN", *(denial.name for denial in denials)]
    answers = [await ask(layer, (b"x-api-key", name.encode())) for name in names]
    assert len({(answer.body, tuple(answer.headers)) for answer in answers}) == 1
    assert answers[0].json()["error"] == {
        "message": "Incorrect API key provided. Check it, or ask whoever issued it for a new one.",
        "type": "invalid_request_error",
        "param": None,
        "code": "invalid_api_key",
    }


async def test_a_dialect_may_tell_them_apart() -> None:
    forms = {**OPENAI.forms, Kind.KEY_REVOKED: Form(401, "authentication", "revoked_api_key")}
    members = {name: getattr(OPENAI, name) for name in OPENAI.__struct_fields__}
    dialect = Dialect(**{**members, "forms": forms})
    layer = HeadersMiddleware(guarded(keys=Keys(old=Denial.REVOKED)), dialect=dialect)
    error = (await ask(layer, (b"x-api-key", b"old"))).json()["error"]
    assert error["code"] == "revoked_api_key"
    assert error["message"] == "This API key has been revoked."
    assert error["request_id"]


async def test_a_missing_key_is_told_how_to_be_sent() -> None:
    error = (await ask(guarded())).json()["error"]
    assert error["message"].startswith("You did not provide an API key. Send it as 'Auth")


async def test_who_cannot_tell_is_unavailable_and_no_failure() -> None:
    keys = Keys(any=Denial.UNAVAILABLE)
    layer = guarded(keys=keys)
    for _ in range(50):
        answer = await ask(layer, (b"x-api-key", b"any"))
        assert (answer.status, answer.header("retry-after")) == (503, "2")
    assert answer.json()["error"]["code"] == "keys_unavailable"


@pytest.mark.parametrize(
    ("method", "path", "scopes", "status"),
    [
        ("GET", "/v1/models", {"read"}, 200),
        ("POST", "/v1/embeddings", {"read"}, 403),
        ("POST", "/v1/embeddings", {"write"}, 200),
        ("DELETE", "/v1/files/1", {"write"}, 403),
        ("DELETE", "/v1/files/1", {"full"}, 200),
        ("GET", "/admin/keys", {"full"}, 403),
        ("DELETE", "/admin/keys/1", {"admin"}, 200),
        ("GET", "/v1/models", {"admin"}, 403),
    ],
)
async def test_the_scope_is_judged_before_the_body_is_read(
    method: str, path: str, scopes: set[str], status: int
) -> None:
    app = Responder(b"{}")
    principal = Principal(id="a", scopes=frozenset(scopes))
    layer = guarded(app, Keys(k=principal), admin=["/admin/*"])

    async def receive() -> Message:
        assert status == 200, "a refusal reads nothing"
        return {"type": "http.request"}

    exchange = Exchange(http_scope(method, path, [(b"api-key", b"k")]))
    await Lint(layer)(exchange.scope, receive, exchange.send)
    assert exchange.status == status
    if status == 403:
        assert exchange.json()["error"]["code"] == "missing_scope"


async def test_public_paths_are_left_alone() -> None:
    app, keys = Responder(b"page"), Keys()
    layer = guarded(app, keys, public=["/docs", "/static/*"])
    for path in ("/docs", "/static/a.css"):
        answer = await ask(layer, BEARER, method="GET", path=path)
        assert answer.body == b"page"
    assert [scope["headers"] for scope in app.scopes] == [[HOST, BEARER]] * 2
    assert keys.asked == []
    assert facts.get(app.scopes[0], Principal) is None
    assert (await ask(layer, path="/static/../v1/models", method="GET")).status == 401


async def test_the_verifier_is_open_while_the_layer_is_in_use() -> None:
    keys = Keys()
    stack = Stack([], guarded(keys=keys))
    async with stack.lifespan():
        assert keys.open == 1
        assert (await ask(stack, BEARER)).status == 200
    assert keys.open == 0


async def test_nothing_logs_a_credential(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    layer = guarded()
    for headers in ([BEARER], [(b"api-key", b"wrong-secret")]):
        await ask(layer, *headers)
    assert KEY not in caplog.text
    assert "wrong-secret" not in caplog.text


async def test_a_cancelled_verification_leaves_nothing_behind() -> None:
    class Slow(Keys):
        async def verify(self, credential: str) -> Principal | Denial:
            self.asked.append(credential)
            await asyncio.Event().wait()
            return Denial.UNKNOWN

    layer = guarded(keys=Slow())
    layer._guesses.failed(layer._peers.of(http_scope()))
    task = asyncio.create_task(ask(layer, BEARER))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert layer._guesses._gates == {}
