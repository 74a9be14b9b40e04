"""The idempotency layer: the first call, and whoever asks again."""

import asyncio
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.asgi import Exchange, http_scope, json_request, running
from tests.layers.keyed import (
    KEY,
    Counted,
    Stage,
    Watched,
    keyed,
    layer,
    nothing_left,
    pause,
    stepping,
    whole,
)
from tests.layers.probe import SSE, Script
from tests.layers.streams import CHAT, CHAT_WITH_USAGE, RESPONSES, compact, cut
from veneer.facts import Principal

ANSWER = compact({"id": "chatcmpl-1", "choices": [], "usage": {"total_tokens": 8}})
AUDIO = bytes(range(256)) * 20


def upload(key: bytes = b"k-1") -> Exchange:
    headers = [(b"content-type", b"multipart/form-data; boundary=x"), (b"idempotency-key", key)]
    return Exchange(http_scope("POST", "/v1/audio/transcriptions", headers), [b"--x", b"--x--"])


@pytest.mark.parametrize("relay", [True, False])
@pytest.mark.parametrize(
    ("make", "asked"),
    [
        (lambda: whole(ANSWER), {}),
        (lambda: whole(ANSWER[:9], ANSWER[9:]), {}),
        (lambda: Script(*CHAT, headers=SSE), {"stream": True}),
        (lambda: Script(*CHAT_WITH_USAGE, headers=SSE), {"stream": True}),
        (lambda: Script(*CHAT[:-1], headers=SSE), {"stream": True}),
        (lambda: Script(*RESPONSES, headers=SSE), {"stream": True, "path": "/v1/responses"}),
        (lambda: whole(AUDIO[:999], AUDIO[999:], kind=b"audio/mpeg"), {"path": "/v1/audio/speech"}),
        (lambda: whole(compact({"data": [[0.1]]})), {"path": "/v1/embeddings", "input": "a"}),
        (lambda: whole(ANSWER, status=201), {}),
        (lambda: whole(status=204), {"path": "/v1/audio/speech"}),
        (lambda: whole(b"", kind=b"text/plain"), {"path": "/v1/audio/speech"}),
    ],
)
async def test_a_repeated_call_gets_the_same_answer(make: Any, asked: Any, *, relay: bool) -> None:
    store, app = Watched(), Counted(make)
    stack = layer(app, relay=relay, store=store)
    plain = await keyed(key=(b"x", b"y"), **asked).run(stack)
    first = await keyed(**asked).run(stack)
    again = await keyed(**asked).run(stack)
    assert app.calls == 2
    assert (first.status, first.body, first.ended) == (plain.status, plain.body, True)
    assert (again.status, again.body, again.ended) == (first.status, first.body, True)
    assert first.header("idempotent-replayed") is None
    assert again.header("idempotent-replayed") == "true"
    assert again.header("content-type") == first.header("content-type")
    assert store.claims == 0


async def test_uploads_are_compared_without_their_boundary() -> None:
    app = Counted(lambda: whole(b'{"text":"hi"}'))
    stack = layer(app)
    first, again = await upload().run(stack), await upload().run(stack)
    assert (app.calls, again.body, again.header("idempotent-replayed")) == (1, first.body, "true")


async def test_another_spelling_is_the_same_request_and_another_request_is_refused() -> None:
    app = Counted(lambda: whole(ANSWER))
    stack = layer(app)
    one = json_request(b'{"model":"m","n":1,"messages":[]}', headers=[KEY])
    two = json_request(b'{"messages": [], "n": 1.0, "model": "m"}', headers=[KEY])
    other = json_request(b'{"model":"m","n":2,"messages":[]}', headers=[KEY])
    await one.run(stack)
    assert (await two.run(stack)).body == ANSWER
    refused = await other.run(stack)
    assert (refused.status, refused.header("x-should-retry")) == (422, "false")
    assert refused.json()["error"]["code"] == "idempotency_key_reused"
    assert app.calls == 1


async def test_another_request_is_refused_while_the_first_runs() -> None:
    stage = Stage()
    stack = layer(Script(stage, ANSWER))
    async with running(stack, keyed()) as first:
        await stage.reached.wait()
        refused = await keyed(temperature=1).run(stack)
        assert (refused.status, refused.header("x-should-retry")) == (422, "false")
        stage.go.set()
        assert (await first).body == ANSWER


@pytest.mark.parametrize("relay", [True, False])
@pytest.mark.parametrize("stream", [True, False])
async def test_duplicates_that_join_at_any_step_get_the_same(*, relay: bool, stream: bool) -> None:
    step = pause
    steps: list[Any] = [thing for part in CHAT for thing in (lambda: step(2), part)]
    make = lambda: Script(*steps, headers=SSE) if stream else Script(lambda: step(4), ANSWER)  # noqa: E731 - short, and needed once
    expected = b"".join(CHAT) if stream else ANSWER
    for late in range(60):
        app, store = Counted(make), Watched(slow=True)
        stack = layer(app, relay=relay, store=store)
        async with running(stack, stepping(stream=stream)) as first:
            await pause(late)
            second = await stepping(stream=stream).run(stack)
            both = [await first, second]
        assert [one.body for one in both] == [expected] * 2, late
        assert [one.ended for one in both] == [True] * 2, late
        assert {one.header("idempotent-replayed") for one in both} == {None, "true"}, late
        assert app.calls == 1, late
        assert (store.asked.count("commit"), store.claims) == (1, 0)


@settings(max_examples=60, deadline=None)
@given(
    places=st.lists(st.integers(0, 700), max_size=8),
    leaves=st.integers(0, 60),
    joins=st.lists(st.tuples(st.integers(0, 60), st.none() | st.integers(0, 30)), max_size=3),
    relay=st.booleans(),
)
def test_any_chunking_and_any_disconnects_replay_byte_for_byte(
    places: list[int], leaves: int, joins: list[tuple[int, int | None]], *, relay: bool
) -> None:
    """`leaves` is after how many steps the first client goes; each of `joins` comes and may go."""
    stream = b"".join(CHAT)

    async def come_and_go(stack: Any, come: int, go: int | None) -> Exchange:
        await pause(come)
        exchange = stepping(stream=True)
        async with running(stack, exchange) as task:
            if go is not None:
                await pause(go)
                exchange.disconnect.set()
            await task
        return exchange

    async def main() -> None:
        store = Watched(slow=True)
        parts = [part for piece in cut(stream, places) for part in (lambda: pause(1), piece)]
        app = Counted(lambda: Script(*parts, headers=SSE))
        stack = layer(app, relay=relay, store=store)
        exchanges = await asyncio.gather(
            come_and_go(stack, 0, leaves), *(come_and_go(stack, *join) for join in joins)
        )
        again = await keyed(stream=True).run(stack)
        assert again.body == stream
        for exchange in exchanges:
            assert stream.startswith(exchange.body)
            if not exchange.disconnect.is_set():
                assert exchange.body == stream
        assert (app.calls, store.claims) == (1, 0)
        await pause()
        assert nothing_left()

    asyncio.run(main())


@settings(max_examples=60, deadline=None)
@given(
    callers=st.lists(
        st.tuples(st.text(min_size=1), st.none() | st.text()), min_size=2, max_size=2, unique=True
    ),
    key=st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=20),
    share=st.sampled_from(["team", "key"]),
)
def test_tenants_never_meet(callers: list[tuple[str, str | None]], key: str, share: str) -> None:
    quoted = json.dumps(key).encode()

    async def main() -> None:
        app = Counted(lambda: whole(ANSWER))
        store = Watched()
        for caller, team in callers:
            principal = Principal(id=caller, team=team)
            stack = layer(app, principal=principal, store=store, share=share)
            assert (await keyed(key=(b"idempotency-key", quoted)).run(stack)).status == 200
        (one, red), (two, blue) = callers
        shared = red == blue if share == "team" and None not in (red, blue) else one == two
        if share == "team" and (red is None) != (blue is None):
            shared = False
        assert app.calls == (1 if shared else 2)

    asyncio.run(main())
