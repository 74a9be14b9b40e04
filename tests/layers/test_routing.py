"""What calls say of routing, taken out of them in front of an app."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.types import ASGIApp, Scope

from tests.asgi import Exchange, Responder, http_scope, json_request
from tests.layers.limits import Known
from tests.layers.probe import Script, upload
from tests.lint import Lint
from veneer import facts
from veneer.call import Call
from veneer.catalog.model import Model, Resolved
from veneer.dialects import OPENAI
from veneer.dialects.auriko import auriko
from veneer.facts import Principal, RequestMetadata
from veneer.layers.headers import HeadersMiddleware
from veneer.layers.models import ModelsMiddleware
from veneer.layers.routing import RoutingMiddleware, says_gateway
from veneer.routing.preferences import NO_PREFERENCES, Preferences
from veneer.wire import splice

OPERATOR = Preferences(optimize="tps", data_policy="no_training")


class Below:
    """What comes out below the layer: the body, and the facts."""

    def __init__(self) -> None:
        self.app = Script(b'{"ok":true}')

    @property
    def body(self) -> bytes:
        """The body that came."""
        return self.app.request

    @property
    def scope(self) -> Scope:
        """The scope that came."""
        return self.app.scope

    def found(self, kind: type[Any]) -> Any:
        """Return a fact."""
        return facts.get(self.app.scope, kind)


def routing(app: ASGIApp, **options: Any) -> ASGIApp:
    return Lint(RoutingMiddleware(Lint(app), **{"gateway": True, **options}))


async def ask(body: Any, *, path: str = "/v1/chat/completions", **options: Any) -> Below:
    """Have the layer pass a body on, which it is to do."""
    below = Below()
    text = body if isinstance(body, bytes) else json.dumps(body).encode()
    exchange = await Exchange(http_scope(path=path), [text]).run(routing(below.app, **options))
    assert exchange.status == 200, exchange.body
    return below


async def refused(body: Any, **options: Any) -> dict[str, Any]:
    app = Responder(b"{}")
    exchange = await json_request(body).run(routing(app, **options))
    assert app.scopes == []
    assert exchange.status == 400
    error: dict[str, Any] = exchange.json()["error"]
    return error


async def test_the_member_is_cut_out_and_all_else_stays() -> None:
    body = (
        b'{ "model":"a", "gateway" : {"routing":{"optimize":"cost"}} ,"n":1.0, "messages":'
        b'[{"role":"user","content":"the \\"gateway\\": {}"}]}'
    )
    below = await ask(body)
    assert below.body == body.replace(b', "gateway" : {"routing":{"optimize":"cost"}}', b"", 1)
    assert dict(below.scope["headers"])[b"content-length"] == b"%d" % len(below.body)
    assert below.found(Preferences) == Preferences(optimize="cost")
    assert below.found(Call).model == "a"


@pytest.mark.parametrize("path", ["chat/completions", "completions", "responses", "embeddings"])
async def test_every_operation_that_is_routed_may_say_it(path: str) -> None:
    below = await ask({"model": "a:nitro", "gateway": {}}, path=f"/v1/{path}")
    assert below.body == b'{"model": "a"}'
    assert below.found(Preferences).optimize == "tps"


async def test_others_pass() -> None:
    body = {"model": "a:nitro", "gateway": {"zzz": 1}}
    below = await ask(body, path="/v1/moderations")
    assert json.loads(below.body) == body
    assert below.found(Preferences) is None


async def test_uploads_pass() -> None:
    below = Below()
    await upload().run(routing(below.app))
    assert below.body == b"abc"


async def test_a_body_that_says_nothing_passes_as_it_came() -> None:
    body = b'{"model" :"llama3:8b" }'
    below = await ask(body, preferences=OPERATOR)
    assert below.body is body or below.body == body
    assert below.found(Preferences) is OPERATOR or below.found(Preferences) == OPERATOR
    assert below.found(Call).model == "llama3:8b"


async def test_the_operators_defaults_are_below_what_is_said() -> None:
    below = await ask({"model": "a:cost"}, preferences=OPERATOR)
    assert below.found(Preferences) == Preferences(optimize="cost", data_policy="no_training")


async def test_names_written_with_escapes_are_the_same_names() -> None:
    body = b'{"model":"a\\u003acost","g\\u0061teway":{"models":null}}'
    below = await ask(body)
    assert below.body == b'{"model":"a"}'
    assert below.found(Preferences).optimize == "cost"


async def test_a_model_whose_name_ends_like_a_suffix_keeps_it() -> None:
    below = await ask({"model": "a:fast", "messages": []}, names=["a:fast"])
    assert below.found(Call).model == "a:fast"
    assert below.found(Preferences) == Preferences()


async def test_several_models_stand_in_place_of_one() -> None:
    below = await ask({"messages": [], "gateway": {"models": ["a:ttft", "b"]}})
    assert json.loads(below.body) == {"messages": [], "model": "a"}
    assert below.found(Call).model == "a"
    assert below.found(Preferences) == Preferences(optimize="ttft", models=("a", "b"))


async def test_what_is_said_of_the_request_is_a_fact() -> None:
    below = await ask({"model": "a", "gateway": {"metadata": {"tags": ["x"], "trace_id": "t"}}})
    assert below.found(RequestMetadata) == RequestMetadata(tags=("x",), trace_id="t")
    assert (await ask({"model": "a"})).found(RequestMetadata) is None


@pytest.mark.parametrize(
    ("body", "code", "param"),
    [
        ({"gateway": {"routing": {"optimise": "cost"}}}, "unknown_field", "routing.optimise"),
        (
            {"gateway": {"routing": {"only_byok": 1}}},
            "invalid_parameter_value",
            "routing.only_byok",
        ),
        ({"model": "a", "gateway": {"models": ["b"]}}, "invalid_parameter_value", "models"),
        (
            {"model": "a:cost", "gateway": {"routing": {"optimize": "tps"}}},
            "invalid_parameter_value",
            "routing.optimize",
        ),
    ],
)
async def test_what_cannot_be_said_is_refused(body: Any, code: str, param: str) -> None:
    app = Responder(b"{}")
    layer = HeadersMiddleware(RoutingMiddleware(app), dialect=auriko())
    exchange = await json_request(body).run(layer)
    error = exchange.json()["error"]
    assert (exchange.status, error["code"], error["param"]) == (400, code, f"gateway.{param}")
    assert app.scopes == []


async def test_a_member_that_stands_twice_is_refused() -> None:
    app = Responder(b"{}")
    body = b'{"model":"a","gateway":{},"g\\u0061teway":{"routing":{"tier":"x"}}}'
    exchange = await Exchange(http_scope(), [body]).run(routing(app))
    assert (exchange.status, exchange.json()["error"]["param"]) == (400, "gateway")
    assert app.scopes == []


async def test_what_stands_deeper_is_none_of_ours() -> None:
    body = b'{"model":"a","metadata":{"gateway":{"zzz":1}}}'
    assert (await ask(body)).body == body


async def test_a_body_of_too_many_members_is_refused_where_one_is_looked_for() -> None:
    body = {"model": "a", "gateway": {}, **{f"m{number}": 1 for number in range(1000)}}
    assert "too many members" in (await refused(body))["message"]


@pytest.mark.parametrize("body", [b"[]", b"{", b'{"model":5}', b'{"model":"a","gateway":{}'])
async def test_a_body_that_cannot_be_read_is_refused(body: bytes) -> None:
    app = Responder(b"{}")
    exchange = await Exchange(http_scope(), [body]).run(routing(app))
    assert exchange.status == 400
    assert app.scopes == []


@pytest.mark.parametrize(
    ("dialect", "option", "read"),
    [
        (auriko(), None, True),
        (OPENAI, None, False),
        (None, None, False),
        (OPENAI, True, True),
        (auriko(), False, False),
    ],
)
async def test_it_is_read_where_the_dialect_has_it_or_the_operator_says_so(
    dialect: Any, option: Any, *, read: bool
) -> None:
    body = b'{"model":"a:cost","gateway":{"routing":{}}}'
    below = Below()
    exchange = Exchange(http_scope(), [body])
    if dialect is not None:
        facts.put(exchange.scope, dialect)
    await exchange.run(RoutingMiddleware(below.app, gateway=option, preferences=OPERATOR))
    assert below.body == (b'{"model":"a"}' if read else body)
    optimize = "cost" if read else "tps"
    assert below.found(Preferences).optimize == optimize


@given(st.lists(st.booleans(), min_size=7, max_size=7))
def test_however_a_name_is_written_it_is_seen(escaped: list[bool]) -> None:
    letters = zip("gateway", escaped, strict=True)
    name = "".join(f"\\u{ord(letter):04x}" if hidden else letter for letter, hidden in letters)
    body = f'{{"model":"a","{name}":{{}}}}'.encode()
    assert says_gateway(body)
    assert splice.value(body, ("gateway",)) == b"{}"


@pytest.mark.parametrize("body", [b'{"model":"a"}', b'{"gateways":1}', b'{"x":"\\u0067"}'])
def test_and_nothing_else_is(body: bytes) -> None:
    assert not says_gateway(body)


BIG, SMALL, BLIND = (
    Model(id="big", aliases=("gpt-big",), capabilities=frozenset({"tools"})),
    Model(id="small"),
    Model(id="blind", capabilities=frozenset()),
)
HELD = Principal(id="held", models=("small", "blind"))
TOOLS = [{"type": "function", "function": {"name": "f"}}]


def catalogued(app: ASGIApp, principal: Principal | None = None, **options: Any) -> ASGIApp:
    layers = RoutingMiddleware(ModelsMiddleware(app, models=(BIG, SMALL, BLIND), **options))
    below = layers if principal is None else Known(layers, principal)
    return HeadersMiddleware(below, dialect=auriko())


async def chosen(names: list[str], principal: Principal | None = None, **more: Any) -> Below:
    below = Below()
    body = {"messages": [], "gateway": {"models": names}, **more}
    exchange = await json_request(body).run(catalogued(below.app, principal))
    assert exchange.status == 200, exchange.body
    return below


async def test_each_of_several_models_is_found_by_its_name() -> None:
    below = await chosen(["gpt-big:cost", "small", "big"])
    assert below.found(Preferences).models == ("big", "small")
    assert below.found(Resolved) == Resolved("gpt-big", BIG)
    assert below.found(Call).model == "big"
    assert json.loads(below.body) == {"messages": [], "model": "big"}


async def test_those_that_cannot_do_it_are_left_out() -> None:
    below = await chosen(["blind", "gpt-big", "small"], tools=TOOLS)
    assert below.found(Preferences).models == ("big", "small")
    assert (below.found(Resolved).model, below.found(Call).model) == (BIG, "big")


async def test_a_body_that_none_of_several_models_could_be_given_is_refused() -> None:
    picky = Model(id="picky", unsupported_parameters=("seed",))
    body = b'{"gateway":{"models":["picky","small"]},"seed":1,"seed":2}'
    app = Responder(b"{}")
    layer = ModelsMiddleware(app, models=(picky, SMALL))
    exchange = await Exchange(http_scope(), [body]).run(RoutingMiddleware(layer, gateway=True))
    assert (exchange.status, exchange.json()["error"]["param"]) == (400, "seed")
    assert app.scopes == []


async def test_where_none_can_the_first_ones_error_is_told() -> None:
    body = {"messages": [], "gateway": {"models": ["blind"]}, "tools": TOOLS}
    exchange = await json_request(body).run(catalogued(Responder(b"{}")))
    assert (exchange.status, exchange.json()["error"]["code"]) == (400, "tools_not_supported")


@pytest.mark.parametrize(
    ("names", "principal", "place"),
    [(["small", "nope"], None, 1), (["gpt-big", "small"], HELD, 0), (["small", "big"], HELD, 1)],
)
async def test_one_that_is_unknown_or_forbidden_is_no_model(
    names: list[str], principal: Principal | None, place: int
) -> None:
    body = {"messages": [], "gateway": {"models": names}}
    exchange = await json_request(body).run(catalogued(Responder(b"{}"), principal))
    error = exchange.json()["error"]
    assert (exchange.status, error["code"]) == (404, "model_not_found")
    assert error["param"] == f"gateway.models.{place}"


async def test_a_call_without_a_model_is_told_so_unless_there_is_a_default() -> None:
    body = {"messages": [], "gateway": {"routing": {"optimize": "cost"}}}
    exchange = await json_request(body).run(catalogued(Responder(b"{}")))
    error = exchange.json()["error"]
    assert (exchange.status, error["code"]) == (400, "missing_required_parameter")
    assert error["param"] == "model"
    below = Below()
    await json_request(body).run(catalogued(below.app, default="small"))
    assert json.loads(below.body) == {"messages": [], "model": "small"}


async def test_it_says_nothing_where_nothing_was_said() -> None:
    assert (await ask({"model": "a"})).found(Preferences) == NO_PREFERENCES
