"""What dialects tell of every call in its answer, through the relay."""

import json
from typing import Any

import msgspec
import pytest
from auriko.route_types import RoutingMetadata
from starlette.types import ASGIApp, Receive, Scope, Send

from tests.asgi import Exchange, http_scope
from tests.layers.probe import SSE, Script, call
from tests.layers.streams import (
    CHAT,
    CHAT_WITH_USAGE,
    COMPLETED,
    RESPONSES,
    USAGE,
    chunk,
    compact,
    event,
    members,
    usage_chunk,
)
from veneer import facts
from veneer.catalog.model import Model, Resolved
from veneer.dialects import OPENAI, Dialect
from veneer.dialects.auriko import auriko
from veneer.dialects.aurous import aurous
from veneer.dialects.routing import Warned
from veneer.edits import edits_of
from veneer.facts import Cost, Route
from veneer.layers.relay import RelayMiddleware
from veneer.routing.preferences import Preferences, Weights

AURIKO = auriko()
KEY = "routing_metadata"
ANSWER = {"id": "chatcmpl-1", "model": "small", "choices": [], "usage": USAGE}


async def ask(app: ASGIApp, *known: object, dialect: Dialect = AURIKO, **more: Any) -> Exchange:
    exchange = call(**more)
    for fact in (dialect, *known):
        facts.put(exchange.scope, fact)
    return await exchange.run(RelayMiddleware(app))


def whole(answer: Any, status: int = 200) -> Script:
    return Script(compact(answer), status=status)


def told(found: Any) -> RoutingMetadata:
    """Return metadata as Auriko's client reads it."""
    return RoutingMetadata.model_validate(found)


async def test_who_answered_is_told_of_the_app_below() -> None:
    metadata = told((await ask(whole(ANSWER))).json()[KEY])
    assert (metadata.provider, metadata.provider_model_id) == ("upstream", "small")
    assert metadata.model_canonical == "small"
    assert (metadata.cost, metadata.ttft_ms) == (None, None)


async def test_it_knows_the_target_the_model_and_the_cost() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        facts.put(scope, Route(target="east", status=200))
        await whole(ANSWER)(scope, receive, send)

    resolved = Resolved("alias", Model(id="canon"))
    metadata = told((await ask(app, resolved, Cost(total=3_000_000))).json()[KEY])
    assert (metadata.provider, metadata.model_canonical) == ("east", "canon")
    assert metadata.cost is not None
    assert metadata.cost.usd == 0.000003


@pytest.mark.parametrize("path", ["/v1/completions", "/v1/embeddings", "/v1/responses"])
async def test_every_call_of_a_model_tells_it(path: str) -> None:
    answer = {**ANSWER, "output": [], "error": None}
    assert KEY in (await ask(whole(answer), path=path)).json()


@pytest.mark.parametrize(
    ("path", "more"), [("/v1/moderations", {"input": "a"}), ("/v1/images/generations", {})]
)
async def test_other_calls_do_not(path: str, more: Any) -> None:
    assert (await ask(whole(ANSWER), path=path, **more)).json() == ANSWER


async def test_lists_are_left_alone() -> None:
    exchange = Exchange(http_scope("GET", "/v1/models"))
    facts.put(exchange.scope, AURIKO)
    await exchange.run(RelayMiddleware(whole({"data": []})))
    assert exchange.json() == {"data": []}


@pytest.mark.parametrize(
    ("status", "answer"),
    [
        (400, {"error": {"message": "No."}}),
        (200, {"error": {"message": "No."}}),
        (200, {"id": "resp_1", "status": "failed", "error": {"code": "server_error"}}),
    ],
)
async def test_errors_do_not_tell_it(status: int, answer: Any) -> None:
    assert (await ask(whole(answer, status))).json() == answer


async def test_it_stands_in_place_of_what_a_gateway_below_says() -> None:
    answer = {**ANSWER, KEY: {"provider": "theirs"}}
    found = await ask(whole(answer))
    assert found.body.count(KEY.encode()) == 1
    assert told(found.json()[KEY]).provider == "upstream"


async def test_where_no_model_is_known_nothing_is_told() -> None:
    app = whole({"id": "a", "choices": []})
    assert KEY not in (await ask(app, model=None)).json()
    named = await ask(whole(ANSWER), model=None)
    assert told(named.json()[KEY]).provider_model_id == "small"


async def test_the_last_frame_alone_has_it_together_with_usage() -> None:
    answer = await ask(Script(*CHAT_WITH_USAGE, headers=SSE), stream=True)
    *before, last, done = members(answer.body)
    assert done == "[DONE]"
    assert last["choices"][0]["finish_reason"] == "stop"
    assert last["usage"] == USAGE
    assert told(last[KEY]).ttft_ms is not None
    assert not any(KEY in part for part in before)


async def test_who_asked_for_usage_finds_it_on_the_extra_chunk() -> None:
    asked: dict[str, Any] = {"stream_options": {"include_usage": True}}
    answer = await ask(Script(*CHAT_WITH_USAGE, headers=SSE), stream=True, **asked)
    *_, finish, last, _ = members(answer.body)
    assert KEY not in finish
    assert (last["choices"], last["usage"]) == ([], USAGE)
    assert KEY in last


async def test_a_stream_without_usage_tells_it_all_the_same() -> None:
    answer = await ask(Script(*CHAT, headers=SSE), stream=True)
    *_, last, _ = members(answer.body)
    assert KEY in last
    assert "usage" not in last


async def test_a_stream_of_one_chunk_tells_when_it_came() -> None:
    answer = await ask(Script(chunk("Hi", finish="stop"), usage_chunk(), headers=SSE), stream=True)
    [only] = members(answer.body)
    assert told(only[KEY]).ttft_ms is not None


async def test_a_stream_that_breaks_does_not_tell_it() -> None:
    failure = event({"error": {"message": "It broke."}})
    answer = await ask(Script(CHAT[0], failure, headers=SSE), stream=True)
    assert KEY.encode() not in answer.body


async def test_a_response_tells_it_inside_and_beside() -> None:
    answer = await ask(Script(*RESPONSES, headers=SSE), path="/v1/responses", stream=True)
    *before, last = members(answer.body)
    assert told(last[KEY]) == told(last["response"][KEY])
    assert not any(KEY in json.dumps(part) for part in before)


@pytest.mark.parametrize(("kind", "tells"), [("incomplete", True), ("failed", False)])
async def test_a_response_that_failed_does_not_tell_it(kind: str, *, tells: bool) -> None:
    end = event({"type": f"response.{kind}", "response": {**COMPLETED, "status": kind}})
    answer = await ask(Script(end, headers=SSE), path="/v1/responses", stream=True)
    [last] = members(answer.body)
    assert (KEY in last, KEY in last["response"]) == (tells, tells)


async def test_a_response_has_its_text_as_one_member() -> None:
    text = [{"type": "message", "content": [{"type": "output_text", "text": "Hi"}]}]
    answer = {**ANSWER, "output": text}
    assert (await ask(whole(answer), path="/v1/responses")).json()["output_text"] == "Hi"
    end = event({"type": "response.completed", "response": {**COMPLETED, "output": text}})
    streamed = await ask(Script(end, headers=SSE), path="/v1/responses", stream=True)
    assert members(streamed.body)[0]["response"]["output_text"] == "Hi"
    other = await ask(whole(answer), path="/v1/responses", dialect=OPENAI)
    assert other.json() == answer


async def test_aurous_shows_usage_and_openai_does_not() -> None:
    shown = await ask(Script(*CHAT_WITH_USAGE, headers=SSE), dialect=aurous(), stream=True)
    assert members(shown.body)[-2]["usage"] == USAGE
    app = Script(*CHAT, headers=SSE)
    plain = await ask(app, dialect=OPENAI, stream=True)
    assert plain.body == b"".join(CHAT)
    assert b"include_usage" not in app.request


def routed_by(route: Route, *steps: Any, **options: Any) -> ASGIApp:
    """Return an app that answers as a router does: with where the call went."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        facts.put(scope, route)
        edits_of(scope).warnings += [LEFT_OUT, LEFT_OUT]
        await Script(*steps, **options)(scope, receive, send)

    return app


LEFT_OUT = Warned("unsupported_parameter", "seed", "The target does not know 'seed'.")
THERE = Route(
    target="east", status=200, model="meta/small-v1", canonical="small", strategy="ttft-focus"
)


async def test_a_router_says_which_model_of_whom_answers_and_why() -> None:
    metadata = told((await ask(routed_by(THERE, compact(ANSWER)))).json()[KEY])
    assert (metadata.provider, metadata.provider_model_id) == ("east", "meta/small-v1")
    assert (metadata.model_canonical, metadata.routing_strategy) == ("small", "ttft-focus")
    assert [(warning.code, warning.message) for warning in metadata.warnings or ()] == [
        ("seed", "The target does not know 'seed'.")
    ]


async def test_a_strategy_that_its_client_does_not_know_is_not_told() -> None:
    route = msgspec.structs.replace(THERE, strategy="dice")
    metadata = told((await ask(routed_by(route, compact(ANSWER)))).json()[KEY])
    assert metadata.routing_strategy == "cost-focus"


@pytest.mark.parametrize(("shown", "found"), [(None, "small"), ("alias", "small")])
async def test_an_answer_names_its_model_as_the_catalog_does(shown: str | None, found: str) -> None:
    def app(scope: Scope, receive: Receive, send: Send) -> Any:
        if shown is not None:
            edits_of(scope).show_model(shown)
        answer = compact({**ANSWER, "model": "meta/small-v1"})
        return routed_by(THERE, answer)(scope, receive, send)

    assert (await ask(app, dialect=OPENAI)).json()["model"] == found


async def test_whoever_asks_for_the_names_of_targets_sees_them() -> None:
    def app(scope: Scope, receive: Receive, send: Send) -> Any:
        edits_of(scope).names_canonical = False
        return routed_by(THERE, compact({**ANSWER, "model": "meta/x"}))(scope, receive, send)

    assert (await ask(app, dialect=OPENAI)).json()["model"] == "meta/x"


async def test_a_target_that_calls_it_by_the_same_name_is_left_its_own_word() -> None:
    """An answer may name the snapshot that wrote it."""
    app = routed_by(
        msgspec.structs.replace(THERE, model="small"),
        compact({**ANSWER, "model": "small-2026-01-01"}),
    )
    assert (await ask(app, dialect=OPENAI)).json()["model"] == "small-2026-01-01"


async def test_every_chunk_of_a_stream_has_the_catalogs_name() -> None:
    answer = await ask(
        routed_by(msgspec.structs.replace(THERE, canonical="canon"), *CHAT, headers=SSE),
        dialect=OPENAI,
        stream=True,
    )
    assert {part["model"] for part in members(answer.body)[:-1]} == {"canon"}


async def test_a_stream_tells_how_fast_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three tokens: the first comes with the first event, and two in the second after it."""
    now = [100.0]
    monkeypatch.setattr("veneer.layers._routed.perf_counter", lambda: now[0])

    async def later() -> None:
        now[0] += 0.5

    first, *rest = CHAT_WITH_USAGE
    app = Script(later, first, later, later, *rest, headers=SSE)
    *_, last, _done = members((await ask(app, stream=True)).body)
    metadata = told(last[KEY])
    assert (metadata.ttft_ms, metadata.throughput_tps) == (500.0, 2.0)


async def test_a_stream_that_comes_at_once_tells_no_speed() -> None:
    *_, last, _done = members(
        (await ask(Script(b"".join(CHAT_WITH_USAGE), headers=SSE), stream=True)).body
    )
    assert told(last[KEY]).throughput_tps is None


@pytest.mark.parametrize(
    ("preferences", "strategy"),
    [
        (Preferences(), "cost-focus"),
        (Preferences(optimize="tps"), "tps"),
        (Preferences(optimize="tps", weights=Weights(cost=1)), "custom"),
    ],
)
async def test_where_there_is_one_target_it_says_what_was_asked_for(
    preferences: Preferences, strategy: str
) -> None:
    metadata = told((await ask(whole(ANSWER), preferences)).json()[KEY])
    assert metadata.routing_strategy == strategy
