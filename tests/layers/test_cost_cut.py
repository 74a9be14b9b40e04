"""Streams that are cut where they have used up what was held for them."""

import asyncio
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.types import ASGIApp, Receive, Scope, Send

from tests.asgi import Exchange, running
from tests.layers.costs import BOOK, HELD, NOW, TOKEN, Watched, ask, charged, estimated
from tests.layers.probe import SSE, Script, call
from tests.layers.streams import DONE, USAGE, chunk, cut, event, members, usage_chunk
from tests.layers.test_cost_streams import Seen
from tests.layers.test_ratelimit_cancelled import cancelled_after, steady, steps
from veneer.budgets.policy import BudgetPolicy
from veneer.errors import BrokenResponseError
from veneer.facts import Usage
from veneer.layers.cost import CostMiddleware
from veneer.prices.book import PriceBook
from veneer.prices.money import DOLLAR
from veneer.prices.price import Price

ALL = BudgetPolicy("1", partition="all")
# What is held (`costs.ESTIMATE`) pays 20 tokens of output.
PAID = 20
ROLE = chunk("")


def writing(tokens: int, *end: Any, **more: Any) -> Script:
    """Return an app that writes so many tokens, each in an event, and then what is given."""
    return Script(
        ROLE, *[chunk(f"t{number}", **more) for number in range(tokens)], *end, headers=SSE
    )


def telling(counts: Iterable[int], *end: Any, prompt: int = 5) -> Script:
    """Return an app that tells with each event how many tokens it has written."""
    usages = [
        {"prompt_tokens": prompt, "completion_tokens": count, "total_tokens": prompt + count}
        for count in counts
    ]
    return Script(*[chunk("x", usage=usage) for usage in usages], *end, headers=SSE)


async def broken(layer: ASGIApp, exchange: Exchange) -> list[Any]:
    """Run an exchange whose answer is broken off; return the data of its events."""
    with pytest.raises(BrokenResponseError):
        await ask(layer, exchange)
    assert not exchange.ended
    return members(exchange.body)


async def test_a_stream_is_cut_where_it_has_used_up_what_was_held(
    caplog: pytest.LogCaptureFixture,
) -> None:
    watched, app = Watched(), writing(1000, chunk(finish="length"), DONE)
    told = await broken(charged(app, ALL, ledger=watched, overrun="cut"), call(stream=True))
    *content, error = told
    written = [each["choices"][0]["delta"]["content"] for each in content]
    assert written == ["", *[f"t{number}" for number in range(PAID + 1)]]
    assert error["error"]["code"] == "insufficient_quota"
    assert "used up what was held for it" in error["error"]["message"]
    end = watched.end
    assert (end.state, end.total, end.estimated) == ("cut", HELD - 5, True)
    assert end.usage == Usage(input_tokens=10, output_tokens=PAID, total_tokens=30)
    assert end.parts == {"input": 10 * TOKEN, "output": 2 * PAID * TOKEN}
    assert await watched.stands(ALL) == (HELD - 5, 0)
    assert "more than were held" not in caplog.text


@pytest.mark.parametrize("options", [{}, {"overrun": "charge"}])
async def test_by_default_it_goes_on(options: dict[str, Any]) -> None:
    watched = Watched()
    layer = charged(writing(100, chunk(finish="stop"), DONE), ledger=watched, **options)
    answer = await ask(layer, call(stream=True))
    assert answer.body.endswith(DONE)
    assert (watched.end.state, watched.end.total > 2 * HELD) == ("completed", True)


async def test_one_that_has_not_used_it_up_passes_as_it_is() -> None:
    watched, plainly = Watched(), Watched()
    app = writing(PAID, chunk(finish="length"), usage_chunk(), DONE)
    answers = [
        await ask(charged(app, ledger=ledger, overrun=overrun), call(stream=True, max_tokens=PAID))
        for ledger, overrun in ((watched, "cut"), (plainly, "charge"))
    ]
    assert answers[0].messages == answers[1].messages
    assert watched.end.total == plainly.end.total == 11 * TOKEN


async def test_the_upstream_is_cancelled_before_it_writes_more() -> None:
    watched = Watched()
    app = writing(PAID + 2, asyncio.Event().wait)
    exchange = call(stream=True)
    await asyncio.wait_for(broken(charged(app, ledger=watched, overrun="cut"), exchange), 5)
    assert app.cancelled
    assert watched.end.state == "cut"


async def test_an_upstream_with_a_task_of_its_own_is_cancelled_too() -> None:
    inner = writing(PAID + 2, asyncio.Event().wait)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.create_task(inner(scope, receive, send))

    await asyncio.wait_for(broken(charged(app, overrun="cut"), call(stream=True)), 5)
    assert inner.cancelled


async def test_an_app_that_will_not_be_cancelled_is_heard_no_more() -> None:
    inner, watched = writing(PAID + 2, asyncio.Event().wait), Watched()

    async def stubborn(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await inner(scope, receive, send)
        except asyncio.CancelledError:
            await send({"type": "http.response.body", "body": chunk("more"), "more_body": True})

    told = await broken(charged(stubborn, ledger=watched, overrun="cut"), call(stream=True))
    assert "error" in told[-1]
    assert len(told) == PAID + 3
    assert watched.end.total == HELD - 5


async def test_an_app_that_breaks_as_it_is_cancelled_was_cut_all_the_same() -> None:
    inner, watched = writing(PAID + 2, asyncio.Event().wait), Watched()

    async def breaking(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await inner(scope, receive, send)
        except asyncio.CancelledError:
            raise BrokenResponseError("the upstream broke off") from None

    layer = CostMiddleware(
        breaking,
        prices=BOOK,
        ledger=watched,
        estimator=estimated,
        overrun="cut",
        provides=[Usage],
    )
    told = await broken(layer, call(stream=True))
    assert told[-1]["error"]["code"] == "insufficient_quota"
    assert watched.end.state == "cut"


async def test_it_is_settled_before_the_client_is_told() -> None:
    watched = Watched()
    exchange = Seen(watched, stream=True)
    await broken(charged(writing(100), ledger=watched, overrun="cut"), exchange)
    assert exchange.stood[-2:] == [0, 1]


@pytest.mark.parametrize("receipts", [True, False])
async def test_usage_that_is_told_on_the_way_is_charged(*, receipts: bool) -> None:
    watched = Watched()
    app = telling(range(5, 1000, 5))
    layer = charged(app, ledger=watched, overrun="cut", receipts=receipts)
    *content, _error = await broken(layer, call(stream=True))
    assert [each["usage"]["completion_tokens"] for each in content] == [5, 10, 15, 20]
    end = watched.end
    assert (end.state, end.total, end.estimated) == ("cut", 45 * TOKEN, False)
    assert end.usage == Usage(input_tokens=5, output_tokens=20, total_tokens=25)


async def test_where_it_is_told_once_events_are_counted_from_there() -> None:
    watched = Watched()
    app = telling([10] * 100)
    *content, _error = await broken(charged(app, ledger=watched, overrun="cut"), call(stream=True))
    assert len(content) == 1 + 12, "5 of input and 22 of output are 49 of 50"
    assert (watched.end.total, watched.end.estimated) == (49 * TOKEN, True)


async def test_a_prompt_that_alone_is_more_than_was_held_is_charged_as_estimated() -> None:
    watched = Watched()
    app = telling([1, 2], prompt=100)
    told = await broken(charged(app, ledger=watched, overrun="cut"), call(stream=True))
    assert len(told) == 1
    assert (watched.end.total, watched.end.estimated) == (10 * TOKEN, True)


async def test_prices_that_depend_on_what_is_written_are_exact() -> None:
    watched = Watched()
    price = Price(input=DOLLAR, output=2 * DOLLAR, reasoning=4 * DOLLAR, cached_input=0)
    book = PriceBook([("small", price)])
    usage = {**USAGE, "prompt_tokens_details": {"cached_tokens": 5}}
    usages = [
        {**usage, "completion_tokens": count, "total_tokens": 5 + count} for count in range(1, 99)
    ]
    app = Script(*[chunk("x", usage=each) for each in usages], headers=SSE)
    layer = charged(app, ledger=watched, prices=book, overrun="cut")
    *content, _error = await broken(layer, call(stream=True))
    held = (10 + 4 * 20) * TOKEN
    assert watched.holds[0].amount == held + 5
    assert (watched.end.total, len(content)) == (held, 45)


async def test_the_end_of_a_stream_is_never_cut() -> None:
    usage = {"prompt_tokens": 10, "completion_tokens": 90, "total_tokens": 100}
    for end in (
        (chunk(finish="stop"), usage_chunk(usage=usage), DONE),
        (chunk(finish="stop", usage=usage), DONE),
        (event({"error": {"message": "broken"}}),),
    ):
        watched = Watched()
        app = writing(PAID, *end)
        answer = await ask(charged(app, ledger=watched, overrun="cut"), call(stream=True))
        assert answer.ended
        assert watched.end.state != "cut"


async def test_what_is_told_at_the_end_is_charged_and_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    usage = {"prompt_tokens": 10, "completion_tokens": 90, "total_tokens": 100}
    watched = Watched()
    app = writing(3, chunk(finish="stop"), usage_chunk(usage=usage), DONE)
    await ask(charged(app, ledger=watched, overrun="cut"), call(stream=True))
    assert (watched.end.state, watched.end.total) == ("completed", 190 * TOKEN)
    assert "more than were held" in caplog.text


async def test_a_stream_that_has_come_whole_is_not_cut() -> None:
    watched = Watched()
    text = b"".join([*[chunk("x")] * 100, chunk(finish="stop"), usage_chunk(), DONE])
    answer = await ask(
        charged(Script(text, headers=SSE), ledger=watched, overrun="cut"), call(stream=True)
    )
    assert answer.body.endswith(DONE)
    assert (watched.end.state, watched.end.total) == ("completed", 11 * TOKEN)


def response_events(tokens: int) -> list[bytes]:
    """Return a stream of the Responses API, whose frames are many."""
    frames = [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
    ]
    delta = {"type": "response.output_text.delta", "delta": "x"}
    return [
        *[event({"type": kind, "response": {"usage": None}}, kind) for kind in frames * 10],
        *[event(delta, delta["type"])] * tokens,
    ]


async def test_of_the_responses_api_deltas_are_counted() -> None:
    watched = Watched()
    app = Script(*response_events(100), headers=SSE)
    exchange = call("/v1/responses", stream=True, input="x")
    *passed, error = await broken(charged(app, ledger=watched, overrun="cut"), exchange)
    assert len(passed) == 40 + PAID
    assert (error["type"], error["code"]) == ("error", "insufficient_quota")
    assert error["sequence_number"] >= len(passed)
    assert b"event: error\n" in exchange.body
    assert (watched.end.state, watched.end.total) == ("cut", HELD - 5)


async def test_each_answer_begins_and_ends_with_an_event_that_is_no_token() -> None:
    watched = Watched()
    roles = [chunk("", index=index) for index in range(4)]
    ends = [chunk(finish="length", index=index) for index in range(3)]
    app = Script(*roles, *[chunk("x")] * PAID, *ends, chunk(finish="length"), DONE, headers=SSE)
    await ask(charged(app, ledger=watched, overrun="cut"), call(stream=True, n=4, max_tokens=5))
    assert watched.end.state == "completed"


async def test_completions_are_cut_too() -> None:
    watched = Watched()
    app = Script(*[event({"choices": [{"text": "x"}]})] * 100, headers=SSE)
    exchange = call("/v1/completions", stream=True, prompt="x")
    told = await broken(charged(app, ledger=watched, overrun="cut"), exchange)
    assert (len(told), watched.end.total) == (PAID + 2, HELD - 5)


@pytest.mark.parametrize(
    "prices",
    [
        PriceBook([("small", Price(input=DOLLAR, output=0))]),
        PriceBook([("small", Price(request=5))]),
        PriceBook([("other", Price(request=5))]),
    ],
)
async def test_what_costs_nothing_is_not_cut(prices: PriceBook) -> None:
    watched = Watched()
    app = writing(100, chunk(finish="stop"), DONE)
    layer = charged(app, ledger=watched, prices=prices, overrun="cut", unpriced="free")
    assert (await ask(layer, call(stream=True))).body.endswith(DONE)
    assert watched.end.state == "completed"


async def test_an_error_and_a_plain_answer_pass() -> None:
    for app in (Script(b'{"error":{}}', status=500), Script(b'{"a":1}')):
        watched = Watched()
        answer = await ask(charged(app, ledger=watched, overrun="cut"), call(stream=True))
        assert answer.status >= 500
        assert watched.end.state == "failed"


async def test_a_stream_that_breaks_by_itself_is_no_cut() -> None:
    watched, exchange = Watched(), call(stream=True)
    told = await broken(charged(writing(3), ledger=watched, overrun="cut"), exchange)
    assert told[-1]["error"]["code"] == "upstream_interrupted"
    assert (watched.end.state, watched.end.total) == ("failed", (10 + 2 * 4) * TOKEN)


async def test_a_client_that_leaves_is_no_cut() -> None:
    watched, exchange = Watched(), call(stream=True)

    async def leaves() -> None:
        exchange.disconnect.set()
        await asyncio.Event().wait()

    app = writing(3, leaves)
    async with running(charged(app, ledger=watched, overrun="cut"), exchange) as task:
        await exchange.until(b"t2")
        task.cancel()
    assert (watched.end.state, watched.end.estimated) == ("failed", True)


@given(
    tokens=st.lists(st.integers(1, 9), max_size=40),
    places=st.lists(st.integers(0, 12_000)),
    tells=st.booleans(),
    ends=st.sampled_from([b"\n", b"\r\n"]),
)
def test_however_it_comes_no_more_is_charged_than_was_held(
    tokens: list[int], places: list[int], ends: bytes, *, tells: bool
) -> None:
    """Of a stream that is cut, the client gets the beginning and pays no more than the hold."""
    written, parts = 0, []
    for count in tokens:
        written += count
        usage = {"prompt_tokens": 5, "completion_tokens": written, "total_tokens": 5 + written}
        more: dict[str, Any] = {"usage": usage} if tells else {}
        parts.append(chunk("x", **more).replace(b"\n", ends))
    text = b"".join(parts)

    too_much = 5 + 2 * written > 50 if tells else len(tokens) > PAID + 2

    async def main() -> None:
        watched, exchange = Watched(), call(stream=True)
        end = [asyncio.Event().wait] if too_much else [chunk(finish="stop"), DONE]
        layer = charged(
            Script(*cut(text, places), *end, headers=SSE), ledger=watched, overrun="cut"
        )
        if too_much:
            await asyncio.wait_for(broken(layer, exchange), 5)
            passed, _, _error = exchange.body.rpartition(b"data: ")
            assert text.startswith(passed)
        else:
            await ask(layer, exchange)
            assert exchange.body.startswith(text)
        settled = watched.end
        assert settled.state == ("cut" if too_much else "completed")
        assert settled.total == sum(settled.parts.values())
        assert settled.total <= HELD or not too_much

    asyncio.run(main())


def test_an_overrun_is_charged_or_cut() -> None:
    with pytest.raises(ValueError, match="overrun is 'stop': say 'charge' or 'cut'"):
        charged(Script(), overrun="stop", clock=lambda: NOW)


async def test_cancelled_at_any_step_it_is_settled_once() -> None:
    parts = [ROLE, *[chunk("t")] * (PAID + 2)]
    app = Script(*steps(*parts), headers=SSE)
    count, early = 0, True
    ends: set[str] = set()
    while early:
        watched = Watched(slow=True)
        layer = charged(app, ALL, ledger=watched, overrun="cut")
        early = await cancelled_after(count, layer, steady(stream=True))
        assert watched.open == 0, count
        assert len(watched.settled) == len(watched.holds) <= 1
        spent = sum(end.total for end in watched.settled)
        assert await watched.stands(ALL) == (spent, 0), count
        ends.update(end.state for end in watched.settled)
        count += 1
    assert count > 10, "it was cancelled in many places"
    assert ends == {"failed", "cut"}
