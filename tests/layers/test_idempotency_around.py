"""The idempotency layer among others: what stands above it sees, and where keys are left unused."""

import asyncio
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from tests.asgi import Exchange, http_scope, json_request, running
from tests.layers.keyed import ALICE, KEY, Counted, Stage, keyed, layer, nothing_left, pause, whole
from tests.layers.limits import REQUESTS, SLOTS, TOKENS, Known, estimated, limited
from tests.layers.limits import Watched as Limiter
from tests.layers.probe import SSE, Script, call
from tests.layers.streams import CHAT, CHAT_WITH_USAGE, compact
from tests.layers.test_log import Lines
from veneer import facts
from veneer.facts import Quotas, Relayed, Replayed, Usage
from veneer.facts import Route as Routed
from veneer.layers.headers import HeadersMiddleware
from veneer.layers.idempotency import IdempotencyMiddleware
from veneer.layers.log import LogMiddleware
from veneer.layers.ratelimit import RateLimitMiddleware

ANSWER = compact({"id": "chatcmpl-1", "usage": {"total_tokens": 8, "prompt_tokens": 5}})


@pytest.fixture
def lines() -> Iterator[list[str]]:
    """Keep the lines of `veneer.access`."""
    logger, handler = logging.getLogger("veneer.access"), Lines()
    logger.addHandler(handler)
    level = logger.level
    logger.setLevel(logging.INFO)
    yield handler.lines
    logger.setLevel(level)
    logger.removeHandler(handler)


def routed(app: ASGIApp) -> ASGIApp:
    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        facts.put(scope, Routed(target="gpu-1", status=200))
        await app(scope, receive, send)

    return answer


@pytest.mark.parametrize("stream", [True, False])
async def test_layers_above_see_the_call_of_the_first_and_a_replay_of_others(
    lines: list[str], *, stream: bool
) -> None:
    stage = Stage()
    app = Script(*CHAT_WITH_USAGE[:-1], stage, CHAT_WITH_USAGE[-1], headers=SSE)
    below = limited(routed(app if stream else Script(stage, ANSWER)), TOKENS)
    stack = HeadersMiddleware(LogMiddleware(layer(below, relay=False), format="json"))
    first, second = keyed(stream=stream), keyed(stream=stream)
    async with running(stack, first) as one, running(stack, second) as two:
        await stage.reached.wait()
        await pause()
        stage.go.set()
        await asyncio.gather(one, two)
    third = await keyed(stream=stream).run(stack)
    assert first.body == second.body == third.body
    assert len({answer.header("x-request-id") for answer in (first, second, third)}) == 3
    entries = [json.loads(line) for line in lines]
    assert [entry["outcome"] for entry in entries] == ["complete"] * 3
    assert [entry.get("replayed") for entry in entries] == [None, True, True]
    assert [entry.get("upstream") for entry in entries] == ["gpu-1", None, None]
    assert [entry.get("input_tokens") for entry in entries] == [5, None, None]
    assert entries[0]["bytes"] == entries[2]["bytes"] == len(first.body)


async def test_facts_are_there_before_the_last_message_leaves() -> None:
    seen: list[list[set[type]]] = [[], []]
    events = [thing for part in CHAT_WITH_USAGE for thing in (pause, part)]
    inner = layer(limited(Script(*events, headers=SSE), TOKENS), relay=False)

    def watched(index: int) -> ASGIApp:
        async def watch(scope: Scope, receive: Receive, send: Send) -> None:
            facts.open_in(scope)

            async def look(message: Any) -> None:
                seen[index].append(set(scope[facts.SCOPE_KEY]))
                await send(message)

            await inner(scope, receive, look)

        return watch

    for index in (0, 1):
        await keyed(stream=True).run(watched(index))
    first, again = seen
    assert Quotas in first[0]
    assert Usage not in first[0]
    assert {Usage, Relayed} <= first[-1]
    assert Replayed not in first[-1]
    assert Replayed in again[0]
    assert not {Usage, Relayed, Quotas} & again[-1]


async def test_the_line_of_a_client_that_left_is_of_the_client(lines: list[str]) -> None:
    stage = Stage()
    stack = LogMiddleware(layer(Script(stage, ANSWER)), format="json")
    leaving = keyed()
    async with running(stack, leaving) as first:
        await stage.reached.wait()
        leaving.disconnect.set()
        await first
        stage.go.set()
        await pause()
    assert [json.loads(line)["outcome"] for line in lines] == ["client_disconnected"]


async def test_a_replay_costs_a_request_and_no_tokens() -> None:
    limiter = Limiter()
    inner = limited(whole(ANSWER), TOKENS, SLOTS, limiter=limiter)
    keys = IdempotencyMiddleware(inner, share="all")
    stack = RateLimitMiddleware(keys, policies=[REQUESTS], limiter=limiter, estimator=estimated)
    told = [await exchange.run(stack) for exchange in (keyed(), keyed(), call())]
    assert [answer.body for answer in told] == [ANSWER] * 3
    remaining = [
        (
            answer.header("x-ratelimit-remaining-requests"),
            answer.header("x-ratelimit-remaining-tokens"),
        )
        for answer in told
    ]
    assert remaining == [("9", "970"), ("8", "992"), ("7", "962")]
    assert (limiter.settled, limiter.unsettled) == ([8, 8], 0)


async def test_a_key_is_left_unused_where_it_means_nothing() -> None:
    app = Counted(lambda: whole(ANSWER))
    stack = layer(app, relay=False)
    get = Exchange(http_scope("GET", "/v1/models", [KEY]))
    odd = Exchange(http_scope("POST", "/elsewhere", [KEY]))
    for exchange in (get, odd):
        assert (await exchange.run(stack)).header("idempotency-status") is None
    assert app.calls == 2

    class Anonymous(Known):
        async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
            await self.app(scope, receive, send)

    stack = Anonymous(IdempotencyMiddleware(app), ALICE)
    for _ in range(2):
        answer = await keyed().run(stack)
        assert (answer.body, answer.header("idempotency-status")) == (ANSWER, "ignored")
    assert app.calls == 4
    assert (await keyed().run(layer(app, principal=None))).header("idempotency-status") is None


async def test_by_option_streams_run_without_their_key() -> None:
    app = Counted(lambda: Script(*CHAT, headers=SSE))
    stack = layer(app, streams="ignore")
    for _ in range(2):
        answer = await keyed(stream=True).run(stack)
        assert answer.body == b"".join(CHAT)
        assert answer.header("idempotency-status") == "ignored_streaming"
    assert app.calls == 2


@pytest.mark.parametrize("json_body", [True, False])
async def test_a_request_too_large_to_compare_is_refused_or_runs(*, json_body: bool) -> None:
    def large() -> Exchange:
        if json_body:
            return keyed(padding="x" * 3000)
        headers = [(b"content-type", b"multipart/form-data; boundary=x"), KEY]
        parts = [b"x" * 900] * 5
        return Exchange(http_scope("POST", "/v1/audio/transcriptions", headers), parts)

    refused = await large().run(layer(whole(ANSWER), max_request=2000))
    assert refused.status == 413
    app = whole(ANSWER)
    stack = layer(app, max_request=2000, oversized="pass")
    answer = await large().run(stack)
    assert (answer.body, answer.header("idempotency-status")) == (ANSWER, "too_large")
    assert app.request == b"".join(part["body"] for part in large()._inbox)


async def test_a_key_that_is_none_is_refused() -> None:
    app = Counted(lambda: whole(ANSWER))
    stack = layer(app)
    assert (await keyed(key=(b"idempotency-key", b"")).run(stack)).status == 400
    twice = keyed()
    twice.scope["headers"] += [KEY]
    assert (await twice.run(stack)).status == 400
    assert (await json_request(b"[", headers=[KEY]).run(stack)).status == 400
    assert app.calls == 0


async def _events() -> Any:
    for part in CHAT:
        await asyncio.sleep(0)
        yield part


async def _chat(request: Request) -> Response:
    asked = await request.json()
    if await request.is_disconnected():
        return Response(status_code=500)
    if asked.get("stream"):
        return StreamingResponse(_events(), media_type="text/event-stream")
    return FileResponse(__file__) if asked.get("file") else JSONResponse({"n": request.app.state.n})


@pytest.mark.parametrize("mounted", [True, False])
@pytest.mark.parametrize("asked", [{}, {"stream": True}, {"file": True}])
async def test_in_a_host_s_app_calls_are_replayed(asked: Any, *, mounted: bool) -> None:
    """Its responses listen for the disconnect, and one would send a file by its path."""
    path = "/chat/completions" if mounted else "/v1/chat/completions"
    inner = Starlette(routes=[Route(path, _chat, methods=["POST"])])
    inner.state.n = 7
    inner.add_middleware(IdempotencyMiddleware, share="all")
    app = inner
    if mounted:
        app = Starlette(routes=[Mount("/v1", inner)])

        async def passing(request: Request, call_next: Any) -> Response:
            return await call_next(request)  # type: ignore[no-any-return]  # Starlette's own

        app.add_middleware(BaseHTTPMiddleware, dispatch=passing)
    answers = []
    for _ in range(2):
        exchange = keyed(**asked)
        exchange.scope["extensions"] = {"http.response.pathsend": {}}
        async with asyncio.timeout(5):
            answers.append(await exchange.run(app))
        inner.state.n += 1
        async with asyncio.timeout(5):
            while not nothing_left():  # noqa: ASYNC110 - a task's end is no event
                await asyncio.sleep(0.005)
    first, again = answers
    assert first.status == again.status == 200
    assert first.body == again.body != b""
    assert again.header("idempotent-replayed") == "true"
