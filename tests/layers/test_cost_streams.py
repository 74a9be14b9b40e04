"""Receipts of streams: in the last event with data, whether usage was asked for or not."""

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.types import Message

from tests.asgi import Exchange, running
from tests.layers.costs import COST, HELD, TOKEN, Watched, ask, charged
from tests.layers.limits import streaming
from tests.layers.probe import SSE, Script, call
from tests.layers.streams import (
    CHAT,
    CHAT_WITH_USAGE,
    DONE,
    RESPONSES,
    RESPONSES_USAGE,
    USAGE,
    chunk,
    compact,
    cut,
    members,
)

RECEIPT = {**USAGE, "cost": 0.000011}
ASKED: dict[str, Any] = {"stream_options": {"include_usage": True}}


@pytest.mark.parametrize("more", [{}, {"stream_options": {"include_usage": False}}])
async def test_usage_that_was_not_asked_for_is_in_the_chunk_that_finishes(
    more: dict[str, Any],
) -> None:
    watched, app = Watched(), streaming()
    answer = await ask(charged(app, ledger=watched), call(stream=True, **more))
    assert b'"include_usage":true' in app.request.replace(b" ", b"")
    *content, last, done = members(answer.body)
    assert done == "[DONE]"
    assert last["choices"][0]["finish_reason"] == "stop"
    assert last["usage"] == RECEIPT
    assert all("usage" not in each for each in content)
    assert (watched.end.total, watched.end.state) == (COST, "completed")
    assert answer.header("x-cost-usd") is None, "it was not known yet"


async def test_usage_that_was_asked_for_has_its_own_chunk() -> None:
    watched = Watched()
    answer = await ask(charged(streaming(), ledger=watched), call(stream=True, **ASKED))
    *_, finish, last, _done = members(answer.body)
    assert finish["usage"] is None
    assert (last["choices"], last["usage"]) == ([], RECEIPT)
    assert watched.end.total == COST


async def test_without_receipts_a_stream_is_as_it_was_asked_for() -> None:
    watched = Watched()
    layer = charged(streaming(), ledger=watched, receipts=False)
    answer = await ask(layer, call(stream=True))
    assert b'"usage"' not in answer.body
    assert watched.end.total == COST


async def test_a_stream_without_usage_costs_its_input_and_its_events() -> None:
    watched = Watched()
    answer = await ask(charged(streaming(usage=False), ledger=watched), call(stream=True))
    *_, last, _done = members(answer.body)
    assert last["usage"] == {
        "prompt_tokens": 10,
        "completion_tokens": 4,
        "total_tokens": 14,
        "cost": 0.000018,
        "cost_estimated": True,
    }
    assert (watched.end.total, watched.end.estimated) == (18 * TOKEN, True)
    assert watched.end.usage is not None
    assert watched.end.usage.output_tokens == 4


async def test_a_stream_without_usage_costs_no_more_output_than_it_was_allowed() -> None:
    watched = Watched()
    await ask(charged(streaming(usage=False), ledger=watched), call(stream=True, max_tokens=2))
    assert watched.end.total == (10 + 2 * 2) * TOKEN


async def test_a_stream_of_responses_has_its_receipt_in_its_last_event() -> None:
    watched = Watched()
    layer = charged(Script(*RESPONSES, headers=SSE), ledger=watched)
    answer = await ask(layer, call("/v1/responses", stream=True, input="x"))
    last = members(answer.body)[-1]
    assert last["response"]["usage"] == {**RESPONSES_USAGE, "cost": 0.000011}
    assert watched.end.total == COST


async def test_a_stream_that_is_too_long_to_read_is_charged_its_hold() -> None:
    watched = Watched()
    layer = charged(Script(*cut(chunk("x" * 5_000_000), [4_900_000]), headers=SSE), ledger=watched)
    await ask(layer, call(stream=True))
    assert (watched.end.total, watched.end.parts) == (HELD, {"held": HELD})


class Seen(Exchange):
    """An exchange that notes how many calls are settled when each message leaves."""

    def __init__(self, watched: Watched, *, stream: bool) -> None:
        asked = call(stream=stream)
        super().__init__(asked.scope)
        self._inbox = asked._inbox
        self._watched = watched
        self.stood: list[int] = []

    async def send(self, message: Message) -> None:
        """Note it."""
        self.stood.append(len(self._watched.settled))
        await super().send(message)


async def test_it_is_settled_before_the_last_event_leaves() -> None:
    watched = Watched()
    hold = asyncio.Event()
    layer = charged(Script(*CHAT_WITH_USAGE, hold.wait, headers=SSE), ledger=watched)
    exchange = Seen(watched, stream=True)
    async with running(layer, exchange) as task:
        await exchange.until(DONE)
        assert (exchange.stood[0], exchange.stood[-1]) == (0, 1)
        hold.set()
        await task
    assert len(watched.settled) == 1


@given(
    places=st.lists(st.integers(0, sum(map(len, CHAT_WITH_USAGE)))),
    stream=st.sampled_from([CHAT, CHAT_WITH_USAGE]),
    asked=st.booleans(),
    counts=st.tuples(st.integers(0, 10**6), st.integers(0, 10**6)),
)
def test_however_it_is_cut_the_receipt_is_the_row(
    places: list[int], stream: tuple[bytes, ...], counts: tuple[int, int], *, asked: bool
) -> None:
    usage = {
        "prompt_tokens": counts[0],
        "completion_tokens": counts[1],
        "total_tokens": sum(counts),
    }
    text = b"".join(stream).replace(compact(USAGE), compact(usage))

    async def main() -> None:
        watched = Watched()
        layer = charged(Script(*cut(text, places), headers=SSE), ledger=watched)
        answer = await ask(layer, call(stream=True, **(ASKED if asked else {})))
        costs = [
            each["usage"]["cost"]
            for each in members(answer.body)
            if isinstance(each, dict) and each.get("usage")
        ]
        end = watched.end
        assert costs == [end.total / 10**12]
        assert sum(end.parts.values()) == end.total
        assert end.state == "completed"

    asyncio.run(main())
