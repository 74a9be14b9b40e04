"""The limiter in Redis while the server is silent, away, restarted, or not the one it should be."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from redis.asyncio import Redis

from tests.limiters.redises import (
    SERVER,
    OwnServer,
    gate,
    own_cluster,
    own_server,
    settled,
    until,
)
from veneer.limiters.redis import RedisLimiter
from veneer.quotas.limiter import LimiterUnavailableError
from veneer.quotas.quota import Charge, Quota

TOKENS = Quota(policy="tokens", unit="tokens", limit=100, window=3600)
SLOTS = Quota(policy="slots", unit="concurrent-requests", limit=1)
SLOT = [Charge(SLOTS, ("me",), 1)]
Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def listening(answer: Answer) -> AsyncIterator[str]:
    """Give the URL of a server that answers in its own way."""
    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    try:
        # Protocol 2 begins without a greeting that needs an answer.
        yield f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}?protocol=2"
    finally:
        server.close()


async def until_free(limiter: RedisLimiter) -> None:
    """Take the only slot as soon as it is free."""

    async def taken() -> bool:
        return not (await limiter.take(SLOT)).refused

    await until(taken)


async def test_a_server_that_never_answers_is_left_in_time() -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async with listening(silent) as url:
        limiter = RedisLimiter(url, timeout=0.2, max_connections=2)
        started = time.monotonic()
        async with limiter.lifespan():
            outcomes = await asyncio.gather(
                *(limiter.take(SLOT) for _ in range(20)), return_exceptions=True
            )
            assert {type(outcome) for outcome in outcomes} == {LimiterUnavailableError}
            assert isinstance(outcomes[0], LimiterUnavailableError)
            assert "has not answered within 0.2 s" in str(outcomes[0])
            assert isinstance(outcomes[0].__cause__, TimeoutError)
        assert time.monotonic() - started < 3
        pool = limiter._server._client.connection_pool  # type: ignore[union-attr]  # no cluster
        assert not pool._in_use_connections
        assert limiter._server._turns._value == 2


async def test_a_server_that_falls_silent_is_left_and_used_again(prefix: str) -> None:
    async with gate() as (way, url):
        limiter = RedisLimiter(url, prefix=prefix, timeout=0.2)
        async with limiter.lifespan():
            held = await limiter.take(SLOT)
            way.silence()
            with pytest.raises(LimiterUnavailableError, match="has not answered"):
                await limiter.take(SLOT)
            limiter.settle(held.taken, 0)
            await way.open()
            await until_free(limiter)


async def test_what_is_settled_while_the_server_is_away_reaches_it_later(
    prefix: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    watcher = RedisLimiter(SERVER, prefix=prefix)
    async with gate() as (way, url), watcher.lifespan():
        limiter = RedisLimiter(url, prefix=prefix, timeout=0.5)
        async with limiter.lifespan():
            held = await limiter.take([*SLOT, Charge(TOKENS, ("me",), 10)])
            await way.close()
            limiter.settle(held.taken, 60)
            with pytest.raises(LimiterUnavailableError, match="Redis: ConnectionError"):
                await limiter.take(SLOT)
            assert (await watcher.take(SLOT)).refused == (0,)
            await way.open()
            await until_free(watcher)
            decision = await watcher.take([Charge(TOKENS, ("me",), 0)])
            assert decision.standings[0].remaining == 40
    messages = [record.getMessage() for record in caplog.records]
    assert [message.partition(",")[0] for message in messages] == [
        "rate limits cannot be settled",
        "rate limits are being settled again",
    ]


async def test_the_end_does_not_wait_long_for_a_server_that_is_away(prefix: str) -> None:
    async with gate() as (way, url):
        limiter = RedisLimiter(url, prefix=prefix, timeout=0.2)
        async with limiter.lifespan():
            held = await limiter.take(SLOT)
            await way.close()
            limiter.settle(held.taken, 0)
            started = time.monotonic()
        assert time.monotonic() - started < 2
        assert limiter.dropped == 1


async def test_an_error_that_nobody_has_foreseen_ends_no_settling(
    prefix: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    limiter = RedisLimiter(SERVER, prefix=prefix, lease=0.2)
    async with limiter.lifespan():
        held = await limiter.take(SLOT)

        async def fail(*_: object) -> None:
            monkeypatch.undo()
            raise RuntimeError("unforeseen")

        monkeypatch.setattr(limiter._server, "ask", fail)
        limiter.settle(held.taken, 0)
        await asyncio.sleep(0.01)
        await until_free(limiter)
        again = await limiter.take([Charge(TOKENS, ("me",), 10)])
        limiter.settle(again.taken, 60)
        await settled(limiter)
        decision = await limiter.take([Charge(TOKENS, ("me",), 0)])
        assert decision.standings[0].remaining == 40
    assert [record.getMessage() for record in caplog.records] == ["settling rate limits has failed"]


async def test_a_restart_a_flush_and_a_forgotten_script_are_overcome(
    redis_server: OwnServer,
) -> None:
    limiter = RedisLimiter(redis_server.url)
    client = redis_server.client()
    async with limiter.lifespan(), client:
        assert not (await limiter.take(SLOT)).refused
        await client.script_flush()
        assert (await limiter.take(SLOT)).refused == (0,)
        await client.flushall()
        held = await limiter.take(SLOT)
        assert not held.refused
        await redis_server.stop()
        with pytest.raises(LimiterUnavailableError):
            await limiter.take(SLOT)
        limiter.settle(held.taken, 0)
        await redis_server.start()
        await until_free(limiter)
        await settled(limiter)
        assert (await limiter.take(SLOT)).refused == (0,)


async def test_a_lone_take_is_one_command_and_those_of_a_crowd_are_few(
    redis_server: OwnServer,
) -> None:
    limiter = RedisLimiter(redis_server.url, timeout=5)
    charges = [Charge(TOKENS, ("me",), 1)]
    async with limiter.lifespan(), redis_server.client() as client:
        await limiter.take(charges)

        async def commands() -> int:
            stats: dict[str, dict[str, int]] = await client.info("commandstats")
            return stats["cmdstat_evalsha"]["calls"]

        before = await commands()
        await limiter.take(charges)
        assert await commands() == before + 1
        decisions = await asyncio.gather(*(limiter.take(charges) for _ in range(128)))
        assert sum(not decision.refused for decision in decisions) == 98
        assert await commands() == before + 3


async def test_leases_are_renewed_and_taken_anew_where_the_server_has_lost_them(
    redis_server: OwnServer,
) -> None:
    limiter = RedisLimiter(redis_server.url, lease=0.6)
    client = redis_server.client()
    async with limiter.lifespan(), client:
        held = await limiter.take(SLOT)
        await asyncio.sleep(0.9)
        assert (await limiter.take(SLOT)).refused == (0,)
        await client.flushall()
        await asyncio.sleep(0.4)
        assert (await limiter.take(SLOT)).refused == (0,)
        limiter.settle(held.taken, 0)
        await settled(limiter)
        assert not (await limiter.take(SLOT)).refused


async def test_a_node_of_a_cluster_that_sends_us_elsewhere_is_refused_with_a_sentence() -> None:
    async def moved(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            commands = sum(line.startswith(b"*") for line in data.split(b"\r\n"))
            writer.write(b"-MOVED 866 127.0.0.1:7001\r\n" * commands)
        writer.close()

    async with listening(moved) as url:
        limiter = RedisLimiter(url)
        async with limiter.lifespan():
            with pytest.raises(LimiterUnavailableError, match=r"redis\+cluster://host:port"):
                await limiter.take(SLOT)


async def test_a_cluster_works_as_a_server_does(tmp_path: Path) -> None:
    async with own_cluster(tmp_path) as (server, url), server.client() as client:
        limiter = RedisLimiter(url, timeout=5)
        async with limiter.lifespan():
            held = await limiter.take([*SLOT, Charge(TOKENS, ("me",), 10)])
            assert [standing.remaining for standing in held.standings] == [0, 90]
            limiter.settle(held.taken, 30)
            await settled(limiter)
            await client.script_flush()
            decision = await limiter.take([*SLOT, Charge(TOKENS, ("me",), 0)])
            assert [standing.remaining for standing in decision.standings] == [0, 70]
            assert not decision.refused


async def test_a_password_that_is_wrong_is_told_to_nobody(tmp_path: Path) -> None:
    async with own_server(tmp_path, "--requirepass", "right-secret") as server:
        limiter = RedisLimiter(f"{server.url}?password=wrong-secret")
        async with limiter.lifespan():
            with pytest.raises(LimiterUnavailableError) as caught:
                await limiter.take(SLOT)
        error: BaseException | None = caught.value
        while error is not None:
            assert "secret" not in str(error)
            error = error.__cause__ or error.__context__
        limiter = RedisLimiter(f"{server.url}?password=right-secret")
        async with limiter.lifespan():
            assert not (await limiter.take(SLOT)).refused


async def test_a_server_that_has_no_room_refuses_and_recovers(redis_server: OwnServer) -> None:
    charges = [Charge(TOKENS, ("me",), 10)]
    limiter = RedisLimiter(redis_server.url)
    async with limiter.lifespan(), redis_server.client() as client:
        held = await limiter.take(charges)
        await client.config_set("maxmemory", "1")
        with pytest.raises(LimiterUnavailableError, match="OutOfMemoryError"):
            await limiter.take(charges)
        limiter.settle(held.taken, 0)
        await asyncio.sleep(0.01)
        await client.config_set("maxmemory", "0")
        await settled(limiter)
        look = [Charge(TOKENS, ("me",), 0)]

        async def given_back() -> bool:
            return (await limiter.take(look)).standings[0].remaining == 100

        await until(given_back)


async def test_a_client_that_repeats_what_failed_does_not_take_twice(prefix: str) -> None:
    # redis-py's own default is to try three times more.
    async with gate() as (way, url), Redis.from_url(url) as client:
        limiter = RedisLimiter(client, prefix=prefix, timeout=0.3)
        async with limiter.lifespan():
            charges = [Charge(TOKENS, ("me",), 10)]
            await limiter.take(charges)
            way.silence()
            with pytest.raises(LimiterUnavailableError):
                await limiter.take(charges)
            await way.open()
            decision = await limiter.take([Charge(TOKENS, ("me",), 0)])
            assert decision.standings[0].remaining in (80, 90)
