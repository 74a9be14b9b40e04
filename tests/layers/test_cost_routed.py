"""What calls cost whose target is chosen when they are made."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.types import ASGIApp, Receive, Scope, Send

from tests.asgi import Exchange, json_request
from tests.layers.costs import COST, HELD, Watched, ask, charged
from tests.layers.limits import plain
from tests.layers.probe import SSE, Script, call
from tests.layers.streams import CHAT_WITH_USAGE
from veneer import facts
from veneer.budgets.policy import BudgetPolicy
from veneer.dialects.auriko import auriko
from veneer.facts import Cost, Principal, RequestMetadata, Route, Tried, Usage
from veneer.layers.cost import CostMiddleware
from veneer.layers.headers import HeadersMiddleware
from veneer.layers.routing import RoutingMiddleware
from veneer.ledger.entry import Settlement
from veneer.prices.book import PriceBook
from veneer.prices.money import DOLLAR
from veneer.prices.price import Price
from veneer.routing.preferences import Preferences


def price(times: int) -> Price:
    """Return so many times the price of `small`."""
    return Price(input=times * DOLLAR, output=2 * times * DOLLAR)


BOOK = PriceBook(
    [
        ("small", price(1)),
        ("east/small", price(3)),
        ("west/*", price(2)),
        ("big", price(10)),
        ("east/big", price(8)),
        ("*", price(100)),
    ],
    version="v1",
)
TARGETS = ("east", "west", "north")


def answered_by(route: Route, app: ASGIApp | None = None) -> ASGIApp:
    """Return an app that answers as a router does."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        facts.put(scope, route)
        await (app or plain())(scope, receive, send)

    return answer


def at(target: str, canonical: str | None = "small", **more: Any) -> Route:
    return Route(target=target, status=200, canonical=canonical, **more)


def asked(*models: str, **more: Any) -> Exchange:
    """Return a call that any of some models may answer."""
    exchange = call(model=models[0])
    facts.put(exchange.scope, Preferences(models=models, **more))
    return exchange


def held(watched: Watched) -> int:
    [hold] = watched.holds
    return (hold.amount - 5) // (HELD - 5)


@pytest.mark.parametrize(
    ("route", "times", "name"),
    [
        (at("east"), 3, "east/small"),
        (at("west"), 2, "west/small"),
        (at("north"), 1, "small"),
        (at("elsewhere"), 1, "small"),
        (at("west", None), 2, "west/small"),
    ],
)
async def test_whoever_answers_is_paid_its_own_price(route: Route, times: int, name: str) -> None:
    watched = Watched()
    answer = await ask(charged(answered_by(route), ledger=watched, prices=BOOK, providers=TARGETS))
    assert held(watched) == 3
    assert (watched.end.total, watched.end.priced_model) == (times * COST, name)
    assert watched.end.target == route.target
    assert answer.json()["usage"]["cost"] == times * 0.000011


async def test_a_stream_is_paid_the_same() -> None:
    watched = Watched()
    app = answered_by(at("west"), Script(*CHAT_WITH_USAGE, headers=SSE))
    layer = charged(app, ledger=watched, prices=BOOK, providers=TARGETS)
    await call(stream=True).run(layer)
    assert watched.end.total == 2 * COST


@pytest.mark.parametrize("overrun", ["charge", "cut"])
async def test_a_cheap_stream_is_not_cut_where_a_dear_one_would_be(overrun: Any) -> None:
    watched = Watched()
    app = answered_by(at("north"), Script(*CHAT_WITH_USAGE, headers=SSE))
    layer = charged(app, ledger=watched, prices=BOOK, providers=TARGETS, overrun=overrun)
    await call(stream=True).run(layer)
    assert (watched.end.state, watched.end.total) == ("completed", COST)


@pytest.mark.parametrize(
    ("route", "times"), [(at("north", "small"), 1), (at("east", "big"), 8), (at("west", "big"), 2)]
)
async def test_of_several_models_the_dearest_is_held_and_who_answers_is_paid(
    route: Route, times: int
) -> None:
    watched = Watched()
    layer = charged(answered_by(route), ledger=watched, prices=BOOK, providers=TARGETS)
    await ask(layer, asked("small", "big"))
    assert held(watched) == 10
    assert watched.end.total == times * COST


async def test_without_targets_prices_are_those_of_the_models() -> None:
    watched = Watched()
    layer = charged(answered_by(at("east", "big")), ledger=watched, prices=BOOK)
    await ask(layer, asked("small", "big"))
    assert (held(watched), watched.end.total) == (10, 10 * COST)


async def test_an_answer_that_nobody_could_read_costs_what_its_own_target_may() -> None:
    """That is the bound of the target that answered, not that of the dearest."""
    watched = Watched()
    coded = [(b"content-type", b"application/json"), (b"content-encoding", b"br")]
    app = answered_by(at("west"), Script(b"?", headers=coded))
    await ask(charged(app, ledger=watched, prices=BOOK, providers=TARGETS))
    assert watched.end.parts == {"held": 2 * (HELD - 5) + 5}


PRICED_ONCE = PriceBook([("east/small", price(3))])


async def test_whoever_has_no_price_is_paid_as_the_dearest() -> None:
    """Nothing is free that is not said to be."""
    watched = Watched()
    layer = charged(
        answered_by(at("west")), ledger=watched, prices=PRICED_ONCE, providers=("east", "west")
    )
    await ask(layer)
    assert watched.end.total == 3 * COST


async def test_unless_what_has_no_price_is_free() -> None:
    watched = Watched()
    layer = charged(
        answered_by(at("west")),
        ledger=watched,
        prices=PRICED_ONCE,
        providers=("east", "west"),
        unpriced="free",
    )
    await ask(layer)
    assert (held(watched), watched.end.total) == (3, 0)


async def test_a_list_with_a_model_that_nobody_has_a_price_of_is_refused() -> None:
    layer = charged(plain(), prices=PRICED_ONCE, providers=("east", "west"))
    answer = await ask(layer, asked("small", "nameless"))
    assert (answer.status, answer.json()["error"]["code"]) == (400, "model_not_priced")


async def test_own_keys_cost_nothing_here_and_what_they_used_is_known() -> None:
    watched = Watched()
    answer = await ask(charged(answered_by(at("east", own_key=True)), ledger=watched, prices=BOOK))
    end = watched.end
    assert (end.state, end.total, end.parts, end.estimated) == ("completed", 0, {}, False)
    assert end.usage == Usage(input_tokens=5, output_tokens=3, total_tokens=8)
    assert answer.json()["usage"]["cost"] == 0


@pytest.mark.parametrize("body", [b"", b"?"])
async def test_nor_where_nothing_could_be_seen(body: bytes) -> None:
    watched = Watched()
    coded = [(b"content-type", b"application/json"), (b"content-encoding", b"br")]
    app = answered_by(at("east", own_key=True), Script(body, headers=coded))
    await ask(charged(app, ledger=watched, prices=BOOK))
    assert watched.end.total == 0


async def test_they_are_charged_where_the_operator_says_so() -> None:
    watched = Watched()
    app = answered_by(at("north", own_key=True))
    await ask(charged(app, ledger=watched, prices=BOOK, own_keys="charge"))
    assert watched.end.total == COST


async def test_a_call_that_only_its_own_keys_pay_needs_no_budget() -> None:
    watched = Watched()
    tight = BudgetPolicy("0.0000001", partition="all")
    app = answered_by(at("north", own_key=True))
    layer = charged(app, tight, ledger=watched, prices=BOOK, providers=TARGETS)
    refused = await ask(layer)
    assert refused.json()["error"]["code"] == "insufficient_quota"
    exchange = call()
    facts.put(exchange.scope, Preferences(only_byok=True))
    assert (await ask(layer, exchange)).status == 200
    assert [hold.amount for hold in watched.holds] == [0]
    assert watched.end.total == 0


async def test_it_needs_no_price_either() -> None:
    exchange = call(model="nameless")
    facts.put(exchange.scope, Preferences(only_byok=True))
    watched = Watched()
    app = answered_by(at("north", "nameless", own_key=True))
    layer = charged(app, ledger=watched, prices=PRICED_ONCE, providers=TARGETS)
    assert (await ask(layer, exchange)).status == 200
    assert watched.end.total == 0


@pytest.mark.parametrize(
    ("model", "status", "code"), [("small", 429, "insufficient_quota"), ("none", 400, None)]
)
async def test_without_a_router_nobody_sees_to_it_that_own_keys_are_used(
    model: str, status: int, code: str | None
) -> None:
    exchange = call(model=model)
    facts.put(exchange.scope, Preferences(only_byok=True))
    tight = BudgetPolicy("0.0000001", partition="all")
    book = PriceBook([("small", price(1))])
    answer = await ask(charged(plain(), tight, prices=book), exchange)
    assert answer.status == status
    assert answer.json()["error"]["code"] == (code or "model_not_priced")


FAILED = Tried(
    target="west",
    model="meta/small",
    why="broken",
    status=200,
    usage=Usage(input_tokens=7, output_tokens=1, total_tokens=8),
    seconds=0.5,
)


class Noting(Watched):
    """A ledger that takes rows which it has not held."""

    async def settle(self, settlement: Settlement, /) -> None:
        """Settle."""
        self.settled.append(settlement)
        await self.ledger.settle(settlement)


async def test_what_failed_tries_used_is_a_row_that_costs_nothing() -> None:
    watched = Noting()
    silent = Tried(target="north", why="timeout")
    route = at("east", tried=(FAILED, silent))
    me = Principal(id="me", team="red", tags=("a",))
    daily = BudgetPolicy("1", partition="team", period="day")
    layer = charged(answered_by(route), daily, ledger=watched, principal=me)
    exchange = call()
    facts.put(exchange.scope, RequestMetadata(tags=("b", "a")))
    await exchange.run(layer)
    main, tried = watched.settled
    assert (main.total, main.target) == (COST, "east")
    assert (tried.state, tried.total, tried.target, tried.status) == ("failed", 0, "west", 200)
    assert (tried.usage, tried.latency) == (FAILED.usage, 0.5)
    assert tried.answered_model == "meta/small"
    assert tried.call != main.call
    found = await watched.find(tried.call)
    assert found is not None
    assert (found.hold.amount, found.hold.accounts) == (0, ())
    assert (found.hold.team, found.hold.tags, found.hold.model) == (
        "red",
        ("a", "client:b", "client:a"),
        "small",
    )


async def test_what_a_client_says_of_its_request_is_in_its_row() -> None:
    watched = Watched()
    layer = RoutingMiddleware(charged(plain(), ledger=watched), gateway=True)
    metadata = {"tags": ["night", "batch"], "user_id": "u"}
    body = {"model": "small:cost", "messages": [], "gateway": {"metadata": metadata}}
    assert (await json_request(body).run(layer)).status == 200
    [hold] = watched.holds
    assert (hold.tags, hold.user, hold.model) == (("client:night", "client:batch"), None, "small")


async def test_its_metadata_tells_what_was_paid() -> None:
    app = answered_by(at("west", "small", model="meta/small", strategy="cost"))
    layer = HeadersMiddleware(charged(app, prices=BOOK, providers=TARGETS), dialect=auriko())
    metadata = (await ask(layer)).json()["routing_metadata"]
    assert metadata["cost"] == {"usd": 0.000022}
    assert (metadata["provider"], metadata["routing_strategy"]) == ("west", "cost")


@pytest.mark.parametrize(
    ("options", "said"),
    [({"own_keys": "some"}, "own_keys"), ({"providers": "east"}, "providers")],
)
def test_options_that_cannot_be_are_refused(options: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        CostMiddleware(plain(), prices=BOOK, provides=[Usage], **options)


NAMES = st.sampled_from(["small", "big", "other"])


@given(
    models=st.lists(NAMES, min_size=1, max_size=3, unique=True),
    target=st.sampled_from(["east", "west", "north"]),
    own=st.booleans(),
    data=st.data(),
)
async def test_no_answer_within_its_estimate_costs_more_than_was_held(
    models: list[str], target: str, data: Any, *, own: bool
) -> None:
    watched = Watched()
    route = at(target, data.draw(st.sampled_from(models)), own_key=own)
    exchange = asked(*models)
    layer = charged(answered_by(route), ledger=watched, prices=BOOK, providers=TARGETS)
    await exchange.run(layer)
    [hold] = watched.holds
    assert 0 <= watched.end.total <= hold.amount
    assert (watched.end.total == 0) == own
    cost = facts.get(exchange.scope, Cost)
    assert cost is not None
    assert cost.total == watched.end.total
    assert json.loads(exchange.body)["usage"]["cost"] * DOLLAR == pytest.approx(cost.total)
