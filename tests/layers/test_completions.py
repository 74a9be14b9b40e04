"""Chats that can be asked for again, by whom, and what is told of them."""

import asyncio
import json
import re
from typing import Any

import pytest

from tests.asgi import Exchange, Responder, http_scope, json_request, running
from tests.layers.completions import ANN, BOB, EVE, RED, Model, as_caller, cancel, kept, retrieve
from tests.layers.keyed import Watched
from tests.layers.limits import Known
from tests.layers.probe import SSE, Script, call
from tests.layers.streams import (
    CHAT,
    CHAT_WITH_USAGE,
    DONE,
    USAGE,
    chunk,
    compact,
    event,
    members,
    usage_chunk,
)
from tests.lint import Lint
from veneer import facts
from veneer.dialects.aurous import aurous
from veneer.errors import BrokenResponseError
from veneer.idempotency.memory import MemoryRecordingStore
from veneer.layers.completions import CompletionsMiddleware
from veneer.layers.idempotency import IdempotencyMiddleware
from veneer.layers.relay import RelayMiddleware
from veneer.wiring import ConfigurationError

ID = re.compile(r"cmp_[0-9A-HJKMNP-TV-Z]{26}").fullmatch
MESSAGE = {"role": "assistant", "content": "Hi"}
COMPLETION: dict[str, Any] = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "small",
    "choices": [{"index": 0, "finish_reason": "stop", "message": MESSAGE}],
    "usage": USAGE,
}
ANSWER = compact(COMPLETION)


def plain(body: bytes = ANSWER, **options: Any) -> Script:
    return Script(body, **options)


def streaming(*parts: bytes) -> Script:
    return Script(*(parts or CHAT_WITH_USAGE), headers=SSE)


async def test_an_answer_can_be_asked_for_again() -> None:
    layer = kept(plain())
    answer = await call().run(layer)
    told = answer.json()
    assert ID(told["id"])
    assert {**told, "id": "", "usage": USAGE} == {**COMPLETION, "id": ""}
    assert answer.header("content-length") == str(len(answer.body))
    again = await retrieve(layer, told["id"])
    assert (again.status, again.json()) == (200, {**told, "status": "completed"})
    assert again.header("cache-control") == "no-store"
    assert "cost" in again.json()["usage"]


async def test_a_stream_is_kept_as_the_answer_that_a_plain_call_gets() -> None:
    layer = kept(streaming())
    answer = await call(stream=True).run(layer)
    *chunks, done = members(answer.body)
    [name] = {each["id"] for each in chunks}
    assert ID(name)
    assert done == "[DONE]"
    again = (await retrieve(layer, name)).json()
    [choice] = again["choices"]
    assert choice["message"] == {"role": "assistant", "content": "Hello \u00e9"}
    assert (choice["finish_reason"], again["status"]) == ("stop", "completed")
    assert (again["id"], again["object"]) == (name, "chat.completion")


async def test_receipts_of_a_stream_are_kept_with_it() -> None:
    layer = kept(streaming())
    exchange = call(stream=True, stream_options={"include_usage": True})
    name = members((await exchange.run(layer)).body)[0]["id"]
    usage = (await retrieve(layer, name)).json()["usage"]
    assert usage["cost"] == 0.000011
    assert {**usage, "cost": 0} == {**USAGE, "cost": 0}


async def test_it_is_kept_before_its_client_can_know_that_it_is_over() -> None:
    store = Watched()
    store.gate.clear()
    layer = kept(streaming(), store=store)
    exchange = call(stream=True)
    async with running(layer, exchange) as task:
        await store.committing.wait()
        assert DONE not in exchange.body
        store.gate.set()
        assert (await task).body.endswith(DONE)


@pytest.mark.parametrize("caller", [EVE, RED])
async def test_nobody_else_learns_of_it(caller: Any) -> None:
    layer, model = kept(plain()), Model(*CHAT[:1])
    name = (await call().run(layer)).json()["id"]
    assert (await retrieve(as_caller(layer, BOB), name)).status == 200
    stranger = as_caller(layer, caller)
    assert (await retrieve(stranger, name)).json()["error"]["code"] == "not_found"
    error = (await cancel(stranger, name)).json()["error"]
    assert error["code"] == "chat_cancel_target_not_found"
    layer = kept(model)
    exchange = call(stream=True)
    async with running(layer, exchange):
        await model.begun.wait()
        name = members(exchange.body)[0]["id"]
        assert (await retrieve(as_caller(layer, caller), name)).status == 404
        assert (await cancel(as_caller(layer, caller), name)).status == 404
        assert not model.left


async def test_upstreams_may_repeat_their_ids() -> None:
    layer = kept(plain())
    names = [(await call().run(layer)).json()["id"] for _ in range(2)]
    assert names[0] != names[1]
    again = await retrieve(layer, "chatcmpl-1")
    assert again.status == 404


async def test_one_that_runs_is_in_progress() -> None:
    model = Model(*CHAT[:1])
    layer = kept(model)
    exchange = call(stream=True)
    async with running(layer, exchange):
        await model.begun.wait()
        name = members(exchange.body)[0]["id"]
        told = (await retrieve(layer, name)).json()
    assert told.pop("created") > 1_700_000_000
    assert told == {
        "id": name,
        "object": "chat.completion",
        "model": "small",
        "choices": [],
        "status": "in_progress",
    }


async def test_one_that_runs_elsewhere_is_in_progress_too() -> None:
    store, model = Watched(), Model(*CHAT[:1])
    here, there = kept(model, store=store), kept(plain(), store=store)
    exchange = call(stream=True)
    async with running(here, exchange):
        await model.begun.wait()
        name = members(exchange.body)[0]["id"]
        assert (await retrieve(there, name)).json()["status"] == "in_progress"


async def test_a_stream_that_breaks_has_failed_and_says_why() -> None:
    layer = kept(streaming(chunk("Hel")))
    exchange = call(stream=True)
    with pytest.raises(BrokenResponseError):
        await exchange.run(layer)
    first, error = members(exchange.body)
    told = (await retrieve(layer, first["id"])).json()
    assert told["status"] == "failed"
    assert told["error"]["code"] == error["error"]["code"] == "upstream_interrupted"
    assert set(told["error"]) >= {"code", "type", "message"}
    assert told["choices"][0]["message"]["content"] == "Hel"


async def test_a_stream_that_ends_with_the_upstreams_error_has_failed() -> None:
    error = {"type": "server_error", "code": "overloaded", "message": "Try later."}
    layer = kept(streaming(chunk("Hel"), event({"error": error})))
    exchange = await call(stream=True).run(layer)
    told = (await retrieve(layer, members(exchange.body)[0]["id"])).json()
    assert (told["status"], told["error"]) == ("failed", error)


async def test_a_stream_that_stops_by_itself_is_judged_without_a_relay_too() -> None:
    for parts, status in (
        (CHAT, "completed"),
        (CHAT[:-1], "completed"),
        (CHAT[:1], "failed"),
        ((*CHAT[:1], b'data: {"id"'), "failed"),
    ):
        layer = Known(CompletionsMiddleware(streaming(*parts)), ANN)
        answer = await call(stream=True).run(layer)
        name = members(answer.body.partition(b"\n\n")[0])[0]["id"]
        assert (await retrieve(layer, name)).json()["status"] == status


async def test_a_client_that_leaves_has_cancelled_its_stream() -> None:
    model = Model(*CHAT[:1])
    layer = kept(model)
    exchange = call(stream=True)
    async with running(layer, exchange) as task:
        await model.begun.wait()
        name = members(exchange.body)[0]["id"]
        exchange.disconnect.set()
        await task
    told = (await retrieve(layer, name)).json()
    assert (told["status"], told["error"]["code"]) == ("cancelled", "cancelled_client_disconnect")
    assert told["choices"][0]["finish_reason"] == "cancelled"
    assert told["choices"][0]["message"]["content"] == "Hel"


@pytest.mark.parametrize(
    "app",
    [
        plain(b'{"error":{"message":"no"}}', status=500),
        plain(b'{"error":{"message":"no"}}'),
        plain(b"[1]"),
        plain(b"{broken"),
        plain(b"hello", headers=[(b"content-type", b"text/plain")]),
        Script(ANSWER[:9], ANSWER[9:], headers=[(b"content-type", b"text/html")]),
    ],
)
async def test_what_is_no_completion_passes_as_it_is_and_is_not_kept(app: Script) -> None:
    store = Watched()
    layer = Known(CompletionsMiddleware(Lint(app), store=store), ANN)
    answer = await call().run(layer)
    assert answer.body == b"".join(app.steps)
    assert store.asked == ["claim", "release"]


async def test_a_body_that_comes_in_parts_passes_as_it_is() -> None:
    store = Watched()
    layer = Known(CompletionsMiddleware(Responder(ANSWER[:9], ANSWER[9:]), store=store), ANN)
    assert (await call().run(layer)).body == ANSWER
    assert "commit" not in store.asked


async def test_a_bug_below_is_raised_and_leaves_nothing() -> None:
    store = Watched()
    layer = kept(Script(ZeroDivisionError()), store=store)
    with pytest.raises(ZeroDivisionError):
        await call().run(layer)
    assert store.asked == ["claim", "release"]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("options", "more"),
    [({"content": False}, {}), ({"max_answer": 1}, {}), ({}, {"store": False})],
)
async def test_what_the_model_wrote_is_kept_only_where_it_may_be(
    *, stream: bool, options: dict[str, Any], more: dict[str, Any]
) -> None:
    app = streaming(*CHAT[:3], usage_chunk(), DONE) if stream else plain()
    store = Watched()
    layer = kept(app, store=store, **options)
    answer = await call(stream=stream, **more).run(layer)
    assert b"Hel" in answer.body or b"Hi" in answer.body
    name = members(answer.body)[0]["id"] if stream else answer.json()["id"]
    again = await retrieve(layer, name)
    told = again.json()
    assert (told["status"], told["retained"]) == ("completed", False)
    assert told["choices"] == [
        {"index": 0, "message": {"role": "assistant", "content": None}, "finish_reason": "stop"}
    ]
    assert told["usage"]["total_tokens"] == 8
    assert not any(word in again.body for word in (b"Hel", b"Hi"))
    assert not any(b"Hel" in str(kept).encode() for kept in store.recordings)


async def test_a_call_may_ask_in_escapes_not_to_be_kept() -> None:
    layer = kept(plain())
    body = compact({"model": "small", "messages": [], "store": False})
    answer = await json_request(body.replace(b"store", b"st\\u006fre")).run(layer)
    assert not (await retrieve(layer, answer.json()["id"])).json()["retained"]


async def test_a_call_may_ask_in_so_many_words_to_be_kept() -> None:
    layer = kept(plain())
    answer = await call(store=True, metadata={"store": False}).run(layer)
    assert "retained" not in (await retrieve(layer, answer.json()["id"])).json()


async def test_after_its_time_it_is_gone() -> None:
    now = 0.0
    layer = kept(plain(), store=MemoryRecordingStore(clock=lambda: now), ttl=60.0)
    name = (await call().run(layer)).json()["id"]
    now = 59.0
    assert (await retrieve(layer, name)).status == 200
    now = 61.0
    assert (await retrieve(layer, name)).status == 404


async def test_while_the_store_is_away_calls_are_made_all_the_same(
    caplog: pytest.LogCaptureFixture,
) -> None:
    store = Watched()
    layer = kept(plain(), store=store)
    name = (await call().run(layer)).json()["id"]
    store.away = {"claim", "look"}
    answer = await call().run(layer)
    assert answer.status == 200
    assert "will not be kept" in caplog.text
    for asked in (await retrieve(layer, name), await cancel(layer, name)):
        assert (asked.status, asked.header("retry-after")) == (503, "1")
        assert asked.json()["error"]["code"] == "completions_unavailable"


async def test_an_answer_is_given_also_where_it_cannot_be_kept(
    caplog: pytest.LogCaptureFixture,
) -> None:
    store = Watched()
    store.away = {"commit"}
    assert (await call().run(kept(plain(), store=store))).status == 200
    assert "cannot be kept" in caplog.text


async def test_a_replay_has_the_id_of_the_first() -> None:
    inner = CompletionsMiddleware(RelayMiddleware(plain()))
    layer = Known(IdempotencyMiddleware(inner), ANN)
    body = compact({"model": "small", "messages": []})
    headers = [(b"idempotency-key", b"k"), (b"content-type", b"application/json")]
    answers = [
        await Exchange(http_scope("POST", headers=headers), [body]).run(layer) for _ in range(2)
    ]
    assert answers[1].header("idempotent-replayed") == "true"
    assert answers[0].body == answers[1].body
    assert (await retrieve(layer, answers[0].json()["id"])).json()["status"] == "completed"


@pytest.mark.parametrize(
    ("method", "tail", "status", "allow"),
    [
        ("DELETE", "cmp_1", 405, "GET, HEAD"),
        ("POST", "cmp_1", 405, "GET, HEAD"),
        ("GET", "cmp_1/cancel", 405, "POST"),
        ("GET", "cmp_1/messages", 404, None),
        ("POST", "cmp_1/x/cancel", 404, None),
        ("POST", "cancel", 405, "GET, HEAD"),
        ("HEAD", "cmp_1", 404, None),
        ("GET", "x" * 5000, 404, None),
    ],
)
async def test_nothing_below_is_asked_for_what_is_stored_there(
    method: str, tail: str, status: int, allow: str | None
) -> None:
    app = plain()
    layer = kept(app)
    scope = http_scope(method, f"/v1/chat/completions/{tail}")
    answer = await Exchange(scope).run(layer)
    assert (answer.status, answer.header("allow")) == (status, allow)
    assert app.scope == {}


@pytest.mark.parametrize("path", ["/v1/completions", "/v1/responses", "/v1/models", "/other"])
async def test_all_else_passes(path: str) -> None:
    app = Responder(b'{"id":"x","choices":[]}')
    layer = Known(CompletionsMiddleware(app), ANN)
    assert (await call(path).run(layer)).body == app.parts[0]


async def test_the_dialect_words_its_errors() -> None:
    layer = kept(plain())
    exchange = Exchange(http_scope("POST", "/v1/chat/completions/x/cancel"))
    facts.put(exchange.scope, aurous())
    error = (await exchange.run(layer)).json()["error"]
    assert (error["type"], error["code"]) == ("not_found", "chat_cancel_target_not_found")


async def test_it_needs_to_know_who_calls() -> None:
    with pytest.raises(ConfigurationError, match="Principal"):
        await call().run(CompletionsMiddleware(plain()))


@pytest.mark.parametrize("options", [{"ttl": 0}, {"max_answer": 0}])
def test_options_that_cannot_be_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="give positive numbers"):
        CompletionsMiddleware(plain(), **options)


async def test_many_at_once_leave_nothing_behind() -> None:
    layer = CompletionsMiddleware(RelayMiddleware(streaming()))
    known = Known(layer, ANN)
    answers = await asyncio.gather(*(call(stream=True).run(known) for _ in range(50)))
    assert len({members(each.body)[0]["id"] for each in answers}) == 50
    assert not layer._register.running
    assert json.loads((await retrieve(known, members(answers[7].body)[0]["id"])).body)
