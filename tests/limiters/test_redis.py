"""The limiter in Redis: what it decides, what it settles, and what callers who leave give back."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis

from tests.clock import Clock
from tests.limiters.redises import CONNECTIONS, SERVER, redis_prefix, settled, until
from veneer.limiters.decide import Judged, Meter, decide, meter_for
from veneer.limiters.redis import RedisLimiter
from veneer.quotas.limiter import Decision, LimiterUnavailableError
from veneer.quotas.quota import Charge, Quota

REQUESTS = Quota(policy="requests", unit="requests", limit=3, window=60)
TOKENS = Quota(policy="tokens", unit="tokens", limit=100, window=60)
STRICT = Quota(policy="strict", unit="tokens", limit=100, window=59, strict=True)
SLOTS = Quota(policy="slots", unit="concurrent-requests", limit=2)
ME = ("me",)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def limiter(prefix: str, clock: Clock) -> AsyncIterator[RedisLimiter]:
    limiter = RedisLimiter(SERVER, prefix=prefix, clock=clock)
    async with limiter.lifespan():
        yield limiter


def charge(quota: Quota, cost: int = 1) -> Charge:
    return Charge(quota, ME, cost)


async def left(limiter: RedisLimiter, quota: Quota) -> int:
    """Look how much is left, and take nothing."""
    decision = await limiter.take([charge(quota, 0)])
    assert decision.taken is None
    return decision.standings[0].remaining


QUOTAS = (
    Quota(policy="a", unit="requests", limit=5, window=60),
    Quota(policy="b", unit="requests", limit=7, window=77, strict=True),
    Quota(policy="c", unit="tokens", limit=10, window=70),
    Quota(policy="d", unit="tokens", limit=9, window=59, strict=True),
    Quota(policy="e", unit="concurrent-requests", limit=2),
)
Step = tuple[str, Any, Any]
COSTS = st.sampled_from([0, 1, 1, 2, 3, 4, 11])
TOGETHER = st.lists(st.lists(COSTS, min_size=5, max_size=5), min_size=1, max_size=4)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("take"), TOGETHER, st.booleans()),
        st.tuples(st.just("settle"), st.integers(0, 9), st.integers(0, 15)),
        st.tuples(st.just("wait"), st.floats(0, 100), st.none()),
    ),
    max_size=25,
)


def check_same(ours: Decision, theirs: Decision) -> None:
    """Compare, whatever sums of fractions lose on the way."""
    assert ours.refused == theirs.refused
    assert ours.wait == pytest.approx(theirs.wait, abs=1e-3)
    assert (ours.taken is None) is (theirs.taken is None)
    for our, their in zip(ours.standings, theirs.standings, strict=True):
        assert our.reset == pytest.approx(their.reset, abs=1e-3)
        assert our == msgspec.structs.replace(their, reset=our.reset)


class Model:
    """The meters in Python, of which none is ever forgotten."""

    def __init__(self) -> None:
        self._meters: dict[tuple[str, tuple[str, ...]], Meter] = {}

    def _meter(self, charge: Charge) -> Meter:
        key = (charge.quota.id, charge.partition)
        return self._meters.setdefault(key, meter_for(charge.quota))

    def take(self, charges: list[Charge], now: float) -> tuple[Decision, Judged]:
        """Decide, and return what it is settled by."""
        judged = decide(charges, [self._meter(charge) for charge in charges], now)
        taken = not judged.refused and any(
            mark is not None and charge.quota.unit != "requests"
            for charge, mark in zip(charges, judged.marks, strict=True)
        )
        decision = Decision(
            standings=judged.standings,
            refused=judged.refused,
            wait=judged.wait,
            taken=judged if taken else None,
        )
        return decision, judged

    def settle(self, charges: list[Charge], judged: Judged, used: int, now: float) -> None:
        """Correct what was taken."""
        for charge, mark in zip(charges, judged.marks, strict=True):
            if mark is not None and charge.quota.unit != "requests":
                self._meter(charge).drain(charge.quota, now)
                self._meter(charge).settle(charge.quota, mark, charge.cost, used)


async def run_both(limiter: RedisLimiter, clock: Clock, steps: list[Step]) -> None:
    model = Model()
    whose = secrets.token_hex(8)
    running: list[tuple[list[Charge], Judged, Any]] = []
    for what, first, second in steps:
        if what == "wait":
            clock.now += first
        elif what == "take":
            partition = (whose, "x" if second else "y")
            together = [
                [Charge(q, partition, c) for q, c in zip(QUOTAS, costs, strict=True)]
                for costs in first
            ]
            decisions = await asyncio.gather(*(limiter.take(charges) for charges in together))
            for charges, ours in zip(together, decisions, strict=True):
                theirs, judged = model.take(charges, clock.now)
                check_same(ours, theirs)
                if ours.taken is not None:
                    running.append((charges, judged, ours.taken))
        elif running:
            charges, judged, taken = running.pop(first % len(running))
            model.settle(charges, judged, second, clock.now)
            limiter.settle(taken, second)
            await settled(limiter)


def test_it_decides_as_the_meters_in_python_do() -> None:
    clock = Clock()
    with asyncio.Runner() as runner:
        keys = redis_prefix()
        prefix = runner.run(keys.__aenter__())
        limiter = RedisLimiter(SERVER, prefix=prefix, lease=1e9, timeout=5, clock=clock)
        lifespan = limiter.lifespan()
        runner.run(lifespan.__aenter__())

        @settings(max_examples=100, deadline=None)
        @given(steps=STEPS)
        def run(steps: list[Step]) -> None:
            runner.run(run_both(limiter, clock, steps))

        try:
            run()
        finally:
            runner.run(lifespan.__aexit__(None, None, None))
            runner.run(keys.__aexit__(None, None, None))


async def test_several_quotas_are_one_round_trip_and_their_standings_count_what_was_taken(
    limiter: RedisLimiter,
) -> None:
    decision = await limiter.take([charge(REQUESTS), charge(TOKENS, 40), charge(SLOTS)])
    assert [standing.remaining for standing in decision.standings] == [2, 60, 1]
    assert decision.standings[1].reset == pytest.approx(24)
    assert decision.refused == ()


async def test_requests_stay_taken_where_tokens_are_refused_and_slots_are_not_taken(
    limiter: RedisLimiter,
) -> None:
    decision = await limiter.take([charge(SLOTS), charge(TOKENS, 101), charge(REQUESTS)])
    assert decision.refused == (1,)
    assert decision.wait == float("inf")
    assert decision.taken is None
    assert [standing.remaining for standing in decision.standings] == [2, 100, 2]


async def test_settling_above_the_limit_is_a_debt(limiter: RedisLimiter, clock: Clock) -> None:
    decision = await limiter.take([charge(TOKENS, 10)])
    limiter.settle(decision.taken, 200)
    await settled(limiter)
    decision = await limiter.take([charge(TOKENS, 1)])
    assert decision.refused == (0,)
    assert decision.wait == pytest.approx(60.6)
    clock.now += 60.6
    assert (await limiter.take([charge(TOKENS, 1)])).refused == ()


async def test_a_slot_is_free_at_once_when_its_call_ends(limiter: RedisLimiter) -> None:
    decisions = [await limiter.take([charge(SLOTS)]) for _ in range(3)]
    assert [decision.refused for decision in decisions] == [(), (), (0,)]
    limiter.settle(decisions[0].taken, 0)
    await settled(limiter)
    assert (await limiter.take([charge(SLOTS)])).refused == ()


@pytest.mark.parametrize("quota", [TOKENS, STRICT], ids=["bucket", "ring"])
async def test_a_settlement_that_arrives_twice_counts_once(
    quota: Quota, limiter: RedisLimiter
) -> None:
    sent: list[tuple[str, list[str], bytes]] = []
    ask = limiter._server.ask

    async def twice(operation: str, keys: list[str], document: bytes, **options: Any) -> Any:
        if operation == "settle":
            sent.append((operation, keys, document))
            await ask(operation, keys, document)
        return await ask(operation, keys, document, **options)

    limiter._server.ask = twice  # type: ignore[method-assign]  # a network that repeats itself
    decision = await limiter.take([charge(quota, 10)])
    limiter.settle(decision.taken, 30)
    await settled(limiter)
    assert len(sent) == 1
    assert await left(limiter, quota) == 70


@pytest.mark.parametrize("quota", [TOKENS, STRICT], ids=["bucket", "ring"])
async def test_what_the_server_has_forgotten_is_not_given_back_out_of_others_units(
    quota: Quota, limiter: RedisLimiter, prefix: str, clock: Clock
) -> None:
    old = await limiter.take([charge(quota, 80)])
    async with Redis.from_url(SERVER) as client:
        await client.delete(*[key async for key in client.scan_iter(f"{{{prefix}}}*")])
    clock.now += 0.01
    await limiter.take([charge(quota, 50)])
    limiter.settle(old.taken, 0)
    await settled(limiter)
    assert await left(limiter, quota) == 50


async def test_a_clock_that_goes_back_stands_still(limiter: RedisLimiter, clock: Clock) -> None:
    for quota in (TOKENS, STRICT):
        await limiter.take([charge(quota, 100)])
        clock.now -= 30
        assert await left(limiter, quota) == 0
        clock.now += 30
        assert await left(limiter, quota) == 0


async def test_keys_are_gone_when_nobody_would_miss_them(prefix: str) -> None:
    limiter = RedisLimiter(SERVER, prefix=prefix, lease=5)
    async with limiter.lifespan(), Redis.from_url(SERVER) as client:
        await limiter.take([charge(TOKENS, 50), charge(STRICT, 1), charge(SLOTS)])
        lasting = {
            key.decode().split(":")[1]: await client.pttl(key)
            async for key in client.scan_iter(f"{{{prefix}}}*")
        }
    # The time in which it is empty, and a second.
    assert 28_000 < lasting.pop("bucket") <= 31_000
    assert 56_000 < lasting.pop("ring") <= 61_100
    assert 3_000 < lasting.pop("slots") <= 6_000
    assert not lasting.keys() - {"process"}


async def test_partitions_are_not_joined_ambiguously(limiter: RedisLimiter) -> None:
    quota = Quota(policy="p", unit="requests", limit=1, window=60)
    for partition in [("a/b",), ("a", "b"), ("a\nb",), ("", "a/b"), (), ("\ud800",), ("x" * 9999,)]:
        assert (await limiter.take([Charge(quota, partition, 1)])).refused == ()


async def test_absurd_numbers_are_refused_and_harm_nobody(limiter: RedisLimiter) -> None:
    assert (await limiter.take([charge(TOKENS, 10**400)])).wait == float("inf")
    decision = await limiter.take([charge(TOKENS, 1), charge(SLOTS)])
    limiter.settle(decision.taken, -5)
    await settled(limiter)
    assert await left(limiter, TOKENS) == 100
    decision = await limiter.take([charge(TOKENS, 1)])
    limiter.settle(decision.taken, 10**30)
    await settled(limiter)
    assert await left(limiter, TOKENS) == 0


async def test_a_process_that_was_stopped_for_longer_than_a_lease_takes_nobodys_slot(
    prefix: str, clock: Clock
) -> None:
    one = RedisLimiter(SERVER, prefix=prefix, clock=clock)
    other = RedisLimiter(SERVER, prefix=prefix, clock=clock)

    async def renew() -> None:
        one._settlements._renewal = 0
        one._settlements._awake.set()
        await asyncio.sleep(0)
        await settled(one)

    async with one.lifespan(), other.lifespan():
        stopped = [await one.take([charge(SLOTS)]) for _ in range(2)]
        clock.now += 29
        await renew()
        clock.now += 29
        assert (await other.take([charge(SLOTS)])).refused == (0,)
        clock.now += 2
        theirs = [await other.take([charge(SLOTS)]) for _ in range(2)]
        assert [decision.refused for decision in theirs] == [(), ()]
        await renew()
        assert await left(other, SLOTS) == 0
        one.settle(stopped[0].taken, 0)
        await settled(one)
        assert await left(other, SLOTS) == 0
        # What still runs counts again as soon as there is room.
        other.settle(theirs[0].taken, 0)
        await settled(other)
        await renew()
        assert await left(other, SLOTS) == 0


async def test_takes_that_are_cancelled_give_back_what_they_took(limiter: RedisLimiter) -> None:
    pool = limiter._server._client.connection_pool  # type: ignore[union-attr]  # no cluster
    charges = [charge(TOKENS, 10), charge(STRICT, 10), charge(SLOTS)]
    await left(limiter, TOKENS)
    for steps in range(40):
        task = asyncio.create_task(limiter.take(charges))
        for _ in range(steps):
            await asyncio.sleep(0 if steps % 2 else 0.00005)
        task.cancel()
        (outcome,) = await asyncio.gather(task, return_exceptions=True)
        if isinstance(outcome, Decision):
            limiter.settle(outcome.taken, 0)
        await settled(limiter)
        assert await left(limiter, TOKENS) == 100
        assert await left(limiter, STRICT) == 100
        assert await left(limiter, SLOTS) == 2
    assert not pool._in_use_connections
    assert limiter._server._turns._value == CONNECTIONS
    assert len(pool._available_connections) < 5


async def test_callers_beyond_the_connections_wait_for_their_turn(prefix: str) -> None:
    quota = Quota(policy="p", unit="requests", limit=90, window=3600)
    limiter = RedisLimiter(SERVER, prefix=prefix, max_connections=2, timeout=5)
    async with limiter.lifespan():
        decisions = await asyncio.gather(*(limiter.take([charge(quota)]) for _ in range(100)))
        assert sum(not decision.refused for decision in decisions) == 90
        pool = limiter._server._client.connection_pool  # type: ignore[union-attr]  # no cluster
        assert len(pool._available_connections) == 2


async def test_takes_that_go_together_may_have_other_limits_of_the_same_counter(
    limiter: RedisLimiter,
) -> None:
    limits = [10, 30, 20, 30, 0]
    quotas = [Quota(policy="p", unit="tokens", limit=limit, window=60) for limit in limits]
    decisions = await asyncio.gather(*(limiter.take([charge(quota, 10)]) for quota in quotas))
    assert [decision.standings[0].remaining for decision in decisions] == [0, 10, 0, 0, 0]
    assert [decision.refused for decision in decisions] == [(), (), (0,), (), (0,)]
    assert decisions[2].wait == pytest.approx(30)


async def test_a_settlement_that_fails_stays_in_nobodys_way(
    limiter: RedisLimiter, prefix: str, caplog: pytest.LogCaptureFixture
) -> None:
    others = Charge(TOKENS, ("others",), 10)
    first = await limiter.take([charge(TOKENS, 10), charge(SLOTS)])
    async with Redis.from_url(SERVER) as client:
        (key,) = [key async for key in client.scan_iter(f"{{{prefix}}}:bucket*")]
        await client.delete(key)
        await client.lpush(key, "foreign")
    second = await limiter.take([others])
    limiter.settle(first.taken, 0)
    limiter.settle(second.taken, 0)

    async def sent() -> bool:
        return not limiter._settlements._unsent and not limiter._settlements._waiting

    await until(sent)
    decision = await limiter.take([Charge(TOKENS, ("others",), 0), charge(SLOTS, 0)])
    assert [standing.remaining for standing in decision.standings] == [100, 2]
    assert "WRONGTYPE" in caplog.text


async def test_it_is_used_by_several_and_starts_without_any(prefix: str) -> None:
    limiter = RedisLimiter(SERVER, prefix=prefix)
    early = await limiter.take([charge(SLOTS)])
    async with limiter.lifespan():
        async with limiter.lifespan():
            await limiter.take([charge(SLOTS)])
        limiter.settle(early.taken, 0)
    # The last one that leaves has it settle what waits.
    async with limiter.lifespan():
        assert await left(limiter, SLOTS) == 1


async def test_a_client_of_the_callers_stays_open(prefix: str) -> None:
    async with Redis.from_url(SERVER, decode_responses=True, max_connections=3) as client:
        limiter = RedisLimiter(client, prefix=prefix)
        async with limiter.lifespan():
            assert (await limiter.take([charge(SLOTS)])).refused == ()
        assert client.connection_pool._available_connections[0].is_connected


async def test_settlements_that_are_too_many_are_given_up_oldest_first(
    prefix: str, caplog: pytest.LogCaptureFixture
) -> None:
    quota = Quota(policy="p", unit="concurrent-requests", limit=5)
    limiter = RedisLimiter(SERVER, prefix=prefix, max_unsettled=2)
    async with limiter.lifespan():
        decisions = [await limiter.take([charge(quota)]) for _ in range(5)]
        for decision in decisions:
            limiter.settle(decision.taken, 0)
        assert limiter.dropped == 3
        await settled(limiter)
        assert await left(limiter, quota) == 2
    assert limiter.dropped == 3
    assert [record.levelname for record in caplog.records] == ["ERROR"]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"prefix": ""}, "not empty"),
        ({"prefix": "a}b"}, "no braces"),
        ({"lease": 0}, "lease is a positive number"),
        ({"timeout": float("inf")}, "timeout is a positive number"),
        ({"max_connections": 0}, "max_connections is at least 1"),
        ({"max_unsettled": 0}, "max_unsettled is at least 1"),
    ],
)
def test_options_that_cannot_be_are_refused(options: dict[str, float], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        RedisLimiter(SERVER, **options)  # type: ignore[arg-type]  # that is the point


@pytest.mark.parametrize(
    "url", ["redis://:se/cret@host", "http://:secret@host", "redis+cluster://:se/cret@host", "x"]
)
def test_a_url_that_cannot_be_read_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(ValueError, match="cannot be read: give redis://") as caught:
        RedisLimiter(url)
    assert "cret@" not in str(caught.value)
    assert caught.value.__suppress_context__


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ModuleNotFoundError(name=name)

    monkeypatch.setattr("veneer.limiters.redis.import_module", missing)
    with pytest.raises(ValueError, match=r"the package redis: install veneer\[redis\]"):
        RedisLimiter(SERVER)


async def test_an_error_of_the_server_is_the_limiters(limiter: RedisLimiter, prefix: str) -> None:
    await limiter.take([charge(TOKENS, 1)])
    async with Redis.from_url(SERVER) as client:
        (key,) = [key async for key in client.scan_iter(f"{{{prefix}}}:bucket*")]
        await client.delete(key)
        await client.lpush(key, "foreign")
    with pytest.raises(LimiterUnavailableError, match="WRONGTYPE") as caught:
        await limiter.take([charge(TOKENS, 1)])
    assert caught.value.__cause__ is not None
