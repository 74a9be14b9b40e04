"""What `[idempotency]` describes, and what is said of one that cannot be."""

import inspect
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.asgi import Exchange, Responder, json_request
from tests.layers.keyed import KEY
from veneer import ConfigurationError, IdempotencyMiddleware, Stack
from veneer.cli.shared import shared_by_workers
from veneer.config import Config, build, parse
from veneer.config.idempotency_tables import IdempotencyTable
from veneer.idempotency.guarded import GuardedStore
from veneer.idempotency.memory import MemoryRecordingStore
from veneer.idempotency.redis import RedisRecordingStore
from veneer.idempotency.sqlite import SqliteRecordingStore
from veneer.idempotency.store import Claim, Recording, RecordingStore
from veneer.wiring import chain

ANSWER = b'{"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}'


def config(workers: int = 1, **options: Any) -> Config:
    return parse({"idempotency": options, "serve": {"workers": workers}})


def built(workers: int = 1, **options: Any) -> Stack:
    return build(config(workers, **options), Responder(ANSWER))


def layer_of(stack: Stack) -> IdempotencyMiddleware | None:
    found = [part for part in chain(stack) if isinstance(part, IdempotencyMiddleware)]
    return found[0] if found else None


def store_of(stack: Stack) -> RecordingStore:
    """Return the store itself, without the guard before it."""
    layer = layer_of(stack)
    assert layer is not None
    store = layer._store
    return store._store if isinstance(store, GuardedStore) else store


async def ask(stack: Stack, name: bytes = KEY[0], **body: Any) -> Exchange:
    exchange = json_request({"model": "m", "messages": [{}], **body}, headers=[(name, KEY[1])])
    return await exchange.run(stack)


def refused(workers: int = 1, **options: Any) -> str:
    with pytest.raises(ConfigurationError) as caught:
        built(workers, **options)
    return str(caught.value)


async def test_callers_without_keys_of_ours_are_told_apart_by_those_that_go_through() -> None:
    stack = built()

    async def replayed(*shown: tuple[bytes, bytes]) -> bool:
        body = {"model": "m", "messages": [{}]}
        exchange = await json_request(body, headers=[KEY, *shown]).run(stack)
        return exchange.header("idempotent-replayed") is not None

    one, two = (b"authorization", b"Bearer sk-one"), (b"authorization", b"Bearer sk-two")
    other = (b"x-api-key", b"Bearer sk-one")
    project = (b"openai-project", b"proj_1")
    assert not await replayed()
    for shown in ([one], [two], [other], [one, project]):
        assert not await replayed(*shown)
        assert await replayed(*shown)
    assert await replayed()
    # A session is not who it is of: its cookie changes between a call and its retry.
    assert await replayed((b"cookie", b"session=2"))


async def test_keys_are_looked_at_unless_that_is_switched_off() -> None:
    stack = built()
    assert (await ask(stack)).header("idempotent-replayed") is None
    assert (await ask(stack)).header("idempotent-replayed") == "true"
    assert (await ask(stack, temperature=1)).status == 422
    assert layer_of(built(enabled=False)) is None


def test_defaults_are_those_of_the_layer() -> None:
    parameters = inspect.signature(IdempotencyMiddleware).parameters
    options = msgspec.structs.asdict(IdempotencyTable())
    # Left out, they are the dialect's.
    assert options.pop("names") is None
    for option in options.keys() - {"enabled", "timeout", "max_total"}:
        assert options[option] == parameters[option].default, option


async def test_options_reach_the_layer() -> None:
    stack = built(names=["X-Key"], in_flight="conflict", max_request=100, oversized="pass")
    for replayed in (None, "true"):
        assert (await ask(stack, b"x-key")).header("idempotent-replayed") == replayed
    passed = await ask(stack, b"x-key", user="u" * 100)
    assert passed.header("idempotency-status") == "too_large"


def test_a_url_says_where_answers_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANSWERS", "redis://user:secret@localhost/0")
    kinds = {
        "memory://": MemoryRecordingStore,
        f"sqlite:///{tmp_path}/answers.db": SqliteRecordingStore,
        "redis://localhost": RedisRecordingStore,
        "env:ANSWERS": RedisRecordingStore,
    }
    for url, kind in kinds.items():
        assert type(store_of(built(store=url))) is kind
    assert type(store_of(built())) is MemoryRecordingStore


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
async def test_the_oldest_answers_go_where_all_together_are_too_large(
    kind: str, tmp_path: Path
) -> None:
    urls = {"memory": "memory://", "sqlite": f"sqlite:///{tmp_path}/answers.db"}
    store = store_of(built(store=urls[kind], max_total=2**20))
    answer = Recording(200, (), bytes(400_000))
    async with store.lifespan():
        for number in range(4):
            key = bytes([number]) * 20
            claim = await store.claim(key, b"f" * 20, 30.0)
            assert isinstance(claim, Claim)
            assert await store.commit(key, claim.token, answer, 3600.0)
        found = [await store.look(bytes([number]) * 20) is not None for number in range(4)]
    assert found == [False, False, True, True]


def test_several_workers_keep_answers_together() -> None:
    with shared_by_workers(config(workers=2)) as shared:
        assert type(store_of(build(shared, Responder()))) is SqliteRecordingStore
    with shared_by_workers(config(workers=2, store="redis://localhost")) as shared:
        assert shared.idempotency.store == "redis://localhost"
    for store in ({}, {"store": "memory://"}):
        assert refused(workers=2, **store).startswith(
            "[idempotency] store: in memory, several workers would each keep their own answers"
        )


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"store": "sqlite://"}, "[idempotency] store: A SQLite store needs the path of a file"),
        ({"store": "mysql://host"}, "[idempotency] store: No store of recordings has a URL"),
        ({"store": "redis://:secret@host"}, "[idempotency] store has a password in it"),
        ({"store": "env:NO_SUCH_NAME"}, "[idempotency] store"),
        ({"names": []}, "[idempotency] names"),
        ({"names": ["a key"]}, "[idempotency] names has 'a key': name header fields"),
        ({"share": "all"}, '[idempotency] share must be "key" or "team"'),
        ({"lease": 0.5}, "[idempotency] lease must be"),
        ({"ttl": 0}, "[idempotency] ttl must be"),
        ({"detach": -1}, "[idempotency] detach must be"),
        ({"max_total": 1000}, "[idempotency] max_total must be"),
        (
            {"max_total": 2**20, "store": "valkeys://host"},
            "[idempotency] max_total: Redis bounds what it keeps by its own maxmemory",
        ),
        ({"time": 1}, "[idempotency] has no 'time'"),
    ],
)
def test_what_cannot_be_is_refused_with_the_table_s_name(
    options: dict[str, Any], sentence: str
) -> None:
    said = refused(**options)
    assert said.startswith(sentence), said
    assert "secret" not in said
