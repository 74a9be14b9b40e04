"""The router: who is asked, who next where they fail, and what the client gets in the end."""

import asyncio
import json
import logging
from collections.abc import Mapping
from http import HTTPStatus
from itertools import count
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.types import Receive, Scope, Send

from tests.asgi import Exchange, http_scope, json_request, running
from tests.clock import Clock
from tests.limiters import virtual
from tests.upstream.servers import eventually
from tests.upstream.targets import (
    DONE,
    EVENT,
    JSON,
    SSE,
    USAGE,
    Deed,
    Scripted,
    answers,
    hangs,
    part,
    refuses,
    routed,
    start,
    stays_away,
    streams,
)
from veneer import facts
from veneer.client import Client
from veneer.edits import Edits
from veneer.errors import BrokenResponseError
from veneer.facts import OwnKeys, Route, Unreached
from veneer.layers.compat import CompatMiddleware
from veneer.layers.relay import RelayMiddleware
from veneer.quotas.estimate import NOTHING, Estimate
from veneer.quotas.settlement import untold
from veneer.routing.preferences import Preferences
from veneer.routing.target import Target
from veneer.stack import Stack
from veneer.upstream._standing import IN_A_ROW
from veneer.upstream.own_key import UpstreamKey
from veneer.upstream.router import Router

ERROR = b'{"error":{"message":"no","type":"server_error"}}'
FAILING = [
    pytest.param(refuses, id="unreachable"),
    pytest.param(answers(ERROR, 500), id="500"),
    pytest.param(answers(ERROR, 404), id="404"),
    pytest.param(answers(ERROR, 429), id="429"),
    pytest.param(answers(ERROR, 403), id="403"),
    pytest.param(streams(), id="a stream without events"),
    pytest.param(streams(ends=False), id="a stream that breaks"),
    pytest.param(streams(b": busy\n\n", ends=False), id="a comment, then a break"),
    pytest.param(streams(b'data: {"choi', ends=False), id="half an event"),
    pytest.param(streams(b'data: {"error":{"message":"no"}}\n\n'), id="an error for an event"),
    pytest.param(streams(b'data: {"error":"no"}\n\n'), id="the text of an error"),
    pytest.param(streams(b'data: {"type":"error","error":null}\n\n'), id="an error by its type"),
    pytest.param(streams(DONE), id="an end without events"),
    pytest.param(stays_away, id="no answer"),
    pytest.param(hangs, id="silence"),
    pytest.param(streams(EVENT % b"late", wait=9.0), id="a slow stream"),
]


def call(*, stream: bool = True, known: Mapping[type, object] = {}, **body: Any) -> Exchange:
    """Return a call whose facts outlast it."""
    exchange = json_request({"model": "m", "messages": [], "stream": stream, **body})
    facts.open_in(exchange.scope).update(known)
    return exchange


def fact(exchange: Exchange, kind: type[Any]) -> Any:
    return facts.get(exchange.scope, kind)


def good(word: bytes) -> Deed:
    return streams(EVENT % word, USAGE, DONE)


@pytest.mark.parametrize("failing", FAILING)
def test_the_next_target_is_asked_where_one_fails_before_its_first_event(failing: Deed) -> None:
    async def main() -> None:
        a, b = Scripted(failing), Scripted(good(b"hi"))
        exchange = await call().run(routed(a, b, try_timeout=5.0))

        assert exchange.status == HTTPStatus.OK
        assert exchange.body == EVENT % b"hi" + USAGE + DONE
        assert len(a.bodies) == len(b.bodies) == 1
        assert a.running == 0
        route = fact(exchange, Route)
        assert (route.target, route.status, [t.target for t in route.tried]) == ("b", 200, ["a"])
        assert fact(exchange, Unreached) is None

    virtual.run(main())


@pytest.mark.parametrize(
    "status", [400, 401 - 1, 409, 413, 415, 422], ids=lambda status: f"status {status}"
)
async def test_what_the_client_did_wrong_is_its_own_to_see(status: int) -> None:
    a, b = Scripted(answers(b'{"error":"yours"}', status)), Scripted(good(b"hi"))
    exchange = await call().run(routed(a, b))

    assert (exchange.status, exchange.body) == (status, b'{"error":"yours"}')
    assert exchange.header("x-should-retry") is None
    assert b.bodies == []


@pytest.mark.parametrize(
    "error",
    [
        b'{"error":{"code":400,"message":"too long"}}',
        b'{"error":{"type":"invalid_request_error","message":"too long"}}',
    ],
)
async def test_an_error_of_the_clients_own_in_a_stream_goes_through(error: bytes) -> None:
    a, b = Scripted(streams(b"data: " + error + b"\n\n")), Scripted(good(b"hi"))
    exchange = await call().run(routed(a, b))

    assert error in exchange.body
    assert b.bodies == []


HTML = [(b"content-type", b"text/html")]
CHUNK = EVENT % b"x"
ODD = [
    pytest.param(True, (JSON, b'{"ok":true}', 200), id="JSON for a stream"),
    pytest.param(True, (HTML, b"<p>we are back soon", 200), id="a page for a stream"),
    pytest.param(True, (JSON, b"", 204), id="nothing for a stream"),
    pytest.param(False, (SSE, CHUNK, 200), id="a stream that was not asked for"),
    pytest.param(False, (JSON, b"", 200), id="nothing"),
    pytest.param(False, (JSON, b"", 204), id="nothing, as it says"),
]


def odd(headers: list[tuple[bytes, bytes]], body: bytes, status: int) -> Deed:
    async def deed(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send(start(status, headers))
        await send(part(body))
        await send(part(b"", more=False))

    return deed


@pytest.mark.parametrize(("stream", "answer"), ODD)
async def test_what_was_not_asked_for_is_no_answer(stream: bool, answer: Any) -> None:  # noqa: FBT001 - parametrized
    a, b = Scripted(odd(*answer)), Scripted(good(b"hi") if stream else answers())
    exchange = await call(stream=stream).run(routed(a, b))

    assert exchange.status == HTTPStatus.OK
    assert fact(exchange, Route).target == "b"
    assert [(each.target, each.why) for each in fact(exchange, Route).tried] == [("a", "broken")]


@pytest.mark.parametrize(("stream", "answer"), ODD)
async def test_where_nobody_gives_what_was_asked_for_clients_need_not_try_again(
    stream: bool,  # noqa: FBT001 - parametrized
    answer: Any,
) -> None:
    a, b = Scripted(odd(*answer)), Scripted(odd(*answer))
    exchange = await call(stream=stream).run(RelayMiddleware(routed(a, b)))

    assert exchange.status == HTTPStatus.BAD_GATEWAY
    assert exchange.header("x-should-retry") == "false"
    assert len(b.bodies) == 1


async def test_who_has_asked_one_only_may_try_again() -> None:
    exchange = await call(stream=False).run(RelayMiddleware(routed(Scripted(odd(JSON, b"", 200)))))

    assert exchange.status == HTTPStatus.BAD_GATEWAY
    assert exchange.header("x-should-retry") is None


@pytest.mark.parametrize("path", ["/v1/embeddings", "/v1/moderations"])
async def test_other_answers_may_come_as_they_like(path: str) -> None:
    a, b = Scripted(answers()), Scripted(answers())
    exchange = json_request({"model": "m", "input": "x", "stream": True}, path)
    facts.open_in(exchange.scope)
    await exchange.run(routed(a, b))

    assert (exchange.status, fact(exchange, Route).target) == (HTTPStatus.OK, "a")


async def test_after_the_first_event_nobody_else_is_asked() -> None:
    a, b = Scripted(streams(EVENT % b"one", ends=False)), Scripted(good(b"hi"))
    exchange = call()

    with pytest.raises(BrokenResponseError):
        await exchange.run(routed(a, b))

    assert exchange.body == EVENT % b"one"
    assert not exchange.ended
    assert b.bodies == []


async def test_below_a_relay_a_stream_that_breaks_late_ends_with_one_error() -> None:
    a = Scripted(streams(EVENT % b"one", ends=False))
    exchange = call()

    with pytest.raises(BrokenResponseError):
        await exchange.run(Stack([], app=RelayMiddleware(routed(a))))

    assert exchange.body.count(b'"error"') == 1


async def test_comments_are_held_until_there_is_an_event() -> None:
    comments = b": processing\n\n" * 20_000
    exchange = await call().run(routed(Scripted(streams(comments, b": x\n\n", EVENT % b"x", DONE))))

    assert exchange.body.endswith(EVENT % b"x" + DONE)
    assert len(exchange.body) < 2 * 65_536


async def test_an_event_that_is_too_long_to_be_held_is_an_answer() -> None:
    long = b'data: {"a":"' + b"x" * 100_000
    a, b = Scripted(streams(long, b'"}\n\n', DONE)), Scripted(good(b"hi"))
    exchange = await call().run(routed(a, b))

    assert exchange.body == long + b'"}\n\n' + DONE
    assert b.bodies == []


# Budgets.


async def test_no_more_than_the_tries_are_made() -> None:
    apps = [Scripted(answers(ERROR, 500)) for _ in range(5)]
    exchange = await call().run(routed(*apps, tries=2))

    assert sum(len(app.bodies) for app in apps) == 2
    assert (exchange.status, exchange.body) == (500, ERROR)
    assert exchange.header("x-should-retry") == "false"
    assert [tried.why for tried in fact(exchange, Route).tried] == ["status"] * 2


@pytest.mark.parametrize(
    ("wanted", "asked"),
    [
        (Preferences(allow_fallbacks=False), 1),
        (Preferences(max_fallback_attempts=1), 2),
        (Preferences(max_fallback_attempts=9), 3),
    ],
)
async def test_clients_may_want_fewer(wanted: Preferences, asked: int) -> None:
    apps = [Scripted(answers(ERROR, 500)) for _ in range(5)]
    await call(known={Preferences: wanted}).run(routed(*apps))

    assert sum(len(app.bodies) for app in apps) == asked


def test_a_deadline_holds_for_all_tries_together() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        apps = [Scripted(hangs) for _ in range(5)]
        router = routed(*apps, tries=5, try_timeout=4.0, deadline=10.0, clock=loop.time)
        began = loop.time()
        exchange = await call().run(router)

        assert loop.time() - began == pytest.approx(10.0)
        assert sum(len(app.bodies) for app in apps) == 3
        assert exchange.status == HTTPStatus.GATEWAY_TIMEOUT
        assert exchange.header("x-should-retry") == "false"

    virtual.run(main())


@pytest.mark.parametrize("deed", [hangs, streams(b": busy\n\n", b": busy\n\n", wait=0.4)])
def test_a_client_may_be_less_patient_and_nobody_is_blamed_for_that(deed: Deed) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        app = Scripted(deed)
        router = routed(app, clock=loop.time)
        for _ in range(20):
            began = loop.time()
            wanted = Preferences(timeout_ms=500)
            exchange = await call(known={Preferences: wanted}).run(router)
            assert loop.time() - began == pytest.approx(0.5)
            assert exchange.status == HTTPStatus.GATEWAY_TIMEOUT

        assert len(app.bodies) == 20
        reading = router._roster.readings(router._roster.offers(("m",)), router._roster.prefix(b""))
        assert reading[0].failing == 0

    virtual.run(main())


def test_an_answer_that_comes_whole_has_more_time_than_a_first_event() -> None:
    async def slow(_scope: Scope, _receive: Receive, send: Send) -> None:
        await asyncio.sleep(100)
        await answers()(_scope, _receive, send)

    async def main() -> None:
        router = routed(Scripted(slow), Scripted(good(b"hi")))
        assert (await call(stream=False).run(router)).body == b'{"ok":true}'
        assert EVENT % b"hi" in (await call().run(router)).body

    virtual.run(main())


def test_a_stream_that_has_begun_has_all_the_time_it_needs() -> None:
    async def main() -> None:
        stream = Scripted(streams(EVENT % b"1", EVENT % b"2", EVENT % b"3", DONE, wait=50.0))
        exchange = await call().run(routed(stream, deadline=70.0))
        assert exchange.ended

    virtual.run(main())


# What the client is told where nobody answers.


async def test_a_single_answer_is_passed_on_as_it_is() -> None:
    exchange = await call().run(routed(Scripted(answers(ERROR, 503, retry_after="7"))))

    assert (exchange.status, exchange.body) == (503, ERROR)
    assert exchange.header("retry-after") == "7"
    assert exchange.header("x-should-retry") is None


async def test_a_single_error_in_a_stream_is_passed_on_as_it_is() -> None:
    error = b'data: {"error":{"message":"no"}}\n\n'
    exchange = await call().run(routed(Scripted(streams(error, DONE))))

    assert (exchange.status, exchange.body) == (200, error + DONE)


async def test_a_long_error_is_passed_on_where_it_is_the_last() -> None:
    long = b"x" * 300_000
    apps = [Scripted(answers(long, 500)), Scripted(answers(long, 502))]
    exchange = await call().run(routed(*apps))

    assert (exchange.status, exchange.body) == (502, long)


async def test_who_is_limited_everywhere_is_told_when_to_come_again() -> None:
    clock = Clock()
    a = Scripted(answers(ERROR, 429, retry_after="30"))
    b = Scripted(answers(ERROR, 429, retry_after="20"))
    router = routed(a, b, clock=clock)
    first = await call().run(router)
    clock.now += 5
    second = await call().run(router)

    assert (first.status, first.header("retry-after")) == (429, "20")
    assert (second.status, second.header("retry-after")) == (429, "15")
    assert first.header("x-should-retry") == "false"
    assert len(a.bodies) == len(b.bodies) == 1

    clock.now += 15.5
    b.deeds = [good(b"hi")]
    assert (await call().run(router)).status == HTTPStatus.OK
    assert len(a.bodies) == 1


async def test_where_all_rest_it_is_not_the_clients_limit_unless_all_are_limited() -> None:
    a = Scripted(answers(ERROR, 429, retry_after="30"))
    b = Scripted(answers(ERROR, 503, retry_after="20"))
    router = routed(a, b)
    await call().run(router)
    exchange = await call().run(router)

    assert exchange.status == HTTPStatus.SERVICE_UNAVAILABLE
    assert exchange.header("retry-after") in ("19", "20")
    assert fact(exchange, Unreached) is not None


async def test_another_model_of_a_target_that_is_limited_is_served() -> None:
    app = Scripted(answers(ERROR, 429, retry_after="30"), answers())
    router = routed(app)
    await call().run(router)

    assert (await call(model="other").run(router)).status == HTTPStatus.OK


async def test_a_wait_is_bounded_whoever_asks_for_it() -> None:
    clock = Clock()
    app = Scripted(answers(ERROR, 429, retry_after="999999999"), answers())
    router = routed(app, clock=clock)
    await call().run(router)
    clock.now += 301

    assert (await call().run(router)).status == HTTPStatus.OK


@pytest.mark.parametrize("status", [402, 403])
async def test_what_the_operators_account_is_refused_for_is_not_told(status: int) -> None:
    exchange = await call().run(routed(Scripted(answers(b'{"error":"pay, Bob"}', status))))

    assert exchange.status == HTTPStatus.BAD_GATEWAY
    assert b"Bob" not in exchange.body


async def test_nobody_reached_means_nothing_used() -> None:
    exchange = await call().run(routed(Scripted(refuses), Scripted(refuses)))

    assert exchange.status == HTTPStatus.BAD_GATEWAY
    assert fact(exchange, Unreached) is not None
    route = fact(exchange, Route)
    assert (route.target, route.status, route.answered, route.tries) == ("b", 0, False, 2)
    assert untold(exchange.scope, Estimate(100, 100), exchange.status) == NOTHING


async def test_all_that_were_asked_are_known_where_nobody_answered() -> None:
    apps = [Scripted(deed) for deed in (refuses, answers(ERROR, 500), stays_away)]
    exchange = await call().run(routed(*apps))

    route = fact(exchange, Route)
    assert (route.target, [tried.target for tried in route.tried]) == ("b", ["a", "b", "c"])
    assert [tried.why for tried in route.tried] == ["unreachable", "status", "broken"]
    assert (route.status, route.answered, route.tries) == (500, False, 3)
    assert exchange.status == HTTPStatus.BAD_GATEWAY


async def test_those_that_were_asked_are_known_where_none_gave_a_status() -> None:
    exchange = await call().run(routed(Scripted(stays_away), Scripted(refuses)))

    route = fact(exchange, Route)
    assert (route.status, [tried.target for tried in route.tried]) == (0, ["a", "b"])
    assert fact(exchange, Unreached) is None
    assert untold(exchange.scope, Estimate(100, 100), exchange.status) == Estimate(100)


async def test_what_the_last_try_has_used_is_known_where_all_have_failed() -> None:
    used = b'{"error":{"message":"no"},"usage":{"prompt_tokens":7,"completion_tokens":1}}'
    exchange = await call().run(routed(Scripted(answers(ERROR, 500)), Scripted(answers(used, 500))))

    assert [tried.usage and tried.usage.total_tokens for tried in fact(exchange, Route).tried] == [
        None,
        8,
    ]


async def test_a_model_that_nobody_has_is_not_found() -> None:
    target = Target(name="a", app=Scripted(answers()), models={"gpt-*": "*", "mine": "theirs"})
    router = Router([target])

    assert (await call(model="gpt-4").run(router)).status == HTTPStatus.OK
    exchange = await call(model="claude").run(router)
    assert exchange.status == HTTPStatus.NOT_FOUND
    assert exchange.json()["error"]["param"] == "model"
    assert fact(exchange, Unreached) is not None


async def test_why_nobody_fits_is_told_with_its_member() -> None:
    wanted = Preferences(providers=frozenset(["z"]))
    exchange = await call(known={Preferences: wanted}).run(routed(Scripted(answers())))

    assert exchange.status == HTTPStatus.BAD_REQUEST
    assert exchange.json()["error"]["param"] == "gateway.routing.providers"


# What targets get.


async def test_each_target_is_asked_by_its_own_name_for_the_model_and_without_what_it_lacks() -> (
    None
):
    a, b, c = Scripted(answers(ERROR, 500)), Scripted(answers(ERROR, 500)), Scripted(answers())
    router = Router(
        [
            Target(name="a", app=a, models={"m": "org/m"}, weight=1e6),
            Target(name="b", app=b, unknown_parameters=frozenset(["seed", "top_k"]), weight=1e3),
            Target(name="c", app=c),
        ],
        random=lambda: 0.25,
    )
    exchange = await call(stream=False, seed=1, n=2).run(router)
    sent = [json.loads(app.bodies[0]) for app in (a, b, c)]

    assert [body["model"] for body in sent] == ["org/m", "m", "m"]
    assert ["seed" in body for body in sent] == [True, False, True]
    assert all(body["n"] == 2 for body in sent)
    for app in (a, b, c):
        lengths = [v for n, v in app.scopes[0]["headers"] if n == b"content-length"]
        assert lengths == [b"%d" % len(app.bodies[0])]
    assert fact(exchange, Edits) is None


async def test_the_answer_names_the_catalogs_model_and_says_what_was_left_out() -> None:
    body = b'{"model":"org/m","choices":[],"usage":{"prompt_tokens":1,"completion_tokens":1}}'
    target = Target(
        name="a",
        app=Scripted(answers(body)),
        models={"m": "org/m"},
        unknown_parameters=frozenset(["seed"]),
    )
    exchange = await call(stream=False, seed=1).run(RelayMiddleware(Router([target])))

    assert exchange.json()["model"] == "m"
    route = fact(exchange, Route)
    assert (route.model, route.canonical, route.strategy) == ("org/m", "m", "cost-focus")
    assert [each.code for each in fact(exchange, Edits).warnings] == ["unsupported_parameter"]


async def test_a_key_of_the_callers_own_is_shown_in_its_try_only() -> None:
    seen = []

    def looking(then: Deed) -> Deed:
        async def deed(scope: Scope, receive: Receive, send: Send) -> None:
            seen.append(facts.get(scope, UpstreamKey))
            await then(scope, receive, send)

        return deed

    a = Scripted(looking(answers(ERROR, 401)), looking(answers(ERROR, 500)))
    b = Scripted(looking(answers()))
    router = Router(
        [Target(name="a", app=a, own_keys=True, weight=1e6), Target(name="b", app=b)],
        random=lambda: 0.25,
    )
    exchange = await call(stream=False, known={OwnKeys: OwnKeys({"a": "sk-mine"})}).run(router)

    assert exchange.status == HTTPStatus.OK
    assert seen == [UpstreamKey("sk-mine"), None, None]
    assert "sk-mine" not in repr(seen)
    assert fact(exchange, UpstreamKey) is None
    assert fact(exchange, Route).own_key is False


async def test_who_may_use_own_keys_only_is_told_that_they_are_refused() -> None:
    app = Scripted(answers(ERROR, 401))
    router = Router([Target(name="a", app=app, own_keys=True)])
    wanted = Preferences(only_byok=True)
    own = OwnKeys({"a": "sk-mine"})
    for _ in range(IN_A_ROW + 1):
        exchange = await call(known={OwnKeys: own, Preferences: wanted}).run(router)
        assert exchange.status == HTTPStatus.BAD_REQUEST

    # It is theirs, and says nothing of the target.
    assert (await call(stream=False).run(router)).status == HTTPStatus.UNAUTHORIZED
    assert len(app.bodies) == IN_A_ROW + 2


async def test_facts_of_a_try_that_failed_stay_in_it() -> None:
    async def rewrites(scope: Scope, receive: Receive, send: Send) -> None:
        facts.put(scope, Route(target="inner", status=500, request_id="req_1"))
        await answers(ERROR, 500)(scope, receive, send)

    exchange = await call().run(routed(Scripted(rewrites), Scripted(good(b"hi"))))

    route = fact(exchange, Route)
    assert (route.target, route.request_id, route.tried[0].status) == ("b", None, 500)


async def test_what_a_failed_try_has_used_is_known() -> None:
    used = b'{"error":{"message":"no"},"usage":{"prompt_tokens":7,"completion_tokens":1}}'
    exchange = await call().run(routed(Scripted(answers(used, 500)), Scripted(good(b"hi"))))

    (tried,) = fact(exchange, Route).tried
    assert (tried.usage.input_tokens, tried.usage.output_tokens) == (7, 1)


async def test_a_target_in_its_own_compat_layer_is_asked_without_layers_above() -> None:
    app = Scripted(answers(ERROR, 500), answers())
    wrapped = CompatMiddleware(app, max_tokens="max_tokens")
    targets = [Target(name="a", app=wrapped, weight=1e6), Target(name="b", app=app)]
    # Of all draws, 4 in 100 look at the other one first.
    router = Router(targets, random=lambda: 0.5)
    exchange = json_request(
        {"model": "m", "messages": [{"role": "user", "content": "x"}], "max_completion_tokens": 5}
    )
    await exchange.run(router)

    assert exchange.status == HTTPStatus.OK
    assert [b'"max_tokens"' in body for body in app.bodies] == [True, False]


# Targets' own limits, and when they are asked again.


async def test_a_target_has_no_more_calls_at_a_time_than_it_may() -> None:
    a, b = Scripted(hangs), Scripted(answers())
    router = Router(
        [Target(name="a", app=a, max_concurrent=1, weight=1e6), Target(name="b", app=b)],
        random=lambda: 0.25,
    )
    one = call()
    async with running(router, one):
        await eventually(lambda: a.running > 0)
        assert (await call(stream=False).run(router)).status == HTTPStatus.OK
        assert len(a.bodies) == 1
    assert router._roster.standing("a").outstanding == 0


async def test_a_target_has_no_more_calls_a_minute_than_it_may() -> None:
    clock = Clock()
    app = Scripted(answers())
    router = Router([Target(name="a", app=app, requests_per_minute=2)], clock=clock)
    statuses = [(await call(stream=False).run(router)).status for _ in range(3)]
    clock.now += 60

    assert statuses == [200, 200, 503]
    assert (await call(stream=False).run(router)).status == HTTPStatus.OK


async def test_a_target_that_fails_for_long_is_left_alone_and_tried_again() -> None:
    clock = Clock()
    a = Scripted(*[answers(ERROR, 500)] * IN_A_ROW, answers())
    router = routed(a, clock=clock)
    for _ in range(IN_A_ROW):
        assert (await call(stream=False).run(router)).status == 500
    exchange = await call(stream=False).run(router)
    assert (exchange.status, exchange.header("retry-after")) == (503, "1")
    assert len(a.bodies) == IN_A_ROW

    clock.now += 0.5
    assert (await call(stream=False).run(router)).status == HTTPStatus.OK
    assert (await call(stream=False).run(router)).status == HTTPStatus.OK


async def test_one_call_at_a_time_finds_out_whether_a_target_is_back() -> None:
    clock = Clock()
    a = Scripted(*[answers(ERROR, 500)] * IN_A_ROW, hangs)
    router = routed(a, clock=clock)
    for _ in range(IN_A_ROW):
        await call().run(router)
    clock.now += 0.5
    async with running(router, call()):
        await eventually(lambda: a.running > 0)
        assert (await call().run(router)).status == HTTPStatus.SERVICE_UNAVAILABLE
        assert len(a.bodies) == IN_A_ROW + 1


async def test_who_is_back_and_limited_at_once_says_for_how_long() -> None:
    clock = Clock()
    failing = [answers(ERROR, 500)] * IN_A_ROW
    a = Scripted(*failing, answers(ERROR, 429, retry_after="90"), good(b"hi"))
    router = routed(a, clock=clock)
    for _ in failing:
        await call().run(router)
    clock.now += 5.0
    await call().run(router)
    exchange = await call().run(router)

    assert (exchange.status, exchange.header("retry-after")) == (429, "90")
    assert len(a.bodies) == IN_A_ROW + 1


# Clients that leave.


@pytest.mark.parametrize("deed", [hangs, streams(EVENT % b"x", b": x\n\n" * 9, wait=5.0)])
async def test_a_client_that_leaves_ends_the_try_and_nobody_else_is_asked(deed: Deed) -> None:
    a, b = Scripted(deed), Scripted(good(b"hi"))
    router = routed(a, b)
    exchange = call()
    async with running(router, exchange) as task:
        await eventually(lambda: a.running > 0)
        exchange.disconnect.set()
        await asyncio.wait_for(task, 5)

    assert a.running == 0
    assert b.bodies == []
    assert router._roster.standing("a").outstanding == 0
    # Who was asked is paid its price.
    assert fact(exchange, Route).target == "a"


@pytest.mark.parametrize(("before", "unreached"), [(refuses, True), (answers(ERROR, 500), False)])
async def test_a_client_that_leaves_before_anybody_was_reached_has_used_nothing(
    before: Deed,
    unreached: bool,  # noqa: FBT001 - parametrized
) -> None:
    async def connecting(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await hangs(scope, receive, send)
        finally:
            facts.put(scope, Unreached())

    a, b = Scripted(before), Scripted(connecting)
    exchange = call()
    async with running(routed(a, b), exchange) as task:
        await eventually(lambda: b.running > 0)
        exchange.disconnect.set()
        await asyncio.wait_for(task, 5)

    assert (fact(exchange, Unreached) is not None) is unreached


async def test_the_body_is_kept_until_the_first_event_only() -> None:
    kept = []

    async def looking(scope: Scope, _receive: Receive, send: Send) -> None:
        client = facts.get(scope, Client)
        assert client is not None
        kept.append(len(client.kept))
        await send(start(200, SSE))
        await send(part(b": busy\n\n"))
        kept.append(len(client.kept))
        await send(part(EVENT % b"x"))
        kept.append(len(client.kept))
        await send(part(DONE, more=False))

    await call().run(routed(Scripted(looking)))

    assert kept[0] == kept[1] > 0
    assert kept[2] == 0


# Requests that name no model.


async def test_an_upload_goes_to_one_target_only() -> None:
    a, b = Scripted(answers(ERROR, 500)), Scripted(answers())
    headers = [(b"content-type", b"multipart/form-data; boundary=x"), (b"content-length", b"6")]
    scope = http_scope("POST", "/v1/audio/transcriptions", headers)
    exchange = await Exchange(scope, [b"abc", b"def"]).run(routed(a, b))

    assert exchange.status == 500
    assert (a.bodies, b.bodies) == ([b"abcdef"], [])


async def test_calls_without_a_model_go_to_the_first_target_that_does_not_rest() -> None:
    a, b = Scripted(answers(ERROR, 500)), Scripted(answers())
    router = routed(a, b)
    for _ in range(IN_A_ROW + 2):
        exchange = await json_request({"input": "x"}, "/v1/moderations").run(router)
        assert exchange.status == HTTPStatus.OK

    assert (len(a.bodies), len(b.bodies)) == (IN_A_ROW, IN_A_ROW + 2)


@pytest.mark.parametrize(
    ("wanted", "asked", "key"),
    [
        (Preferences(), "b", None),
        (Preferences(data_policy="zdr"), "c", None),
        (Preferences(providers=frozenset("c")), "c", None),
        (Preferences(exclude_providers=frozenset("b")), "c", None),
        (Preferences(only_byok=True), "a", "sk-mine"),
    ],
)
async def test_nor_are_those_asked_that_must_not_be(
    wanted: Preferences, asked: str, key: str | None
) -> None:
    shown = []

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        own = facts.get(scope, UpstreamKey)
        shown.append(None if own is None else own.value)
        await answers()(scope, receive, send)

    targets = [
        Target(name="a", app=Scripted(answer), platform=False, own_keys=True),
        Target(name="b", app=Scripted(answer)),
        Target(name="c", app=Scripted(answer), data_policy="zdr"),
    ]
    exchange = json_request({"messages": []})
    known: dict[type, object] = {Preferences: wanted}
    if key is not None:
        known[OwnKeys] = OwnKeys({"a": key})
    facts.open_in(exchange.scope).update(known)
    await exchange.run(Router(targets))

    assert (fact(exchange, Route).target, shown) == (asked, [key])


async def test_nobody_is_asked_without_a_model_where_nobody_may_be() -> None:
    app = Scripted(answers())
    exchange = json_request({"messages": []})
    facts.open_in(exchange.scope)[Preferences] = Preferences(only_byok=True)
    await exchange.run(Router([Target(name="a", app=app, own_keys=True)]))

    assert exchange.status == HTTPStatus.BAD_REQUEST
    assert exchange.json()["error"]["param"] == "gateway.routing.only_byok"
    assert app.bodies == []


async def test_what_is_stored_is_where_it_was_stored() -> None:
    a, b = Scripted(answers(ERROR, 500)), Scripted(answers())
    exchange = Exchange(http_scope("GET", "/v1/files/file_1"))
    await exchange.run(routed(a, b, allow=["files"]))

    assert exchange.status == 500
    assert b.bodies == []


def listing(*names: str) -> bytes:
    return json.dumps(
        {"object": "list", "data": [{"id": n, "owned_by": "x"} for n in names]}
    ).encode()


def models(exchange: Exchange) -> list[str]:
    return [row["id"] for row in exchange.json()["data"]]


async def test_models_are_listed_under_the_names_of_the_catalog() -> None:
    router = Router(
        [
            Target(
                name="a", app=Scripted(answers(listing("org/m", "hidden"))), models={"m": "org/m"}
            ),
            Target(
                name="b", app=Scripted(answers(listing("llama", "gpt-5"))), models={"gpt-*": "*"}
            ),
            Target(name="c", app=Scripted(answers(ERROR, 500)), models={"n": "*"}),
        ]
    )
    exchange = await Exchange(http_scope("GET", "/v1/models")).run(router)

    assert models(exchange) == ["m", "gpt-5", "n"]
    assert exchange.json()["data"][0]["owned_by"] == "x"
    one = await Exchange(http_scope("GET", "/v1/models/gpt-5")).run(router)
    assert one.json()["id"] == "gpt-5"
    none = await Exchange(http_scope("GET", "/v1/models/hidden")).run(router)
    assert none.status == HTTPStatus.NOT_FOUND


async def test_the_last_good_list_of_a_target_counts() -> None:
    clock = Clock()
    a = Scripted(answers(listing("m")), answers(ERROR, 500))
    router = routed(a, clock=clock)
    seen = []
    for _ in range(3):
        seen.append(models(await Exchange(http_scope("GET", "/v1/models")).run(router)))
        clock.now += 3

    assert seen == [["m"]] * 3
    assert len(a.bodies) == 2


def test_a_target_that_lists_nothing_for_long_is_not_waited_for() -> None:
    async def main() -> None:
        router = routed(Scripted(hangs), Scripted(answers(listing("m"))))
        assert models(await Exchange(http_scope("GET", "/v1/models")).run(router)) == ["m"]

    virtual.run(main())


# The app itself.


async def test_what_is_not_served_is_refused_as_an_upstream_does() -> None:
    exchange = await Exchange(http_scope("GET", "/v1/files")).run(routed(Scripted(answers())))
    assert exchange.status == HTTPStatus.NOT_FOUND
    exchange = await json_request(b"{", "/v1/chat/completions").run(routed(Scripted(answers())))
    assert exchange.status == HTTPStatus.BAD_REQUEST


@pytest.mark.parametrize(
    ("targets", "options", "sentence"),
    [
        ([], {}, "needs a target"),
        ([("a", 1.0), ("a", 1.0)], {}, "Two targets are called 'a'"),
        ([("a", 0.0), ("b", 0.0)], {}, "weights of all targets are 0"),
        ([("a", 1.0)], {"tries": 0}, "tries is 0"),
        ([("a", 1.0)], {"deadline": -1.0}, "deadline is -1.0"),
        ([("a", 1.0)], {"try_timeout": float("nan")}, "try_timeout is nan"),
        ([("a", 1.0)], {"health_interval": 0.0}, "health_interval is 0.0"),
    ],
)
def test_what_cannot_work_is_refused_at_once(
    targets: list[tuple[str, float]], options: dict[str, Any], sentence: str
) -> None:
    app = Scripted(answers())
    with pytest.raises(ValueError, match=sentence):
        Router([Target(name=name, app=app, weight=weight) for name, weight in targets], **options)


async def test_each_failed_try_is_one_line_of_the_log(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "veneer.router"):
        secret = b'{"error":"sk-secret"}'
        await call().run(routed(Scripted(answers(secret, 500)), Scripted(good(b"hi"))))

    assert [record.getMessage() for record in caplog.records] == [
        "a has not answered: status, status 500"
    ]


# Whatever happens.

OUTCOMES: dict[str, Deed] = {
    "good": good(b"%s"),
    "plain": answers(b'{"from":"a"}'),
    "refused": refuses,
    "500": answers(ERROR, 500),
    "429": answers(ERROR, 429, retry_after="1"),
    "400": answers(ERROR, 400),
    "long": answers(b"e" * 100_000, 503),
    "empty": streams(),
    "dies": streams(b": x\n\n", ends=False),
    "dies late": streams(EVENT % b"x", ends=False),
    "error": streams(b'data: {"error":{"message":"x"}}\n\n'),
    "hangs": hangs,
    "slow": streams(EVENT % b"x", DONE, wait=3.0),
    "away": stays_away,
}


def marked(name: str, deed: Deed) -> Deed:
    """Return a deed that puts the target's name in every part of its body."""

    async def done(scope: Scope, receive: Receive, send: Send) -> None:
        async def marking(message: Any) -> None:
            if message.get("body"):
                mark = f": {name}\n" if message["body"][:1] in b":d" else f"{name}"
                message = {**message, "body": message["body"] + mark.encode()}
            elif message["type"] == "http.response.start":
                headers = [pair for pair in message["headers"] if pair[0] != b"content-length"]
                message = {**message, "headers": headers}
            await send(message)

        await deed(scope, receive, marking)

    return done


@given(
    outcomes=st.lists(
        st.lists(st.sampled_from(sorted(OUTCOMES)), min_size=1), min_size=1, max_size=4
    ),
    tries=st.integers(1, 4),
    stream=st.booleans(),
    draws=st.lists(st.floats(0, 1, exclude_max=True), min_size=1, max_size=5),
    leaves=st.none() | st.floats(0, 12),
    cancelled=st.none() | st.floats(0, 12),
)
def test_whatever_targets_do_a_client_gets_one_answer(  # noqa: PLR0913, PLR0917 - as many as there are to vary
    outcomes: list[list[str]],
    tries: int,
    stream: bool,  # noqa: FBT001 - hypothesis gives it by name
    draws: list[float],
    leaves: float | None,
    cancelled: float | None,
) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        before = asyncio.all_tasks()
        apps = [
            Scripted(*(marked(f"<{name}>", OUTCOMES[each]) for each in deeds))
            for name, deeds in zip("abcd", outcomes, strict=False)
        ]
        turns = count()
        router = routed(
            *apps,
            tries=tries,
            try_timeout=2.0,
            whole_timeout=2.0,
            random=lambda: draws[next(turns) % len(draws)],
            clock=loop.time,
        )
        for _ in range(3):
            exchange = call(stream=stream)
            made = sum(len(app.bodies) for app in apps)
            if leaves is not None:
                loop.call_later(leaves, exchange.disconnect.set)
            task = asyncio.create_task(exchange.run(router))
            if cancelled is not None:
                loop.call_later(cancelled, task.cancel)
            await asyncio.wait({task})
            if task.cancelled():
                assert cancelled is not None
            elif (error := task.exception()) is not None:
                assert isinstance(error, BrokenResponseError)
                assert not exchange.ended
            else:
                assert exchange.ended or exchange.disconnect.is_set()
            starts = [m for m in exchange.messages if m["type"] == "http.response.start"]
            gone = exchange.disconnect.is_set() or task.cancelled()
            assert len(starts) == 1 or (gone and not starts)
            if starts:
                marks = {name for name in "abcd" if f"<{name}>".encode() in exchange.body}
                assert len(marks) <= 1
            assert sum(len(app.bodies) for app in apps) - made <= tries
            assert all(app.running == 0 for app in apps)
            for name, _ in zip("abcd", outcomes, strict=False):
                assert router._roster.standing(name).outstanding == 0
            await asyncio.sleep(1)
        assert asyncio.all_tasks() <= before

    virtual.run(main())
