"""The idempotency layer: which answers are kept, when, and what of them."""

import asyncio
from typing import Any

import pytest

from tests.asgi import running
from tests.layers.keyed import Counted, Stage, Watched, keyed, layer, nothing_left, pause, whole
from tests.layers.limits import Watched as Limiter
from tests.layers.limits import limited
from tests.layers.probe import SSE, Script
from tests.layers.streams import CHAT, DONE, RESPONSES, chunk, compact, event
from tests.limiters import virtual
from veneer.errors import BrokenResponseError
from veneer.layers.relay import RelayMiddleware
from veneer.quotas.policy import QuotaPolicy

ANSWER = compact({"id": "chatcmpl-1", "choices": [], "usage": {"total_tokens": 8}})
FAILED = compact({"error": {"message": "no", "type": "x", "param": None, "code": None}})


@pytest.mark.parametrize("relay", [True, False])
async def test_json_is_kept_before_any_of_it_leaves(*, relay: bool) -> None:
    store = Watched(slow=True)
    store.gate.clear()
    stack = layer(whole(ANSWER[:5], ANSWER[5:]), store=store, relay=relay)
    exchange, other = keyed(), keyed()
    async with running(stack, exchange) as task, running(stack, other) as joined:
        await store.committing.wait()
        await pause()
        assert exchange.messages == other.messages == []
        store.gate.set()
        assert (await task).body == (await joined).body == ANSWER


@pytest.mark.parametrize("relay", [True, False])
@pytest.mark.parametrize(("events", "path"), [(CHAT, "chat/completions"), (RESPONSES, "responses")])
async def test_a_stream_is_kept_before_its_last_event_leaves(
    events: tuple[bytes, ...], path: str, *, relay: bool
) -> None:
    store = Watched(slow=True)
    store.gate.clear()
    stack = layer(Script(*events, headers=SSE), store=store, relay=relay)
    exchange = keyed(path=f"/v1/{path}", stream=True)
    async with running(stack, exchange) as task:
        await store.committing.wait()
        await pause()
        typed_alone = path == "responses" and not relay
        held = b"" if typed_alone else events[-1]
        assert exchange.body + held == b"".join(events)
        assert not exchange.ended
        store.gate.set()
        await task
    assert (exchange.body, exchange.ended) == (b"".join(events), True)


@pytest.mark.parametrize("relay", [True, False])
def test_an_upstream_that_never_ends_its_stream_does_not_hold_it(*, relay: bool) -> None:
    async def main() -> None:
        stage, store = Stage(), Watched()
        app = Script(*CHAT, b": after\n\n", stage, headers=SSE)
        stack = layer(app, store=store, relay=relay)
        exchange = await keyed(stream=True).run(stack)
        assert (exchange.body, exchange.ended) == (b"".join(CHAT) + b": after\n\n", True)
        assert (await keyed(stream=True).run(stack)).body == exchange.body
        await asyncio.sleep(10)
        assert app.cancelled, "it was given up"
        assert nothing_left()
        assert virtual.timers() == []

    virtual.run(main())


@pytest.mark.parametrize("relay", [True, False])
async def test_a_failed_call_frees_its_key_before_its_answer_leaves(*, relay: bool) -> None:
    for status in (400, 404, 408, 409, 422, 429, 500, 503):
        store, app = Watched(), Counted(lambda: whole(FAILED, status=status))  # noqa: B023 - called in this turn
        stack = layer(app, store=store, relay=relay)
        exchange = keyed()
        claims: list[int] = []
        send = exchange.send

        async def look(message: Any) -> None:
            claims.append(store.claims)  # noqa: B023 - as above
            await send(message)  # noqa: B023 - as above

        exchange.send = look  # type: ignore[method-assign]  # to look when it sends
        await exchange.run(stack)
        assert (exchange.status, exchange.body) == (status, FAILED)
        assert claims == [0, 0]
        assert (await keyed().run(stack)).header("idempotent-replayed") is None
        assert app.calls == 2
        assert store.recordings == []


async def test_by_option_answers_are_kept_that_say_that_the_call_was_made() -> None:
    kept = {}
    for status in (200, 204, 302, 400, 404, 408, 409, 422, 429, 500, 503):
        body = b"" if status == 204 else FAILED
        app = Counted(lambda: whole(body, status=status))  # noqa: B023 - called in this turn
        stack = layer(app, keep="answers")
        for _ in range(2):
            assert (await keyed(path="/v1/audio/speech").run(stack)).status == status
        kept[status] = app.calls == 1
    assert [status for status, was in kept.items() if not was] == [408, 409, 429, 500, 503]


ERROR = event({"error": {"message": "no", "type": "server_error"}})
TYPED_FAILURE = event({"type": "error", "message": "no"}, "error")
RESPONSE_FAILED = event(
    {"type": "response.failed", "response": {"status": "failed", "error": {"code": "x"}}},
    "response.failed",
)


@pytest.mark.parametrize(
    ("events", "path"),
    [
        ([chunk("Hel"), ERROR], "chat/completions"),
        ([chunk("Hel"), ERROR, DONE], "chat/completions"),
        ([chunk("Hel")], "chat/completions"),
        ([*RESPONSES[:2], TYPED_FAILURE], "responses"),
        ([*RESPONSES[:2], RESPONSE_FAILED], "responses"),
        ([*RESPONSES[:2]], "responses"),
        ([b"data: " + b"x" * 9000, b"x\n\n", *CHAT], "chat/completions"),
    ],
)
async def test_a_stream_that_failed_or_was_not_seen_frees_its_key(
    events: list[bytes], path: str
) -> None:
    app = Counted(lambda: Script(*events, headers=SSE))
    store = Watched()
    stack = layer(RelayMiddleware(app, max_observed=8192), store=store, relay=False)
    for calls in (1, 2):
        exchange = keyed(path=f"/v1/{path}", stream=True)
        try:
            await exchange.run(stack)
        except BrokenResponseError:
            assert not exchange.ended
        assert exchange.body.startswith(b"".join(events))
        assert (app.calls, store.claims, store.recordings) == (calls, 0, [])


async def test_a_compressed_stream_is_not_kept() -> None:
    headers = [*SSE, (b"content-encoding", b"gzip")]
    app = Counted(lambda: Script(b"\x1f\x8b", headers=headers))
    stack = layer(app)
    assert [(await keyed(stream=True).run(stack)).body for _ in range(2)] == [b"\x1f\x8b"] * 2
    assert app.calls == 2


async def test_json_that_is_too_large_to_be_read_is_kept_if_it_is_whole() -> None:
    app = Counted(lambda: whole(b'{"a":"', b"x" * 100, b'"}'))
    stack = layer(RelayMiddleware(app, max_observed=50), relay=False)
    first, again = await keyed().run(stack), await keyed().run(stack)
    assert (app.calls, again.body) == (1, first.body)


@pytest.mark.parametrize("stream", [True, False])
async def test_an_answer_too_large_to_keep_passes_and_its_key_says_so(*, stream: bool) -> None:
    app = Counted(lambda: Script(*CHAT, headers=SSE) if stream else whole(ANSWER))
    store = Watched()
    stack = layer(app, store=store, max_answer=20)
    assert (await keyed(stream=stream).run(stack)).body == (b"".join(CHAT) if stream else ANSWER)
    refused = await keyed(stream=stream).run(stack)
    assert (refused.status, refused.header("x-should-retry")) == (409, "false")
    assert refused.json()["error"]["code"] == "idempotency_replay_unavailable"
    assert (app.calls, store.recordings) == (1, [None])


async def test_a_late_duplicate_of_what_is_too_large_is_told_so() -> None:
    stage = Stage()
    stack = layer(Script(*CHAT[:2], stage, *CHAT[2:], headers=SSE), max_answer=20)
    async with running(stack, keyed(stream=True)) as first:
        await stage.reached.wait()
        refused = await keyed(stream=True).run(stack)
        assert refused.json()["error"]["code"] == "idempotency_replay_unavailable"
        stage.go.set()
        assert (await first).body == b"".join(CHAT)


async def test_no_field_of_one_request_is_kept() -> None:
    own = [
        (b"x-request-id", b"req_1"),
        (b"date", b"today"),
        (b"set-cookie", b"a=b"),
        (b"x-ratelimit-remaining-requests", b"1"),
        (b"ratelimit", b'"a";r=1'),
        (b"openai-processing-ms", b"5"),
        (b"connection", b"keep-alive"),
    ]
    lasting = [(b"content-type", b"application/json"), (b"openai-organization", b"org")]
    stage, store = Stage(), Watched()
    stack = layer(Script(stage, ANSWER, headers=[*own, *lasting]), store=store, relay=False)
    async with running(stack, keyed()) as first, running(stack, keyed()) as second:
        await stage.reached.wait()
        stage.go.set()
        assert (await first).headers == [*own, *lasting]
        replayed = [*lasting, (b"idempotent-replayed", b"true")]
        assert (await second).headers == replayed
        assert (await keyed().run(stack)).headers == replayed
    [recording] = store.recordings
    assert recording is not None
    assert recording.headers == tuple(lasting)


async def test_a_refusal_below_reaches_all_and_a_retry_runs() -> None:
    limiter, store, stage = Limiter(slow=True), Watched(), Stage()
    tokens = QuotaPolicy("35/minute", unit="tokens", partition="all")
    below = limited(Script(stage, ANSWER), tokens, limiter=limiter)
    stack = layer(below, store=store, relay=False)
    async with running(stack, keyed(key=(b"idempotency-key", b"other"))) as other:
        await stage.reached.wait()
        async with running(stack, keyed()) as first, running(stack, keyed()) as second:
            refused = [await first, await second]
        assert [one.status for one in refused] == [429] * 2
        assert len(limiter.takes) == 2
        assert refused[0].header("x-ratelimit-remaining-tokens") == "5"
        assert refused[1].header("x-ratelimit-remaining-tokens") is None
        stage.go.set()
        await other
    limiter.now += 60
    assert (await keyed().run(stack)).body == ANSWER
    assert (limiter.unsettled, store.claims) == (0, 0)
