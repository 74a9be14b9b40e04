"""The rate-limit layer: its options, what it cannot do without, and where it may stand."""

from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route

from tests.asgi import Responder
from tests.layers.limits import (
    REQUESTS,
    SLOTS,
    TOKENS,
    Watched,
    ask,
    estimated,
    limited,
    plain,
)
from tests.layers.probe import call
from veneer.facts import Usage
from veneer.layers.ratelimit import RateLimitMiddleware
from veneer.layers.relay import RelayMiddleware
from veneer.quotas.policy import QuotaPolicy
from veneer.stack import Stack
from veneer.wiring import ConfigurationError

ONE = QuotaPolicy("1/minute", partition="all")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"max_wait": -1.0}, "max_wait is -1.0"),
        ({"max_wait": float("nan")}, "max_wait is nan"),
        ({"max_wait": float("inf")}, "max_wait is inf"),
        ({"max_wait": 1.0, "max_waiting": 0}, "max_waiting 0"),
        ({"max_waiting": -1}, "max_waiting -1"),
        ({"upstream_fields": "show"}, "'show'. Known are pass, hide, merge"),
        ({"draft": "draft-99"}, "'draft-99'. Known are draft-11, draft-7"),
        ({"trusted_proxies": ["nonsense"]}, "trusted_proxies has 'nonsense'"),
    ],
)
def test_options_that_cannot_be_are_refused(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        limited(plain(), REQUESTS, **options)


async def test_a_principal_is_needed_by_who_goes_by_it_and_by_nobody_else() -> None:
    layer = limited(plain(), QuotaPolicy("1/minute"))
    with pytest.raises(ConfigurationError, match=r"^RateLimitMiddleware reads Principal, which"):
        await ask(layer)
    with pytest.raises(ConfigurationError, match=r"reads Principal"):
        Stack([Middleware(RateLimitMiddleware, policies=[QuotaPolicy("1/minute")])], plain())
    Stack([Middleware(RateLimitMiddleware, policies=[ONE])], plain())


def test_usage_is_needed_by_who_counts_tokens() -> None:
    with pytest.raises(ConfigurationError, match=r"^RateLimitMiddleware reads Usage, which"):
        RateLimitMiddleware(plain(), policies=[TOKENS])
    RateLimitMiddleware(plain(), policies=[REQUESTS, SLOTS])
    RateLimitMiddleware(plain(), policies=[TOKENS], provides=[Usage])


async def test_it_works_alone_before_a_host_s_app() -> None:
    async def chat(request: Request) -> JSONResponse:
        return JSONResponse(await request.json())

    app = Starlette(routes=[Route("/v1/chat/completions", chat, methods=["POST"])])
    app.add_middleware(RateLimitMiddleware, policies=[ONE, SLOTS])
    answers = [await ask(app) for _ in range(2)]
    assert [answer.status for answer in answers] == [200, 429]
    assert answers[0].json()["model"] == "small"
    assert answers[1].header("x-ratelimit-remaining-requests") == "0"


async def test_it_works_in_a_stack_that_is_mounted() -> None:
    watched = Watched()
    stack = Stack(
        [
            Middleware(
                RateLimitMiddleware, policies=[ONE, TOKENS], limiter=watched, estimator=estimated
            ),
            Middleware(RelayMiddleware),
        ],
        plain(),
    )
    app = Starlette(routes=[Mount("/llm", stack)])
    answers = [await ask(app, call("/llm/v1/chat/completions")) for _ in range(2)]
    assert [answer.status for answer in answers] == [200, 429]
    assert watched.settled == [8]


async def test_its_limiter_lives_as_long_as_it_does() -> None:
    class Living(Watched):
        open = 0

        def lifespan(self) -> AbstractAsyncContextManager[object]:
            limiter = self

            class Open(AbstractAsyncContextManager[object]):
                async def __aenter__(self) -> None:
                    limiter.open += 1

                async def __aexit__(self, *_: object) -> None:
                    limiter.open -= 1

            return Open()

    living = Living()
    stack = Stack([Middleware(RateLimitMiddleware, policies=[ONE], limiter=living)], Responder())
    async with stack.lifespan():
        assert living.open == 1
        assert (await ask(stack)).status == 200
    assert living.open == 0


@pytest.mark.parametrize("max_wait", [0.0, 1.0])
async def test_layers_that_wait_for_other_times_each_ask_for_their_own(max_wait: float) -> None:
    watched = Watched()
    inner = limited(plain(), SLOTS, limiter=watched, max_wait=2.0)
    layer = RateLimitMiddleware(inner, policies=[REQUESTS], limiter=watched, max_wait=max_wait)
    assert layer.counting.limiter is not inner.counting.limiter
    assert (await ask(layer)).status == 200
    assert [[charge.cost for charge in take] for take in watched.takes] == [[1, 0], [1]]
    assert watched.unsettled == 0
