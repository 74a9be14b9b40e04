"""The lease."""

import asyncio
import logging

import pytest

from tests.idempotency.stores import ANSWER, FIRST, TTL, claimed, new_key
from tests.layers.keyed import Watched, nothing_left, pause
from tests.limiters import virtual
from veneer.idempotency.lease import RELEASE_TIMEOUT, Lease
from veneer.idempotency.store import Claim, Done


class Held:
    """A lease of three seconds on a key of a store."""

    def __init__(self, store: Watched, key: bytes, token: int) -> None:
        self.store = store
        self.key = key
        self.lost = 0
        self.lease = Lease(store, key, token, seconds=3.0, lost=self._on_lost)

    def _on_lost(self) -> None:
        self.lost += 1


async def held(*, slow: bool = False) -> Held:
    store = Watched(slow=slow, clock=asyncio.get_running_loop().time)
    key = new_key()
    token = await claimed(store.store, key, 3.0)
    return Held(store, key, token)


def test_it_is_renewed_in_time_and_given_up_at_the_end() -> None:
    async def main() -> None:
        it = await held()
        async with it.lease:
            await asyncio.sleep(60.5)
            assert it.store.claims == 1
        assert it.store.asked == [*["renew"] * 60, "release"]
        assert isinstance(await it.store.claim(it.key, FIRST, 3.0), Claim)
        await pause()
        assert (it.lost, virtual.timers(), nothing_left()) == (0, [], True)

    virtual.run(main())


def test_a_short_call_costs_no_task() -> None:
    async def main() -> None:
        it = await held()
        async with it.lease:
            await asyncio.sleep(0.9)
            assert nothing_left()
            assert await it.lease.commit(ANSWER, TTL)
        assert it.store.asked == ["commit"]
        assert virtual.timers() == []
        assert it.store.recordings == [ANSWER]

    virtual.run(main())


def test_a_commit_that_takes_long_is_not_taken_for_a_loss() -> None:
    async def main() -> None:
        it = await held()
        it.store.gate.clear()
        async with it.lease:
            await asyncio.sleep(1.5)
            committing = asyncio.ensure_future(it.lease.commit(ANSWER, TTL))
            await asyncio.sleep(1)
            it.store.gate.set()
            assert await committing
            await asyncio.sleep(10)
        assert (it.lost, it.store.asked) == (0, ["renew", "commit"])
        assert isinstance(await it.store.look(it.key), Done)

    virtual.run(main())


def test_it_tells_once_that_another_has_it() -> None:
    async def main() -> None:
        it = await held()
        async with it.lease:
            it.store.void = True
            await asyncio.sleep(10)
            assert it.lost == 1
            assert not await it.lease.commit(ANSWER, TTL)
        assert it.store.asked == ["renew", "commit", "release"]

    virtual.run(main())


def test_a_store_that_is_away_is_asked_again(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        it = await held()
        it.store.away = {"renew", "release"}
        async with it.lease:
            await asyncio.sleep(2.5)
        assert (it.lost, it.store.asked) == (0, ["renew", "renew", "release"])

    virtual.run(main())
    assert [record.levelno for record in caplog.records] == [logging.WARNING] * 3


def test_giving_up_takes_no_longer_than_it_may() -> None:
    async def main() -> None:
        it = await held()

        async def release(_key: bytes, _token: int, /) -> None:
            await asyncio.sleep(1000)

        it.store.release = release  # type: ignore[method-assign]  # one that hangs
        loop = asyncio.get_running_loop()
        started = loop.time()
        async with it.lease:
            await it.lease.give_up()
        assert loop.time() - started == pytest.approx(RELEASE_TIMEOUT)

    virtual.run(main())


async def test_cancelled_while_it_is_given_up_it_tries_again() -> None:
    for count in range(6):
        it = await held(slow=True)

        async def run(it: Held) -> None:
            async with it.lease:
                pass

        task = asyncio.create_task(run(it))
        for _ in range(count):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait({task})
        assert it.store.claims == (1 if count == 0 else 0), count
