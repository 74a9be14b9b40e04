"""What `[completions]` describes, and what is said of one that cannot be."""

from typing import Any

import pytest
from starlette.types import ASGIApp

from tests.asgi import Exchange, Responder, http_scope, json_request, running
from tests.config.test_build import names
from tests.layers.completions import Model
from tests.layers.streams import chunk, members
from veneer import CompletionsMiddleware, ConfigurationError, Principal, Stack
from veneer.auth.callable import CallableVerifier
from veneer.cli.shared import shared_by_workers
from veneer.config import build, parse
from veneer.idempotency.memory import MemoryRecordingStore
from veneer.idempotency.sqlite import SqliteRecordingStore
from veneer.wiring import chain

ANSWER = (
    b'{"id":"x","choices":[{"index":0,"message":{"role":"assistant","content":"Hi"}}],'
    b'"usage":{"prompt_tokens":5,"completion_tokens":3,"total_tokens":8}}'
)
KEY = (b"authorization", b"Bearer ann")
OTHER = (b"authorization", b"Bearer eve")
AUROUS: dict[str, Any] = {"dialect": {"name": "aurous"}}
STORED = "chat.completions.stored"


async def everybody(credential: str) -> Principal:
    return Principal(id=credential, team=f"team-{credential}", scopes=frozenset({"full"}))


def built(app: ASGIApp | None = None, **document: Any) -> Stack:
    with shared_by_workers(parse(document)) as config:
        verifier = CallableVerifier(everybody)
        return build(config, app or Responder(ANSWER), verifier=verifier)


def layer_of(stack: Stack) -> CompletionsMiddleware | None:
    found = [part for part in chain(stack) if isinstance(part, CompletionsMiddleware)]
    return found[0] if found else None


def refused(*, verified: bool = True, **document: Any) -> str:
    verifier = CallableVerifier(everybody) if verified else None
    with pytest.raises(ConfigurationError) as caught:
        build(parse(document), Responder(ANSWER), verifier=verifier)
    return str(caught.value)


async def ask(stack: Stack, path: str, key: Any = KEY, method: str = "GET") -> Exchange:
    return await Exchange(http_scope(method, f"/v1{path}", [key])).run(stack)


async def make(stack: Stack) -> str:
    exchange = json_request({"model": "m", "messages": [{}]}, headers=[KEY])
    name: str = (await exchange.run(stack)).json()["id"]
    return name


async def test_aurous_keeps_them_and_others_where_they_are_asked_to() -> None:
    asked: dict[str, Any] = {"completions": {"enabled": True}}
    for document in (AUROUS, asked):
        stack = built(**document)
        async with stack.lifespan():
            name = await make(stack)
            assert name.startswith("cmp_")
            assert (await ask(stack, f"/chat/completions/{name}")).json()["status"] == "completed"
            assert (await ask(stack, f"/chat/completions/{name}", OTHER)).status == 404
    for other in ({}, {**AUROUS, "completions": {"enabled": False}}):
        stack = built(**other)
        assert layer_of(stack) is None
        assert await make(stack) == "x"
        answer = await ask(stack, "/chat/completions/x")
        assert "not_served" in answer.json()["error"]["code"]


async def test_it_stands_below_replays_and_above_what_counts_tokens() -> None:
    policy = {"unit": "tokens", "limit": "10/minute", "partition": "key"}
    stacked = names(built(**AUROUS, ratelimit={"policies": [policy]}))
    at = stacked.index("CompletionsMiddleware")
    assert stacked[at - 1] == "IdempotencyMiddleware"
    assert "RateLimitMiddleware" in stacked[at:]


async def test_to_ask_is_a_request_and_costs_nothing_else() -> None:
    policies = [
        {"limit": "3/minute", "partition": "key"},
        {"unit": "tokens", "limit": "1000000/minute", "partition": "key"},
    ]
    stack = built(**AUROUS, ratelimit={"policies": policies})
    name = await make(stack)
    answers = [await ask(stack, f"/chat/completions/{name}") for _ in range(3)]
    assert [answer.status for answer in answers] == [200, 200, 429]
    tokens = [answer.header("x-ratelimit-tpm-remaining") for answer in answers]
    assert len(set(tokens)) == 1


async def test_to_cancel_needs_no_place_among_those_that_run() -> None:
    policies = [
        {"limit": "100/minute", "partition": "key"},
        {"unit": "concurrent-requests", "limit": 1, "partition": "key"},
    ]
    model = Model(chunk("Hel"))
    stack = built(model, **AUROUS, ratelimit={"policies": policies})
    exchange = json_request({"model": "m", "messages": [{}], "stream": True}, headers=[KEY])
    async with running(stack, exchange) as task:
        await exchange.until(b"Hel")
        other = json_request({"model": "m", "messages": [{}]}, headers=[KEY])
        assert (await other.run(stack)).status == 429
        assert (await ask(stack, "/me")).status == 200
        name = members(exchange.body)[0]["id"]
        assert (await ask(stack, f"/chat/completions/{name}")).status == 200
        answer = await ask(stack, f"/chat/completions/{name}/cancel", method="POST")
        await task
    assert (answer.status, answer.json()["status"]) == (200, "cancelled")


@pytest.mark.parametrize("path", ["/chat/completions/x/messages", "/chat/completions"])
async def test_the_upstream_is_asked_for_none_of_what_is_stored(path: str) -> None:
    app = Responder(ANSWER)
    answer = await ask(built(app, **AUROUS), path)
    assert answer.status in (404, 405)
    assert app.scopes == []


async def test_an_upstream_may_keep_them_itself() -> None:
    app = Responder(ANSWER)
    stack = built(app, **AUROUS, operations={"allow": [STORED]})
    assert layer_of(stack) is None
    assert (await ask(stack, "/chat/completions/x")).body == ANSWER


@pytest.mark.parametrize("name", [STORED, "chat", "chat.completions"])
async def test_what_is_denied_is_not_served(name: str) -> None:
    stack = built(**AUROUS, operations={"deny": [name]})
    assert layer_of(stack) is None
    assert (await ask(stack, "/chat/completions/x")).status == 404


def test_options_are_those_of_the_layer() -> None:
    options = {"ttl": 60.0, "content": False, "max_answer": 5, "max_total": 2_000_000}
    layer = layer_of(built(**AUROUS, completions=options))
    assert layer is not None
    assert (layer._terms.content, layer._terms.limit) == (False, 5)
    store = layer._register._store
    assert isinstance(store, MemoryRecordingStore)
    assert (store._max_bytes, layer._register._ttl) == (2_000_000, 60.0)


def test_workers_share_them() -> None:
    layer = layer_of(built(**AUROUS, serve={"workers": 2}))
    assert layer is not None
    guarded: Any = layer._register._store
    assert isinstance(guarded._store, SqliteRecordingStore)


def test_without_keys_they_are_nobodys() -> None:
    assert layer_of(build(parse(AUROUS), Responder(ANSWER))) is None
    assert "nobody knows whose" in refused(verified=False, completions={"enabled": True})


@pytest.mark.parametrize(
    ("document", "words"),
    [
        (
            {"completions": {"enabled": True}, "operations": {"allow": [STORED]}},
            "asks the upstream",
        ),
        ({"completions": {"enabled": True}, "operations": {"deny": ["chat"]}}, "deny has"),
        (
            {**AUROUS, "serve": {"workers": 2}, "idempotency": {"enabled": False}},
            "several workers would each know",
        ),
        ({**AUROUS, "completions": {"store": "ftp://x"}}, "[completions] store"),
        (
            {**AUROUS, "completions": {"store": "redis://x", "max_total": 2_000_000}},
            "maxmemory",
        ),
    ],
)
def test_what_cannot_be_is_refused_with_its_table(document: dict[str, Any], words: str) -> None:
    assert words in refused(**document)
