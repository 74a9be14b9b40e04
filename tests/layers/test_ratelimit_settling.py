"""What a call has taken is settled to the truth, once, whatever becomes of it."""

import asyncio

import pytest
from starlette.types import Message, Receive, Scope, Send

from tests.asgi import Exchange, running
from tests.layers.limits import (
    REQUESTS,
    SLOTS,
    TOKENS,
    Watched,
    ask,
    limited,
    plain,
    streaming,
)
from tests.layers.probe import SSE, Script, call
from tests.layers.streams import CHAT_WITH_USAGE, DONE, chunk
from veneer import facts
from veneer.facts import Unreached
from veneer.quotas.policy import QuotaPolicy

POLICIES = (REQUESTS, TOKENS, SLOTS)


class Seen(Exchange):
    """An exchange that notes how the limiter stands when each message leaves."""

    def __init__(self, watched: Watched, *, stream: bool = False) -> None:
        asked = call(stream=stream)
        super().__init__(asked.scope)
        self._inbox = asked._inbox
        self._watched = watched
        self.stood: list[tuple[int, int]] = []

    async def send(self, message: Message) -> None:
        """Note it."""
        tokens, slots = await self._watched.left(TOKENS), await self._watched.left(SLOTS)
        self.stood.append((tokens, slots))
        await super().send(message)


@pytest.mark.parametrize("stream", [False, True])
async def test_all_is_settled_before_the_last_message_leaves(*, stream: bool) -> None:
    watched = Watched()
    app = streaming() if stream else plain()
    exchange = Seen(watched, stream=stream)
    await exchange.run(limited(app, *POLICIES, limiter=watched))
    assert exchange.status == 200
    assert exchange.stood[0] == (970, 0), "the estimate, while it runs"
    assert exchange.stood[-1] == (992, 1), "the truth, and a free slot"
    assert watched.settled == [8]


async def test_all_is_settled_before_the_last_event_of_a_stream_leaves() -> None:
    """Clients read no further; what the upstream does with its connection is not theirs."""
    watched = Watched()
    hold = asyncio.Event()
    app = Script(*CHAT_WITH_USAGE, hold.wait, headers=SSE)
    layer = limited(app, *POLICIES, limiter=watched)
    exchange = Seen(watched, stream=True)
    async with running(layer, exchange) as task:
        await exchange.until(DONE)
        assert exchange.stood[-1] == (992, 1)
        hold.set()
        await task
        assert (await ask(layer, call(stream=True))).status == 200
    assert watched.settled == [8, 8]


@pytest.mark.parametrize("stream", [False, True])
async def test_who_asks_again_right_after_its_answer_is_admitted(*, stream: bool) -> None:
    layer = limited(streaming() if stream else plain(), SLOTS)
    again: list[Exchange] = []

    class Eager(Exchange):
        async def send(self, message: Message) -> None:
            await super().send(message)
            if self.ended:
                again.append(await ask(layer, call(stream=stream)))

    asked = call(stream=stream)
    exchange = Eager(asked.scope)
    exchange._inbox = asked._inbox
    await exchange.run(layer)
    assert [answer.status for answer in again] == [200]


async def test_a_call_that_used_more_than_was_taken_owes_it() -> None:
    watched = Watched()
    policy = QuotaPolicy("100/minute", unit="tokens", partition="all")
    usage = b'{"usage":{"prompt_tokens":100,"completion_tokens":150,"total_tokens":250}}'
    layer = limited(plain(body=usage), policy, limiter=watched)
    assert (await ask(layer)).status == 200
    refused = await ask(layer)
    assert refused.status == 429
    assert refused.header("retry-after") == "108", "250 + 30 - 100 units, 100 of them a minute"


@pytest.mark.parametrize("usage", [True, False])
async def test_the_usage_of_a_stream_is_asked_for_and_withheld(*, usage: bool) -> None:
    watched = Watched()
    app = streaming()
    exchange = call(stream=True, stream_options={"include_usage": usage})
    answer = await ask(limited(app, TOKENS, limiter=watched), exchange)
    assert b'"include_usage":true' in app.request.replace(b" ", b"")
    assert (b'"usage":{' in answer.body) == usage
    assert watched.settled == [8]


async def test_requests_alone_ask_for_no_usage() -> None:
    app = streaming(usage=False)
    await ask(limited(app, REQUESTS, SLOTS), call(stream=True))
    assert b"include_usage" not in app.request


async def test_a_stream_without_usage_used_its_input_and_its_events() -> None:
    watched = Watched()
    await ask(limited(streaming(usage=False), TOKENS, limiter=watched), call(stream=True))
    assert watched.settled == [10 + 4]


async def test_an_answer_without_usage_used_what_was_taken() -> None:
    watched = Watched()
    await ask(limited(plain(body=b"{}"), TOKENS, limiter=watched))
    assert watched.settled == [30]


async def test_a_call_that_reached_nobody_used_nothing() -> None:
    watched = Watched()

    async def unreached(scope: Scope, receive: Receive, send: Send) -> None:
        facts.put(scope, Unreached())
        await plain(status=503)(scope, receive, send)

    layer = limited(unreached, *POLICIES, limiter=watched)
    assert (await ask(layer)).status == 503
    assert watched.settled == [0]
    assert await watched.left(REQUESTS) == 9, "requests are never given back"


async def test_an_exception_settles_before_anybody_above_knows() -> None:
    watched = Watched()
    app = Script(chunk("Hel"), RuntimeError("broken"), headers=SSE)
    with pytest.raises(RuntimeError):
        await ask(limited(app, *POLICIES, limiter=watched), call(stream=True))
    assert (watched.unsettled, len(watched.settled)) == (0, 1)
    assert await watched.left(SLOTS) == 1
    assert await watched.left(REQUESTS) == 9


async def test_a_client_that_leaves_frees_its_slot_and_pays_what_came() -> None:
    watched = Watched()
    exchange = call(stream=True)

    async def leaves() -> None:
        exchange.disconnect.set()

    async def notices(scope: Scope, receive: Receive, send: Send) -> None:
        await app(scope, receive, send)
        assert (await receive())["type"] == "http.disconnect"

    app = Script(chunk("Hel"), chunk("lo"), leaves, headers=SSE, torso=True)
    await ask(limited(notices, *POLICIES, limiter=watched), exchange)
    assert watched.settled == [10 + 2]
    assert await watched.left(SLOTS) == 1


async def test_a_refusal_of_tokens_takes_a_request_and_neither_tokens_nor_slots() -> None:
    watched = Watched()
    tokens = QuotaPolicy("37/minute", unit="tokens", partition="all")
    slots = QuotaPolicy(5, unit="concurrent-requests", partition="all")
    layer = limited(plain(), REQUESTS, tokens, slots, limiter=watched)
    assert (await ask(layer)).status == 200
    assert [(await ask(layer)).status for _ in range(3)] == [429] * 3
    assert await watched.left(tokens) == 37 - 8
    assert await watched.left(slots) == 5
    assert await watched.left(REQUESTS) == 10 - 4
    assert (len(watched.settled), watched.unsettled) == (1, 0)


async def test_a_refusal_of_slots_takes_no_tokens() -> None:
    watched = Watched()
    hold = asyncio.Event()
    layer = limited(Script(hold.wait, b"{}"), TOKENS, SLOTS, limiter=watched)
    exchange = call()
    async with running(layer, exchange) as task:
        await watched.was_asked(1)
        refused = await ask(layer)
        assert (refused.status, refused.json()["error"]["code"]) == (
            429,
            "concurrency_limit_exceeded",
        )
        assert await watched.left(TOKENS) == 970
        hold.set()
        await task
    assert await watched.left(SLOTS) == 1
