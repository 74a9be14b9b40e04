"""What responses say of the quotas that hold them."""

import pytest

from tests.asgi import Exchange, http_scope
from tests.layers.limits import (
    REQUESTS,
    SLOTS,
    TOKENS,
    Known,
    Watched,
    ask,
    limited,
    plain,
    streaming,
)
from tests.layers.probe import JSON, Script, call
from tests.lint import Lint
from veneer.facts import Principal
from veneer.layers.errors import ErrorMiddleware
from veneer.layers.headers import HeadersMiddleware
from veneer.layers.heartbeat import HeartbeatMiddleware
from veneer.layers.ratelimit import RateLimitMiddleware
from veneer.layers.relay import RelayMiddleware
from veneer.quotas.policy import QuotaPolicy

UPSTREAM_FIELDS = [
    *JSON,
    (b"x-ratelimit-limit-requests", b"7"),
    (b"x-ratelimit-remaining-requests", b"3"),
    (b"x-ratelimit-reset-requests", b"9s"),
    (b"x-ratelimit-limit-tokens", b"90000"),
    (b"x-ratelimit-remaining-tokens", b"80000"),
    (b"x-ratelimit-reset-tokens", b"1s"),
]


def told(exchange: Exchange) -> dict[str, str]:
    """Return the fields of an answer that tell of limits, each there once."""
    found = [
        (name.decode(), value.decode())
        for name, value in exchange.headers
        if name.startswith((b"x-ratelimit", b"ratelimit"))
    ]
    assert len(dict(found)) == len(found)
    return {name.removeprefix("x-ratelimit-"): value for name, value in found}


def stands(limit: int, remaining: int, reset: str, unit: str = "requests") -> dict[str, str]:
    return {
        f"limit-{unit}": str(limit),
        f"remaining-{unit}": str(remaining),
        f"reset-{unit}": reset,
    }


async def test_an_answer_tells_what_is_left_after_it_was_taken() -> None:
    watched = Watched()
    layer = limited(plain(), REQUESTS, TOKENS, limiter=watched)
    expected = stands(10, 9, "6s") | stands(1000, 970, "1.8s", "tokens")
    assert told(await ask(layer)) == expected
    expected = stands(10, 8, "12s") | stands(1000, 1000 - 8 - 30, "2.28s", "tokens")
    assert told(await ask(layer)) == expected, "what the first call used in truth is settled"


async def test_a_stream_tells_it_before_its_first_byte() -> None:
    layer = limited(streaming(), REQUESTS, TOKENS, limiter=Watched())
    answer = await ask(layer, call(stream=True))
    assert answer.messages[0]["type"] == "http.response.start"
    assert told(answer) == stands(10, 9, "6s") | stands(1000, 970, "1.8s", "tokens")


async def test_a_refusal_tells_it_too() -> None:
    layer = limited(plain(), QuotaPolicy("1/minute", partition="all"), TOKENS, limiter=Watched())
    await ask(layer)
    answer = await ask(layer)
    assert answer.status == 429
    assert told(answer) == stands(1, 0, "1m0s") | stands(1000, 992, "480ms", "tokens")


@pytest.mark.parametrize("status", [400, 429, 500])
async def test_errors_from_below_tell_it(status: int) -> None:
    app = plain(status=status, body=b'{"error":{"message":"no"}}')
    answer = await ask(limited(app, REQUESTS, limiter=Watched()))
    assert (answer.status, told(answer)) == (status, stands(10, 9, "6s"))


@pytest.mark.parametrize("draft", [None, "draft-11"])
async def test_an_exception_becomes_an_error_that_tells_it(draft: str | None) -> None:
    async def broken(*_: object) -> None:
        raise RuntimeError("broken")

    layer = ErrorMiddleware(limited(broken, REQUESTS, limiter=Watched(), draft=draft))
    exchange = call()
    with pytest.raises(RuntimeError, match="broken"):
        await exchange.run(layer)
    assert exchange.status == 500
    assert stands(10, 9, "6s").items() <= told(exchange).items()
    assert ("ratelimit" in told(exchange)) == (draft is not None)


async def test_a_mended_error_tells_it_once() -> None:
    layer = ErrorMiddleware(limited(plain(status=500, body=b"<html>"), REQUESTS, limiter=Watched()))
    answer = await ask(layer)
    assert (answer.status, told(answer)) == (500, stands(10, 9, "6s"))
    assert answer.json()["error"]["message"]


async def test_a_stream_that_is_begun_early_tells_it() -> None:
    exchange = call(stream=True)

    async def late() -> None:
        await exchange.sent.wait()

    class Late(Script):
        async def __call__(self, *asgi: object) -> None:
            await late()
            await super().__call__(*asgi)  # type: ignore[arg-type]  # scope, receive, send

    app = Late(*streaming().steps, headers=streaming().response_headers)
    layer = HeartbeatMiddleware(limited(app, REQUESTS, TOKENS), early_start=0.001)
    answer = await ask(layer, exchange)
    assert answer.body.startswith(b":")
    assert told(answer)["remaining-tokens"] == "970"


async def test_the_tightest_of_a_unit_is_shown_and_drafts_name_all() -> None:
    policies = [QuotaPolicy("10/minute; 5/day", partition="all"), SLOTS]
    answer = await ask(limited(plain(), *policies, limiter=Watched(), draft="draft-11"))
    fields = told(answer)
    assert fields["limit-requests"] == "5"
    assert fields["ratelimit-policy"] == (
        '"requests/60";q=10;w=60, "requests/86400";q=5;w=86400, '
        '"concurrent-requests/0";q=1;qu="concurrent-requests"'
    )
    assert fields["ratelimit"] == (
        '"requests/60";r=9;t=6, "requests/86400";r=4;t=17280, "concurrent-requests/0";r=0'
    )


async def test_draft_7_has_one_policy() -> None:
    fields = told(await ask(limited(plain(), REQUESTS, limiter=Watched(), draft="draft-7")))
    assert fields["ratelimit"] == "limit=10, remaining=9, reset=6"
    assert fields["ratelimit-policy"] == "10;w=60"


@pytest.mark.parametrize(
    ("option", "requests", "tokens"),
    [
        ("hide", stands(10, 9, "6s"), stands(1000, 970, "1.8s", "tokens")),
        ("pass", stands(7, 3, "9s"), stands(90000, 80000, "1s", "tokens")),
        ("merge", stands(7, 3, "9s"), stands(1000, 970, "1.8s", "tokens")),
    ],
)
async def test_the_upstream_s_own_fields_are_treated_as_asked(
    option: str, requests: dict[str, str], tokens: dict[str, str]
) -> None:
    app = Script(b"{}", headers=UPSTREAM_FIELDS)
    layer = limited(app, REQUESTS, TOKENS, limiter=Watched(), upstream_fields=option)
    assert told(await ask(layer)) == requests | tokens


async def test_two_tags_are_two_counters_of_which_the_tighter_is_shown() -> None:
    policy = QuotaPolicy("10/minute", partition="tag")
    watched = Watched()
    layer = limited(plain(), policy, limiter=watched)
    for tags, left in ((("a",), 9), (("a", "b"), 8), ((), None)):
        answer = await ask(Known(layer, Principal(id="k", tags=tags)))
        assert told(answer).get("remaining-requests") == (None if left is None else str(left))
    assert await watched.left(policy, ("tag", "b")) == 9


async def test_a_call_that_no_policy_holds_says_nothing() -> None:
    layer = limited(plain(), QuotaPolicy("unlimited", partition="all"), TOKENS, limiter=Watched())
    answer = await ask(layer, Exchange(http_scope("GET", "/v1/models")))
    assert (answer.status, told(answer)) == (200, {})


async def test_the_layer_reads_the_request_id_of_its_refusals() -> None:
    inner = RelayMiddleware(Lint(plain()))
    policy = QuotaPolicy("1/minute", partition="all")
    layer = HeadersMiddleware(RateLimitMiddleware(inner, policies=[policy], limiter=Watched()))
    await ask(layer)
    answer = await ask(layer)
    assert answer.json()["error"]["request_id"] == answer.header("x-request-id")
