"""The layer that asks for the keys that callers have of their own."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from tests.asgi import Exchange, Responder, http_scope, json_request
from tests.layers.limits import Known
from tests.lint import Lint
from tests.provider_keys.sources import Told
from veneer import facts
from veneer.facts import OwnKeys, Principal
from veneer.layers.own_keys import OwnKeysMiddleware
from veneer.lifetime import lifespan
from veneer.routing.preferences import Preferences

ANN = Principal(id="ann", team="red")
KEYS = {"a": "sk-a", "b": "sk-b", "c": "sk-c"}


class Below:
    """An app that keeps which keys it was told of."""

    def __init__(self) -> None:
        self.told: list[OwnKeys | None] = []
        self._app = Responder(b"{}")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Keep them."""
        if scope["type"] == "http":
            self.told.append(facts.get(scope, OwnKeys))
        await self._app(scope, receive, send)


def layered(below: ASGIApp, keys: Any, *, principal: Principal | None = ANN) -> ASGIApp:
    layer = Lint(OwnKeysMiddleware(Lint(below), keys=keys, targets=["a", "b", "d"]))
    return layer if principal is None else Known(layer, principal)


async def ask(app: ASGIApp, exchange: Exchange | None = None, *known: object) -> Exchange:
    exchange = exchange or json_request({"model": "m", "messages": [{}]})
    for fact in known:
        facts.put(exchange.scope, fact)
    return await exchange.run(app)


async def test_a_router_is_told_the_keys_for_the_targets_that_take_some() -> None:
    below = Below()
    await ask(layered(below, Told(KEYS)))
    assert below.told == [OwnKeys({"a": "sk-a", "b": "sk-b"})]
    assert "sk-" not in repr(below.told)


async def test_a_caller_without_keys_and_one_whom_nobody_knows_have_none() -> None:
    below, told = Below(), Told({"c": "sk-c"})
    await ask(layered(below, told))
    await ask(layered(below, told, principal=None))
    assert below.told == [None, None]
    assert told.asked == ["ann"]


async def test_nobody_is_asked_where_own_keys_do_not_count() -> None:
    below, told = Below(), Told(KEYS)
    await ask(layered(below, told), None, Preferences(only_platform=True))
    await ask(layered(below, told), Exchange(http_scope("GET", "/v1/models")))
    assert below.told == [None, None]
    assert told.asked == []


async def test_while_nobody_can_tell_calls_go_on_without(caplog: pytest.LogCaptureFixture) -> None:
    below, told = Below(), Told(KEYS)
    told.away = True
    with caplog.at_level(logging.INFO, "veneer.keys"):
        answer = await ask(layered(below, told))
    assert (answer.status, below.told) == (200, [None])
    assert "the own keys of ann are not known: away" in caplog.text


async def test_the_lifespan_of_whoever_knows_the_keys_is_part_of_ours() -> None:
    events: list[str] = []

    class Held(Told):
        @asynccontextmanager
        async def lifespan(self) -> AsyncIterator[None]:
            events.append("open")
            yield
            events.append("closed")

    async with lifespan(layered(Below(), Held(KEYS))):
        assert events == ["open"]
    assert events == ["open", "closed"]
