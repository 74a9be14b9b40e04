"""Usage that cannot be, and clocks that jump: charged with sense and marked, never an exception."""

import asyncio
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.asgi import Exchange, json_request
from tests.layers.costs import HELD, TOKEN, Watched, ask, charged
from tests.layers.limits import plain, streaming
from tests.layers.probe import SSE, Script, call
from tests.layers.streams import COMPLETED, DONE, RESPONSES, chunk, compact, event, usage_chunk
from veneer.budgets.periods import LAST
from veneer.budgets.policy import BudgetPolicy
from veneer.prices.book import PriceBook
from veneer.prices.money import DOLLAR, MOST
from veneer.prices.price import Price

GOOD = {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8}
# What is charged where nothing of a usage can be believed: a plain answer all that it may have
# written, this stream its events.
INPUT = 10 * TOKEN
PLAIN = INPUT + 2 * 20 * TOKEN
EVENTS = 5
STREAMED = INPUT + 2 * EVENTS * TOKEN
TRUE = 11 * TOKEN


def cached(tokens: Any) -> dict[str, Any]:
    return {**GOOD, "prompt_tokens_details": {"cached_tokens": tokens}}


def reasoned(tokens: Any) -> dict[str, Any]:
    return {**GOOD, "completion_tokens_details": {"reasoning_tokens": tokens}}


# A usage, as text where Python would not write it, and what a plain answer and a stream cost then.
ODD: list[tuple[Any, int, int]] = [
    ({**GOOD, "prompt_tokens": -5}, PLAIN, STREAMED),
    ({**GOOD, "completion_tokens": -3}, PLAIN, STREAMED),
    ({**GOOD, "total_tokens": -8}, PLAIN, STREAMED),
    ({**GOOD, "prompt_tokens": 2**70}, PLAIN, STREAMED),
    ({**GOOD, "completion_tokens": 1e300}, PLAIN, STREAMED),
    ({**GOOD, "total_tokens": 2**53 + 1}, PLAIN, STREAMED),
    ({**GOOD, "prompt_tokens": 2_000_000_000}, PLAIN, STREAMED),
    ({**GOOD, "prompt_tokens": 5.5}, PLAIN, STREAMED),
    ({**GOOD, "prompt_tokens": "5"}, PLAIN, STREAMED),
    ({**GOOD, "prompt_tokens": True}, PLAIN, STREAMED),
    ({**GOOD, "completion_tokens": [3]}, PLAIN, STREAMED),
    ({**GOOD, "prompt_tokens_details": "none"}, PLAIN, STREAMED),
    (cached(-1), PLAIN, STREAMED),
    (cached(2**70), PLAIN, STREAMED),
    (reasoned("many"), PLAIN, STREAMED),
    ({"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}, PLAIN, STREAMED),
    ({}, PLAIN, STREAMED),
    (None, PLAIN, STREAMED),
    ("lots", PLAIN, STREAMED),
    ([], PLAIN, STREAMED),
    # A side is missing.
    ({"completion_tokens": 3}, INPUT + 6 * TOKEN, INPUT + 6 * TOKEN),
    ({"prompt_tokens": 0, "completion_tokens": 3}, INPUT + 6 * TOKEN, INPUT + 6 * TOKEN),
    ({"prompt_tokens": 5}, 5 * TOKEN, 5 * TOKEN + 2 * EVENTS * TOKEN),
    # It contradicts itself: what says most counts.
    ({**GOOD, "total_tokens": 20}, TRUE + 24 * TOKEN, TRUE + 24 * TOKEN),
    ({"total_tokens": 20}, 40 * TOKEN, 40 * TOKEN),
    ({**GOOD, "total_tokens": 1}, TRUE, TRUE),
    (cached(6), TRUE, TRUE),
    (reasoned(4), TRUE, TRUE),
]


def telling(usage: Any, *, stream: bool) -> Script:
    """Return an app that tells this usage."""
    if stream:
        end = (chunk(finish="stop"), usage_chunk(usage=usage), DONE)
        return Script(chunk("Hel"), chunk("lo"), *end, headers=SSE)
    return plain(body=compact({"id": "a", "usage": usage}))


async def settled(app: Script, exchange: Exchange, **options: Any) -> tuple[Any, Watched]:
    """Return the usage that the client sees, and a ledger whose only row is as rows have to be."""
    watched = Watched()
    answer = await ask(charged(app, ledger=watched, **options), exchange)
    end = watched.end
    assert all(type(part) is int and part > 0 for part in end.parts.values())
    assert sum(end.parts.values()) == end.total <= MOST
    assert watched.open == 0
    body = answer.body
    for line in body.split(b"\n"):
        if line[:7] == b"data: {":
            body = line[6:]
    return json.loads(body).get("usage"), watched


@pytest.mark.parametrize(("usage", "whole", "streamed"), ODD)
@pytest.mark.parametrize("stream", [False, True])
async def test_a_usage_that_cannot_be_is_charged_with_sense_and_marked(
    usage: Any, whole: int, streamed: int, *, stream: bool
) -> None:
    seen, watched = await settled(telling(usage, stream=stream), call(stream=stream))
    assert (watched.end.total, watched.end.estimated) == (streamed if stream else whole, True)
    assert seen["cost"] == watched.end.total / DOLLAR
    assert seen["cost_estimated"] is True


@pytest.mark.parametrize(("usage", "whole", "streamed"), ODD)
async def test_it_is_the_same_in_the_responses_api(usage: Any, whole: int, streamed: int) -> None:
    last = {"type": "response.completed", "response": {**COMPLETED, "usage": usage}}
    app = Script(*RESPONSES[:-1], event(last), headers=SSE)
    _, watched = await settled(app, call("/v1/responses", stream=True, input="x"))
    # It has two events less.
    fewer = 4 * TOKEN if streamed in (STREAMED, 5 * TOKEN + 2 * EVENTS * TOKEN) else 0
    assert (watched.end.total, watched.end.estimated) == (streamed - fewer, True)
    app = plain(body=compact({"usage": usage}))
    _, watched = await settled(app, call("/v1/responses", input="x"))
    assert (watched.end.total, watched.end.estimated) == (whole, True)


@pytest.mark.parametrize("number", [b"NaN", b"Infinity", b"-Infinity", b"1e999", b"05", b"+5"])
@pytest.mark.parametrize("stream", [False, True])
async def test_a_number_that_json_does_not_have(number: bytes, *, stream: bool) -> None:
    watched = Watched()
    app = telling(GOOD, stream=stream)
    app.steps = tuple(
        step.replace(b'"prompt_tokens":5', b'"prompt_tokens":' + number) for step in app.steps
    )
    await ask(charged(app, ledger=watched), call(stream=stream))
    end = watched.end
    assert end.estimated
    assert end.total == sum(end.parts.values()) > 0
    assert end.total <= HELD


async def test_what_is_told_of_an_embedding_s_input_is_all_there_is_to_tell() -> None:
    exchange = call("/v1/embeddings", input="x")
    app = plain(body=compact({"usage": {"prompt_tokens": 11, "total_tokens": 11}}))
    _, watched = await settled(app, exchange)
    assert (watched.end.total, watched.end.estimated) == (11 * TOKEN, False)


async def test_where_tokens_cost_nothing_nothing_is_estimated() -> None:
    book = PriceBook([("small", Price(request=5))])
    app = telling({"prompt_tokens": 5}, stream=False)
    _, watched = await settled(app, call(), prices=book)
    assert (watched.end.total, watched.end.estimated) == (5, False)


@pytest.mark.parametrize("seconds", [-1, 1e300, 2**70, "7", None, True, 0])
async def test_a_length_that_cannot_be_is_as_held(seconds: Any) -> None:
    book = PriceBook([("audio.transcriptions", Price(second=10**8))])
    asked = json_request(b"abc", "/v1/audio/transcriptions")
    asked.scope["headers"] = [
        (b"content-type", b"multipart/form-data; boundary=x"),
        (b"content-length", b"40000"),
    ]
    app = plain(body=compact({"text": "hi", "usage": {"type": "duration", "seconds": seconds}}))
    _, watched = await settled(app, asked, prices=book)
    assert (watched.end.total, watched.end.estimated) == (10 * 10**8, True)


NUMBERS = st.one_of(
    st.integers(-(2**80), 2**80),
    st.floats(allow_nan=False, allow_infinity=False),
    st.integers(0, 30),
    st.none(),
    st.booleans(),
    st.text(max_size=3),
)
SIDES = st.sampled_from(
    ["prompt_tokens", "completion_tokens", "input_tokens", "output_tokens", "total_tokens"]
)
KINDS = st.sampled_from(["cached_tokens", "cache_write_tokens", "reasoning_tokens", "audio_tokens"])
DETAILS = st.sampled_from(["prompt_tokens_details", "completion_tokens_details"])
USAGES = st.builds(
    lambda counts, parts: {**counts, **parts},
    st.dictionaries(SIDES, NUMBERS),
    st.dictionaries(DETAILS, st.dictionaries(KINDS, NUMBERS) | NUMBERS),
)


@given(usage=USAGES, stream=st.booleans(), cuts=st.booleans())
def test_whatever_is_told_the_row_is_sound_and_never_free(
    usage: dict[str, Any], *, stream: bool, cuts: bool
) -> None:
    options = {"overrun": "cut" if cuts else "charge"}
    app = telling(usage, stream=stream)
    seen, watched = asyncio.run(settled(app, call(stream=stream), **options))
    assert watched.end.total > 0
    assert seen["cost"] == watched.end.total / DOLLAR
    assert seen.get("cost_estimated", False) is watched.end.estimated


TIMES = (1_700_000_000.0, 0.0, -1.0, -1e300, 1e300, LAST - 1.0, float(LAST), 2e9, 1e9)
NO_TIMES = (float("inf"), float("-inf"), float("nan"))


@pytest.mark.parametrize("period", ["hour", "day", "week", "month", "total"])
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("before", [*TIMES, *NO_TIMES])
async def test_a_clock_may_say_anything(period: Any, before: float, *, stream: bool) -> None:
    policy = BudgetPolicy("1", partition="all", period=period, timezone="Asia/Kathmandu")
    for after in (*TIMES, *NO_TIMES):
        times = iter([before, after])
        watched = Watched()
        app = streaming() if stream else plain()
        layer = charged(app, policy, ledger=watched, clock=lambda times=times: next(times))
        answer = await ask(layer, call(stream=stream))
        assert answer.status == 200
        assert (watched.end.state, watched.end.total) == ("completed", TRUE)
        [account] = watched.holds[0].accounts
        [balance] = await watched.balances([account])
        assert (balance.spent, balance.held) == (TRUE, 0)


async def test_a_budget_that_refuses_says_so_at_any_time() -> None:
    for now in (*TIMES, *NO_TIMES):
        for period in ("hour", "month", "total"):
            policy = BudgetPolicy("0", partition="all", period=period)
            layer = charged(plain(), policy, ledger=Watched(), clock=lambda now=now: now)
            assert (await ask(layer)).status == 429
