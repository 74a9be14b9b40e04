"""The store in Redis, while its server is silent, away, full, or has forgotten everything."""

import asyncio
import os
import sys
import time
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from redis.asyncio import Redis, RedisCluster

from tests.idempotency import redis_worker
from tests.idempotency.stores import ANSWER, FIRST, LONG, OTHER, TTL, claimed, new_key
from tests.limiters.redises import SERVER, gate, own_cluster, own_server, redis_prefix, until
from veneer.idempotency.redis import RedisRecordingStore
from veneer.idempotency.store import (
    Claim,
    Done,
    InFlight,
    Recording,
    RecordingStore,
    StoreUnavailableError,
)

LARGE = Recording(200, ((b"content-type", b"text/event-stream"),), os.urandom(200_000))


@pytest.fixture
async def prefix() -> AsyncIterator[str]:
    """Give keys of a test's own on the common server."""
    async with redis_prefix() as name:
        yield name


@pytest.fixture
async def store(prefix: str) -> AsyncIterator[RedisRecordingStore]:
    store = RedisRecordingStore(SERVER, prefix=prefix)
    async with store.lifespan():
        yield store


def entry_of(prefix: str, key: bytes) -> str:
    return f"{{{prefix}}}:idempotency:{key.hex()}"


async def keep(store: RecordingStore, recording: Recording = ANSWER) -> tuple[bytes, int]:
    """Keep an answer, and return under which key and token."""
    key = new_key()
    token = await claimed(store, key)
    assert await store.commit(key, token, recording, TTL)
    return key, token


async def test_recordings_and_claims_are_there_for_clients_that_come_later(prefix: str) -> None:
    first = RedisRecordingStore(SERVER, prefix=prefix)
    async with first.lifespan():
        key, _ = await keep(first)
        held = new_key()
        token = await claimed(first, held)
    second = RedisRecordingStore(SERVER, prefix=prefix)
    async with second.lifespan():
        assert await second.look(key) == Done(FIRST, ANSWER)
        assert isinstance(await second.claim(held, FIRST, LONG), InFlight)
        assert await second.commit(held, token, OTHER, TTL)


async def test_a_client_that_decodes_what_it_reads_gives_bytes_all_the_same(prefix: str) -> None:
    async with Redis.from_url(SERVER, decode_responses=True) as client:
        store = RedisRecordingStore(client, prefix=prefix)
        key, _ = await keep(store, LARGE)
        assert await store.look(key) == Done(FIRST, LARGE)
        assert await store.claim(key, FIRST, LONG) == Done(FIRST, LARGE)


async def test_all_keys_expire_with_what_they_hold(store: RedisRecordingStore, prefix: str) -> None:
    done, _ = await keep(store)
    held = new_key()
    await claimed(store, held, 5)
    async with Redis.from_url(SERVER) as client:
        keys = [key.decode() async for key in client.scan_iter(f"{{{prefix}}}*")]
        lasting = {key: await client.pttl(key) for key in keys}
    assert TTL * 1000 - 10_000 < lasting.pop(entry_of(prefix, done)) <= TTL * 1000
    assert 0 < lasting.pop(entry_of(prefix, held)) <= 5000
    ((key, left),) = lasting.items()
    assert key == f"{{{prefix}}}:idempotency:token"
    assert 0 < left <= 86_400_000


@pytest.mark.parametrize("seconds", [0.0, -1.0, 1e-9, float("inf"), 1e300])
async def test_absurd_leases_and_times_are_the_nearest_that_can_be(
    seconds: float, store: RedisRecordingStore
) -> None:
    key = new_key()
    token = await claimed(store, key)
    assert await store.renew(key, token, max(seconds, 1))
    assert await store.commit(key, token, ANSWER, seconds)
    await asyncio.sleep(0.01)
    assert (await store.look(key) is None) is (seconds < 1)


async def test_tokens_grow_though_the_servers_clock_goes_back(
    store: RedisRecordingStore, prefix: str
) -> None:
    ahead = (int(time.time()) + 3600) * 1_000_000 + 1
    async with Redis.from_url(SERVER) as client:
        await client.set(f"{{{prefix}}}:idempotency:token", ahead, px=60_000)
    assert [await claimed(store, new_key()) for _ in range(3)] == [ahead + n for n in (1, 2, 3)]


async def test_bodies_of_200_kb_by_fifty_callers_over_three_connections(prefix: str) -> None:
    async with Redis.from_url(SERVER, max_connections=3) as client:
        store = RedisRecordingStore(client, prefix=prefix, timeout=10)
        async with store.lifespan():
            keys = await asyncio.gather(*(keep(store, LARGE) for _ in range(50)))
            found = await asyncio.gather(*(store.look(key) for key, _ in keys))
        assert found == [Done(FIRST, LARGE)] * 50
        # What is the caller's stays open.
        assert len(client.connection_pool._available_connections) == 3
        assert client.connection_pool._available_connections[0].is_connected


async def test_a_call_that_is_cancelled_leaves_every_connection_as_it_was(prefix: str) -> None:
    store = RedisRecordingStore(SERVER, prefix=prefix, max_connections=2)
    async with store.lifespan():
        key, _ = await keep(store, LARGE)
        for steps in range(40):
            task = asyncio.create_task(store.look(key))
            for _ in range(steps):
                await asyncio.sleep(0 if steps % 2 else 0.00005)
            task.cancel()
            other = new_key()
            assert isinstance(await store.claim(other, FIRST, LONG), Claim)
            assert await store.look(key) == Done(FIRST, LARGE)
            await asyncio.wait({task})
    pool = store._server._client.connection_pool  # type: ignore[union-attr]  # no cluster
    assert not pool._in_use_connections
    assert store._server._turns._value == 2


async def test_a_commit_that_is_cancelled_once_it_has_begun_goes_on_to_its_end(
    store: RedisRecordingStore,
) -> None:
    for steps in range(1, 6):
        key = new_key()
        token = await claimed(store, key)
        task = asyncio.create_task(store.commit(key, token, LARGE, TTL))
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait({task})
        assert task.cancelled()
        await store._server.idle()
        assert await store.look(key) == Done(FIRST, LARGE)


async def test_it_is_used_by_several_and_the_last_closes_it(prefix: str) -> None:
    store = RedisRecordingStore(SERVER, prefix=prefix)
    pool = store._server._client.connection_pool  # type: ignore[union-attr]  # no cluster
    for _ in range(2):
        async with store.lifespan():
            async with store.lifespan():
                await keep(store)
            assert pool._available_connections[0].is_connected
        assert not any(connection.is_connected for connection in pool._available_connections)


async def test_after_its_holder_was_killed_a_key_is_claimed_when_the_lease_is_over(
    store: RedisRecordingStore, prefix: str
) -> None:
    key, lease = new_key(), 0.9
    holder = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        redis_worker.__name__,
        SERVER,
        prefix,
        key.hex(),
        str(lease),
        stdout=PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
    )
    assert holder.stdout is not None
    stale = int(await holder.stdout.readline())
    await asyncio.sleep(lease * 1.5)
    assert isinstance(await store.look(key), InFlight)
    holder.kill()
    await holder.communicate()
    killed = time.monotonic()
    tokens: list[int] = []

    async def free() -> bool:
        outcome = await store.claim(key, FIRST, LONG)
        if isinstance(outcome, Claim):
            tokens.append(outcome.token)
        return bool(tokens)

    await until(free)
    assert time.monotonic() - killed < lease + 1
    assert tokens[0] > stale
    assert not await store.commit(key, stale, OTHER, TTL)
    assert await store.commit(key, tokens[0], ANSWER, TTL)


async def test_a_server_that_falls_silent_is_left_in_time_and_used_again(prefix: str) -> None:
    async with gate() as (way, url):
        store = RedisRecordingStore(url, prefix=prefix, timeout=0.2, max_connections=2)
        way.silence()
        async with store.lifespan():
            key = new_key()
            started = time.monotonic()
            outcomes = await asyncio.gather(
                *(store.claim(key, FIRST, LONG) for _ in range(10)), return_exceptions=True
            )
            assert time.monotonic() - started < 1.5
            assert {type(outcome) for outcome in outcomes} == {StoreUnavailableError}
            sentences = {str(outcome) for outcome in outcomes}
            assert sentences == {
                "Redis has not answered within 0.2 s",
                "Redis is slow: no connection was free within 0.2 s",
            }
            await way.open()
            held = new_key()
            token = await claimed(store, held)
            # The answer is lost, and perhaps the commit.
            way.silence()
            with pytest.raises(StoreUnavailableError, match="has not answered"):
                await store.commit(held, token, ANSWER, TTL)
            await way.open()
            assert await store.commit(held, token, ANSWER, TTL)
            assert await store.look(held) == Done(FIRST, ANSWER)


async def test_a_server_that_is_away_is_said_to_be_and_its_connections_are_made_anew(
    prefix: str,
) -> None:
    async with gate() as (way, url):
        store = RedisRecordingStore(url, prefix=prefix)
        async with store.lifespan():
            key, token = await keep(store)
            await way.close()
            with pytest.raises(StoreUnavailableError, match="Redis: ConnectionError"):
                await store.look(key)
            with pytest.raises(StoreUnavailableError):
                await store.release(key, token)
            await way.open()
            assert await store.look(key) == Done(FIRST, ANSWER)


@pytest.mark.parametrize("restarted", [False, True], ids=["flushed", "restarted"])
async def test_claims_that_the_server_has_lost_are_void_for_ever(
    restarted: bool,  # noqa: FBT001 - pytest gives it by name
    tmp_path: Path,
) -> None:
    async with own_server(tmp_path) as server:
        store = RedisRecordingStore(server.url)
        async with store.lifespan():
            key = new_key()
            stale = await claimed(store, key)
            if restarted:
                await server.stop()
                await server.start()
            else:
                async with server.client() as client:
                    await client.flushall()
                    await client.script_flush()
            assert not await store.renew(key, stale, LONG)
            assert not await store.commit(key, stale, OTHER, TTL)
            token = await claimed(store, key)
            assert token > stale
            assert not await store.renew(key, stale, LONG)
            assert not await store.commit(key, stale, OTHER, TTL)
            await store.release(key, stale)
            assert await store.commit(key, token, ANSWER, TTL)


async def test_a_server_that_is_full_keeps_nothing_new_and_still_renews_and_releases(
    tmp_path: Path,
) -> None:
    async with own_server(tmp_path) as server, server.client() as client:
        store = RedisRecordingStore(server.url)
        async with store.lifespan():
            kept, _ = await keep(store)
            held, given_up = new_key(), new_key()
            token, other = await claimed(store, held), await claimed(store, given_up)
            await client.config_set("maxmemory", "1")
            with pytest.raises(StoreUnavailableError, match="OutOfMemoryError"):
                await store.claim(new_key(), FIRST, LONG)
            with pytest.raises(StoreUnavailableError, match="OutOfMemoryError"):
                await store.commit(held, token, ANSWER, TTL)
            assert await store.look(kept) == Done(FIRST, ANSWER)
            assert await store.renew(held, token, LONG)
            await store.release(given_up, other)
            assert await store.look(given_up) is None
            await client.config_set("maxmemory", "0")
            assert await store.commit(held, token, ANSWER, TTL)


async def test_a_cluster_works_as_a_server_does(tmp_path: Path) -> None:
    async with own_cluster(tmp_path) as (server, url), server.client() as client:
        store = RedisRecordingStore(url, timeout=5)
        plain = url.replace("redis+cluster", "redis")
        async with (
            store.lifespan(),
            RedisCluster.from_url(plain, decode_responses=True) as decoding,
        ):
            key, _ = await keep(store, LARGE)
            await client.script_flush()
            assert await store.claim(key, FIRST, LONG) == Done(FIRST, LARGE)
            assert await RedisRecordingStore(decoding).look(key) == Done(FIRST, LARGE)


async def test_a_password_that_is_wrong_is_told_to_nobody(tmp_path: Path) -> None:
    async with own_server(tmp_path, "--requirepass", "right-secret") as server:
        store = RedisRecordingStore(f"{server.url}?password=wrong-secret")
        async with store.lifespan():
            with pytest.raises(StoreUnavailableError) as caught:
                await store.look(new_key())
        error: BaseException | None = caught.value
        while error is not None:
            assert "secret" not in str(error)
            error = error.__cause__ or error.__context__


async def test_what_is_not_ours_is_an_error_and_no_answer(
    store: RedisRecordingStore, prefix: str
) -> None:
    key, other = new_key(), new_key()
    async with Redis.from_url(SERVER) as client:
        await client.set(entry_of(prefix, key), "foreign", px=60_000)
        await client.hset(entry_of(prefix, other), "fingerprint", FIRST.decode())
        await client.hset(entry_of(prefix, other), "answer", "foreign")
        await client.pexpire(entry_of(prefix, other), 60_000)
    with pytest.raises(StoreUnavailableError, match="WRONGTYPE"):
        await store.claim(key, FIRST, LONG)
    with pytest.raises(StoreUnavailableError, match="cannot be read"):
        await store.look(other)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"prefix": ""}, "not empty"),
        ({"prefix": "a}b"}, "no braces"),
        ({"timeout": 0}, "timeout is a positive number"),
        ({"timeout": float("nan")}, "timeout is a positive number"),
        ({"max_connections": 0}, "max_connections is at least 1"),
    ],
)
def test_options_that_cannot_be_are_refused(options: dict[str, float], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        RedisRecordingStore(SERVER, **options)  # type: ignore[arg-type]  # that is the point


def test_a_url_that_cannot_be_read_is_refused_without_its_password() -> None:
    with pytest.raises(ValueError, match="cannot be read: give redis://") as caught:
        RedisRecordingStore("redis://:se/cret@host")
    assert "cret@" not in str(caught.value)
    assert caught.value.__suppress_context__


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ModuleNotFoundError(name=name)

    monkeypatch.setattr("veneer.idempotency.redis.import_module", missing)
    with pytest.raises(ValueError, match=r"the package redis: install veneer\[redis\]"):
        RedisRecordingStore(SERVER)
