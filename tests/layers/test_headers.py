"""Headers: ids, version, timing and CORS on every response."""

import asyncio
import re
from typing import Any

import pytest
from starlette.types import Receive, Scope, Send

from tests.asgi import Exchange, Responder, http_scope, json_request
from tests.lint import Lint
from veneer import facts
from veneer.dialects import OPENAI, Dialect, Kind
from veneer.dialects.aurous import aurous
from veneer.errors import Error
from veneer.facts import Principal, RequestId, Route
from veneer.layers.headers import HeadersMiddleware, timing

ORIGIN = "https://app.test"
TRACE = (b"traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")


async def answer(app: Any, *headers: tuple[bytes, bytes], **options: Any) -> Exchange:
    method = options.pop("method", "POST")
    layer = HeadersMiddleware(Lint(app), **options)
    return await Exchange(http_scope(method, headers=headers)).run(layer)


async def refusing(scope: Scope, receive: Receive, send: Send) -> None:
    await Error(Kind.INVALID_VALUE, "No.")(scope, receive, send)


async def test_every_response_has_an_id_of_its_own() -> None:
    layer = HeadersMiddleware(Lint(Responder(b"{}")))
    exchanges = [json_request({}) for _ in range(200)]
    await asyncio.gather(*(exchange.run(layer) for exchange in exchanges))
    ids = {exchange.header("x-request-id") or "" for exchange in exchanges}

    assert len(ids) == 200
    assert all(re.fullmatch(r"req_[0-9A-HJKMNP-TV-Z]{26}", found) for found in ids)


async def test_the_id_of_an_error_stands_in_its_body_too() -> None:
    exchange = await answer(refusing)

    assert exchange.json()["error"]["request_id"] == exchange.header("x-request-id")


async def test_no_id_comes_from_a_client_or_an_upstream() -> None:
    app = Responder(b"{}", headers=[(b"x-request-id", b"theirs"), (b"x-client-request-id", b"no")])
    exchange = await answer(app, (b"x-request-id", b"mine"), (b"x-client-request-id", b"mine"))

    assert [name for name, _ in exchange.headers].count(b"x-request-id") == 1
    assert (exchange.header("x-request-id") or "").startswith("req_")
    assert exchange.header("x-client-request-id") is None
    known = facts.get(app.scopes[0], RequestId)
    assert known is not None
    assert known.client is None


@pytest.mark.parametrize("given", [b"abc-123", b"x" * 512, b"with space"])
async def test_a_client_id_is_kept_and_echoed_where_allowed(given: bytes) -> None:
    app = Responder(b"{}")
    exchange = await answer(app, (b"x-client-request-id", given), client_ids=True)

    assert exchange.header("x-client-request-id") == given.decode()
    known = facts.get(app.scopes[0], RequestId)
    assert known is not None
    assert known.client == given.decode()
    assert known.value == exchange.header("x-request-id")


@pytest.mark.parametrize("given", [b"x" * 513, b"\xc3\xa9", b"a\tb", b"a\x1b[31m", b""])
async def test_a_client_id_that_is_no_id_is_dropped(given: bytes) -> None:
    exchange = await answer(Responder(b"{}"), (b"x-client-request-id", given), client_ids=True)

    assert exchange.status == 200
    assert exchange.header("x-client-request-id") is None


async def test_the_version_and_the_time_are_told_once() -> None:
    exchange = await answer(Responder(b"{}", headers=[(b"openai-version", b"2000-01-01")]))

    assert exchange.header("openai-version") == "2020-10-01"
    names = [name for name, _ in exchange.headers]
    assert names.count(b"openai-version") == 1
    assert (exchange.header("openai-processing-ms") or "").isdigit()
    assert re.fullmatch(r"total;dur=\d+\.\d", exchange.header("server-timing") or "")


async def test_the_upstreams_own_time_is_kept() -> None:
    exchange = await answer(Responder(b"{}", headers=[(b"openai-processing-ms", b"7")]))

    assert [v for n, v in exchange.headers if n == b"openai-processing-ms"] == [b"7"]


async def test_the_upstreams_part_of_the_time_is_told() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        facts.put(scope, Route(target="a", status=200, seconds=0.25))
        await Responder(b"{}")(scope, receive, send)

    exchange = await answer(app)
    assert (exchange.header("server-timing") or "").endswith(", upstream;dur=250.0")
    assert timing(1.5, None) == b"total;dur=1500.0"


async def test_timing_can_be_left_out() -> None:
    exchange = await answer(Responder(b"{}"), server_timing=False)

    assert exchange.header("server-timing") is None


async def test_other_fields_stay_in_their_order_and_number() -> None:
    app = Responder(b"{}", content_type=None, headers=[(b"a", b"1"), (b"b", b"2"), (b"a", b"3")])
    exchange = await answer(app)

    assert exchange.headers[:3] == [(b"a", b"1"), (b"b", b"2"), (b"a", b"3")]


async def test_a_response_may_have_no_fields() -> None:
    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 204})
        await send({"type": "http.response.body"})

    assert (await answer(app)).header("x-request-id") is not None


async def test_a_trace_is_passed_on() -> None:
    app = Responder(b"{}")
    await answer(app, TRACE, (b"tracestate", b"a=b"))

    assert TRACE in app.scopes[0]["headers"]
    assert (b"tracestate", b"a=b") in app.scopes[0]["headers"]


async def test_the_dialect_is_known_below() -> None:
    other = Dialect(
        name="other",
        forms=OPENAI.forms,
        body=OPENAI.body,
        event=OPENAI.event,
        request_id_headers=(b"x-other-id", b"x-request-id"),
        rate_limit_fields=OPENAI.rate_limit_fields,
        receipt=OPENAI.receipt,
        cost_fields=OPENAI.cost_fields,
        balance=OPENAI.balance,
    )
    app = Responder(b"{}", headers=[(b"x-other-id", b"theirs")])
    exchange = await answer(app, dialect=other)

    assert facts.get(app.scopes[0], Dialect) is other
    assert exchange.header("x-other-id") == exchange.header("x-request-id")
    assert exchange.header("openai-version") is None


async def test_without_cors_a_preflight_is_the_apps_affair() -> None:
    app = Responder(b"{}")
    await answer(app, (b"origin", ORIGIN.encode()), method="OPTIONS")

    assert len(app.scopes) == 1


async def test_a_preflight_is_answered_without_a_key() -> None:
    app = Responder(b"{}")
    exchange = await answer(
        app,
        (b"origin", ORIGIN.encode()),
        (b"access-control-request-method", b"POST"),
        (b"access-control-request-headers", b"authorization, content-type, x-stainless-lang"),
        method="OPTIONS",
        cors_origins=[ORIGIN],
    )

    assert app.scopes == []
    assert exchange.status == 200
    assert exchange.header("access-control-allow-origin") == ORIGIN
    assert "authorization" in (exchange.header("access-control-allow-headers") or "")
    assert "POST" in (exchange.header("access-control-allow-methods") or "")
    assert exchange.header("x-request-id") is not None


async def test_a_preflight_from_elsewhere_is_refused() -> None:
    exchange = await answer(
        Responder(b"{}"),
        (b"origin", b"https://evil.test"),
        (b"access-control-request-method", b"POST"),
        method="OPTIONS",
        cors_origins=[ORIGIN],
    )

    assert exchange.status == 400
    assert exchange.header("access-control-allow-origin") is None


@pytest.mark.parametrize("app", [Responder(b"{}"), refusing])
async def test_scripts_may_read_what_the_dialect_exposes(app: Any) -> None:
    exchange = await answer(app, (b"origin", ORIGIN.encode()), cors_origins=[ORIGIN])

    assert exchange.header("access-control-allow-origin") == ORIGIN
    exposed = exchange.header("access-control-expose-headers")
    assert exposed == ", ".join(OPENAI.exposed)
    assert "X-Request-ID" in OPENAI.exposed


async def test_all_origins_may_be_allowed() -> None:
    exchange = await answer(Responder(b"{}"), (b"origin", b"https://any.test"), cors_origins=["*"])

    assert exchange.header("access-control-allow-origin") == "*"


VERSIONS = ("2026-05-15", "2026-01-01", "2025-01-01")


@pytest.mark.parametrize(
    ("principal", "asked", "version"),
    [
        (None, None, "2026-05-15"),
        (Principal(id="a"), None, "2026-05-15"),
        (Principal(id="a", team="other"), None, "2026-05-15"),
        (Principal(id="a", team="old"), None, "2026-01-01"),
        (Principal(id="a", team="old"), "2026-05-15", "2026-05-15"),
        (Principal(id="a", attributes={"default_api_version": "2025-01-01"}), None, "2025-01-01"),
        (
            Principal(id="a", team="old", attributes={"default_api_version": "2025-01-01"}),
            None,
            "2025-01-01",
        ),
        (
            Principal(id="a", team="old", attributes={"default_api_version": "1999-01-01"}),
            None,
            "2026-01-01",
        ),
        (Principal(id="a", attributes={"default_api_version": ["2025-01-01"]}), None, VERSIONS[0]),
    ],
)
@pytest.mark.parametrize("app", [Responder(b"{}"), refusing])
async def test_who_asks_for_no_version_gets_its_teams(
    app: Any, principal: Principal | None, asked: str | None, version: str
) -> None:
    async def auth(scope: Scope, receive: Receive, send: Send) -> None:
        if principal is not None:
            facts.put(scope, principal)
        await app(scope, receive, send)

    dialect = aurous("Acme", versions=VERSIONS, team_versions={"old": "2026-01-01"})
    headers = [] if asked is None else [(b"acme-version", asked.encode())]
    exchange = await answer(auth, *headers, dialect=dialect)
    assert exchange.header("acme-version") == version
    assert [name for name, _ in exchange.headers].count(b"acme-version") == 1
