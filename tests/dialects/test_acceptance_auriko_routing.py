"""Auriko's real clients say how their calls are routed, before a router and its targets."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from auriko._client import AsyncClient, Client
from auriko.errors.mapping import map_openai_error
from auriko.errors.types import AurikoAPIError, BadRequestError, NotFoundError
from auriko.route_types import (
    DataPolicy,
    GatewayOptions,
    Mode,
    Optimize,
    RoutingOptions,
    parse_routing_metadata,
)
from openai import APIStatusError, OpenAI
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Receive, Scope, Send

from tests.dialects.served import SAYS_HELLO, Served
from tests.listening import listening
from veneer.catalog.model import Model
from veneer.demo import DemoModel, DemoServer
from veneer.dialects.auriko import auriko
from veneer.facts import OwnKeys, Principal
from veneer.layer import Layer
from veneer.layers.cost import CostMiddleware
from veneer.layers.errors import ErrorMiddleware
from veneer.layers.headers import HeadersMiddleware
from veneer.layers.models import ModelsMiddleware
from veneer.layers.relay import RelayMiddleware
from veneer.layers.routing import RoutingMiddleware
from veneer.ledger.memory import MemoryLedger
from veneer.prices.book import PriceBook
from veneer.prices.money import DOLLAR
from veneer.prices.price import Price
from veneer.routing.target import Target
from veneer.stack import Stack
from veneer.upstream.router import Router

SMALL, BIG, BLIND = (
    Model(id="small", aliases=("gpt-4o-mini",)),
    Model(id="big"),
    Model(id="blind", capabilities=frozenset({"streaming"})),
)
NAMES = {"small": "meta/small-v1", "big": "big", "blind": "blind"}


def price(times: int) -> Price:
    return Price(input=times * DOLLAR, output=2 * times * DOLLAR)


def served_models(*names: str) -> DemoServer:
    return DemoServer(models=[DemoModel(name) for name in names])


async def broken(scope: Scope, receive: Receive, send: Send) -> None:
    """Be a target that is out of order."""
    if scope["type"] != "http":
        return
    await receive()
    head = [(b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": 503, "headers": head})
    await send({"type": "http.response.body", "body": b'{"error":{"message":"no"}}'})


class Caller(Layer):
    """Says who calls: somebody with a key of their own for one target."""

    writes = (Principal, OwnKeys)

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Say it."""
        known = scope["veneer.facts"]
        known[Principal] = Principal(id="me", tags=("team-tag",))
        known[OwnKeys] = OwnKeys({"mine": "sk-secret"})
        await self.app(scope, receive, send)


def router() -> Router:
    """Return one with a cheap target, one that promises more, one for own keys, a broken one."""
    return Router(
        [
            Target(
                name="cheap",
                app=served_models("meta/small-v1", "big"),
                models=NAMES,
                prices=PriceBook([("*", price(1))]),
            ),
            Target(
                name="safe",
                app=served_models("small", "big", "blind"),
                prices=PriceBook([("*", price(3))]),
                data_policy="zdr",
            ),
            Target(
                name="mine",
                app=served_models("small"),
                models={"small": "small"},
                prices=PriceBook([("*", price(2))]),
                platform=False,
                own_keys=True,
            ),
            Target(
                name="broken",
                app=broken,
                models={"small": "*"},
                prices=PriceBook([("*", price(1))]),
            ),
        ],
        affinity=False,
    )


def stack(ledger: MemoryLedger) -> ASGIApp:
    prices = PriceBook([("safe/*", price(3)), ("*", price(1))], version="v1")
    targets = ("cheap", "safe", "mine", "broken")
    layers = [
        Middleware(HeadersMiddleware, dialect=auriko()),
        Middleware(ErrorMiddleware),
        Middleware(Caller),
        Middleware(RoutingMiddleware),
        Middleware(ModelsMiddleware, models=[SMALL, BIG, BLIND]),
        Middleware(CostMiddleware, prices=prices, ledger=ledger, providers=targets),
        Middleware(RelayMiddleware),
    ]
    return Stack(layers, router())


@pytest.fixture(scope="module")
def ledger() -> MemoryLedger:
    return MemoryLedger()


@pytest.fixture(scope="module")
def served(ledger: MemoryLedger) -> Iterator[Served]:
    with listening(stack(ledger)) as port:
        yield Served(port)


@pytest.fixture
def client(served: Served) -> Iterator[Any]:
    made: Any = Client(api_key="k", base_url=served.url, max_retries=0)
    with made._httpx:
        yield made


@pytest.fixture
async def async_client(served: Served) -> AsyncIterator[Any]:
    made: Any = AsyncClient(api_key="k", base_url=served.url, max_retries=0)
    async with made._httpx:
        yield made


def ask(client: Any, model: str | None = "small", **options: Any) -> Any:
    """Make a call with options of its routing, and return the answer."""
    models = options.pop("models", None)
    metadata = options.pop("metadata", None)
    routing = RoutingOptions(**options) if options else None
    said = {"routing": routing, "models": models, "metadata": metadata}
    gateway = GatewayOptions(**{name: value for name, value in said.items() if value})
    named = {} if model is None else {"model": model}
    return client.chat.completions.create(**named, messages=SAYS_HELLO, gateway=gateway)


def test_the_cheapest_answers_and_says_so(client: Any) -> None:
    answer = ask(client, optimize=Optimize.COST, exclude_providers=["broken"])
    metadata = answer.routing_metadata
    assert (metadata.provider, metadata.provider_model_id) == ("cheap", "meta/small-v1")
    assert (metadata.model_canonical, metadata.routing_strategy) == ("small", "cost")
    assert answer.model == "small"
    assert metadata.warnings == []


def test_a_suffix_says_the_same(client: Any) -> None:
    answer = ask(client, "gpt-4o-mini:cost", exclude_providers=["broken"])
    metadata = answer.routing_metadata
    assert (metadata.provider, metadata.routing_strategy) == ("cheap", "cost")
    assert answer.model == "gpt-4o-mini"


def test_who_answers_is_paid(client: Any) -> None:
    for name, times in (("cheap", 1), ("safe", 3)):
        answer = ask(client, providers=[name])
        usage = answer.usage
        tokens = usage.prompt_tokens + 2 * usage.completion_tokens
        assert answer.routing_metadata.cost.usd == pytest.approx(times * tokens / 10**6)


def test_a_data_policy_is_kept(client: Any) -> None:
    answer = ask(client, data_policy=DataPolicy.ZDR)
    assert answer.routing_metadata.provider == "safe"


def test_own_keys_cost_nothing(client: Any) -> None:
    answer = ask(client, only_byok=True)
    assert answer.routing_metadata.provider == "mine"
    assert answer.routing_metadata.cost.usd == 0
    assert answer.usage.total_tokens > 0


def test_weights_are_a_strategy_of_their_own(client: Any) -> None:
    answer = ask(client, weights={"cost": 1.0, "ttft": 0.5}, exclude_providers=["broken"])
    assert answer.routing_metadata.routing_strategy == "custom"


def test_any_of_several_models_may_answer(client: Any) -> None:
    answer = ask(client, None, models=["big", "small"], mode=Mode.FALLBACK, only_platform=True)
    assert (answer.routing_metadata.model_canonical, answer.model) == ("big", "big")
    tools = [{"type": "function", "function": {"name": "f", "parameters": {}}}]
    gateway = GatewayOptions(
        models=["blind", "big"], routing=RoutingOptions(mode=Mode.FALLBACK, only_platform=True)
    )
    answer = client.chat.completions.create(messages=SAYS_HELLO, tools=tools, gateway=gateway)
    assert answer.routing_metadata.model_canonical == "big"


def test_one_that_fails_is_not_seen(client: Any) -> None:
    answer = ask(client, providers=["broken", "safe"], prefer="broken")
    assert answer.routing_metadata.provider == "safe"


def test_streams_tell_it_in_their_last_frame(client: Any) -> None:
    stream = client.chat.completions.create(
        model="small:tps", messages=SAYS_HELLO, stream=True, gateway={"routing": {"tier": None}}
    )
    *before, _last = stream
    metadata = stream.routing_metadata
    assert metadata.routing_strategy == "tps"
    assert metadata.ttft_ms is not None
    assert {chunk.model for chunk in before} == {"small"}
    assert all(chunk.routing_metadata is None for chunk in before)


def test_responses_are_routed_too(client: Any) -> None:
    gateway = GatewayOptions(routing=RoutingOptions(providers=["cheap"]))
    answer = client.responses.create(model="small:cost", input="Hello!", gateway=gateway)
    assert answer.routing_metadata.provider == "cheap"
    stream = client.responses.create(model="small", input="Hi", gateway=gateway, stream=True)
    assert list(stream)
    assert stream.completed_response.routing_metadata.provider == "cheap"
    assert stream.completed_response.model == "small"


async def test_the_asynchronous_client_says_the_same(async_client: Any) -> None:
    answers = await asyncio.gather(
        *(ask(async_client, providers=[name]) for name in ("cheap", "safe") * 3)
    )
    found = [answer.routing_metadata.provider for answer in answers]
    assert found == ["cheap", "safe"] * 3


def test_openais_client_says_it_in_its_extra_body(served: Served) -> None:
    body = RoutingOptions(providers=["safe"]).to_extra_body()
    with OpenAI(base_url=served.url, api_key="k", max_retries=0) as client:
        create = client.chat.completions.create
        answer = create(model="small", messages=SAYS_HELLO, extra_body=body)
        *before, last = create(model="small", messages=SAYS_HELLO, stream=True, extra_body=body)
    for told in (answer, last):
        metadata = parse_routing_metadata(told)
        assert metadata is not None
        assert metadata.provider == "safe"
    assert not any(map(parse_routing_metadata, before))


def test_what_is_said_of_a_request_is_in_the_ledger(client: Any, ledger: MemoryLedger) -> None:
    ask(client, metadata={"tags": ["night"], "trace_id": "t-1"}, providers=["cheap"])
    *_, row = ledger._rows.values()
    assert "night" in str(row.opened)
    assert "team-tag" in str(row.opened)


@pytest.mark.parametrize(
    ("gateway", "code", "param"),
    [
        ({"routing": {"optimise": "cost"}}, "unknown_field", "gateway.routing.optimise"),
        (
            {"routing": {"only_byok": True, "only_platform": True}},
            "invalid_parameter_value",
            "gateway.routing.only_platform",
        ),
        ({"routing": {"max_ttft_ms": 0}}, "invalid_parameter_value", "gateway.routing.max_ttft_ms"),
        ({"metadata": {"user": "u"}}, "unknown_field", "gateway.metadata.user"),
    ],
)
def test_what_cannot_be_said_is_refused(client: Any, gateway: Any, code: str, param: str) -> None:
    with pytest.raises(BadRequestError) as caught:
        client.chat.completions.create(model="small", messages=SAYS_HELLO, gateway=gateway)
    assert (caught.value.code, caught.value.param) == (code, param)


def test_models_that_there_are_not_are_named(client: Any) -> None:
    with pytest.raises(NotFoundError) as caught:
        ask(client, None, models=["small", "nope"])
    assert (caught.value.code, caught.value.param) == ("model_not_found", "gateway.models.1")


@pytest.mark.parametrize(
    ("routing", "code"),
    [
        ({"providers": ["nobody"]}, "provider_not_in_allowlist"),
        ({"exclude_providers": ["cheap", "safe", "mine", "broken"]}, "provider_blocked"),
        ({"max_cost_per_1m": 0.001}, "cost_constraint_exceeded"),
        ({"tier": "priority", "only_platform": True}, "no_compatible_endpoint"),
    ],
)
def test_where_nobody_fits_its_client_knows_why(
    client: Any, served: Served, routing: Any, code: str
) -> None:
    with pytest.raises(BadRequestError) as caught:
        ask(client, **routing)
    assert caught.value.code == code
    with (
        OpenAI(base_url=served.url, api_key="k", max_retries=0) as openai,
        pytest.raises(APIStatusError) as theirs,
    ):
        openai.chat.completions.create(
            model="small", messages=SAYS_HELLO, extra_body={"gateway": {"routing": routing}}
        )
    mapped = map_openai_error(theirs.value)
    assert isinstance(mapped, AurikoAPIError)
    assert mapped.code == code


def test_a_model_and_models_contradict_each_other(served: Served) -> None:
    """Its own client sees to that itself."""
    body = {"gateway": {"models": ["small"]}}
    with (
        OpenAI(base_url=served.url, api_key="k", max_retries=0) as client,
        pytest.raises(APIStatusError, match="stands in place of 'model'") as caught,
    ):
        client.chat.completions.create(model="small", messages=SAYS_HELLO, extra_body=body)
    mapped: Any = map_openai_error(caught.value)
    assert (mapped.code, mapped.param) == ("invalid_parameter_value", "gateway.models")


def test_a_provider_that_nobody_knows_is_a_warning(client: Any) -> None:
    metadata = ask(client, providers=["safe", "nobody"]).routing_metadata
    assert metadata.provider == "safe"
    assert [warning.type for warning in metadata.warnings] == ["unknown_provider"]
