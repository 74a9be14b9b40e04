"""Routes that have moved."""

from datetime import date
from typing import Any

import pytest

from tests.asgi import Exchange, Responder, http_scope
from tests.lint import Lint
from veneer import facts
from veneer.dialects.aurous import aurous
from veneer.layers.legacy import LegacyMiddleware, Moved

ROUTES = {"/v1/old": Moved("/v1/new", date(2027, 1, 1)), "/v1/older": Moved("/v1/new")}


async def ask(path: str, method: str = "POST", **more: Any) -> Exchange:
    exchange = Exchange(http_scope(method, path, **more))
    facts.put(exchange.scope, aurous("Acme"))
    return await exchange.run(LegacyMiddleware(Lint(Responder(b"app")), routes=ROUTES))


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "DELETE"])
async def test_callers_are_sent_on_with_method_and_query(method: str) -> None:
    answer = await ask("/v1/old", method, query_string=b"a=1&b")
    assert (answer.status, answer.body) == (308, b"")
    assert answer.header("location") == "/v1/new?a=1&b"
    assert answer.header("acme-deprecated") == "route"
    assert answer.header("sunset") == "Fri, 01 Jan 2027 00:00:00 GMT"


async def test_where_no_day_is_known_none_is_told() -> None:
    answer = await ask("/v1/older")
    assert (answer.header("sunset"), answer.header("location")) == (None, "/v1/new")


async def test_below_a_host_the_way_is_the_hosts() -> None:
    answer = await ask("/api/v1/old", root_path="/api")
    assert answer.header("location") == "/api/v1/new"


async def test_no_root_that_a_request_has_chosen_leads_to_another_server() -> None:
    answer = await ask("//else.example/v1/old", root_path="//else.example")
    assert answer.header("location") == "/else.example/v1/new"


@pytest.mark.parametrize("path", ["/v1/old/", "/v1/older/x", "/v1/new", "/v1/OLD", "/"])
async def test_all_else_passes(path: str) -> None:
    assert (await ask(path)).body == b"app"


async def test_without_a_dialect_the_field_has_no_brand() -> None:
    layer = LegacyMiddleware(Responder(b"app"), routes=ROUTES)
    answer = await Exchange(http_scope("GET", "/v1/old")).run(layer)
    assert answer.header("deprecated") == "route"


@pytest.mark.parametrize(
    "path", ["v1/old", "//evil.test/x", "https://evil.test", "/a\r\nb", "/a?b"]
)
def test_what_is_no_path_is_refused(path: str) -> None:
    for routes in ({path: Moved("/v1/new")}, {"/v1/old": Moved(path)}):
        with pytest.raises(ValueError, match="is no path of a route"):
            LegacyMiddleware(Responder(), routes=routes)


@pytest.mark.parametrize("to", ["/v1/old", "/v1/older"])
def test_a_route_leads_to_one_that_is_there(to: str) -> None:
    with pytest.raises(ValueError, match="has moved, too"):
        LegacyMiddleware(Responder(), routes={**ROUTES, "/v1/x": Moved(to)})
