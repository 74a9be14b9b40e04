"""The lease."""

import asyncio
import logging

import pytest

from tests.idempotency.stores import ANSWER, FIRST, OTHER, TTL, Setting, claimed, new_key
from tests.layers.keyed import Watched, nothing_left, pause
from tests.limiters import virtual
from veneer.idempotency.lease import RELEASE_TIMEOUT, Lease
from veneer.idempotency.store import Claim, Done


class Held:
    """A lease of three seconds on a key of a store."""

    def __init__(self, store: Watched) -> None:
        self.store = store
        self.key = new_key()
        self.lost = 0
        self.lease = Lease(store, self.key, FIRST, seconds=3.0, lost=self._on_lost)

    def _on_lost(self) -> None:
        self.lost += 1


async def held(*, slow: bool = False) -> Held:
    it = Held(Watched(slow=slow, clock=asyncio.get_running_loop().time))
    assert isinstance(await it.lease.claim(), Claim)
    it.store.asked.clear()
    return it


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
            del it.store.store._held[it.key]
            await claimed(it.store.store, it.key)
            await asyncio.sleep(10)
            assert it.lost == 1
            assert not await it.lease.commit(ANSWER, TTL)
        assert it.store.asked == ["renew", "claim", "commit", "claim", "release"]

    virtual.run(main())


async def test_who_was_stopped_keeps_its_answer_if_nobody_has_claimed(setting: Setting) -> None:
    store, key = setting.store, new_key()
    lease = Lease(store, key, FIRST, seconds=setting.short, lost=pytest.fail)
    assert isinstance(await lease.claim(), Claim)
    await setting.sleep(setting.short * 1.5)
    assert await lease.commit(ANSWER, TTL)
    assert await setting.sibling.look(key) == Done(FIRST, ANSWER)


async def test_who_was_stopped_keeps_no_answer_if_another_has_claimed(setting: Setting) -> None:
    store, key = setting.store, new_key()
    lease = Lease(store, key, FIRST, seconds=setting.short, lost=pytest.fail)
    await lease.claim()
    await setting.sleep(setting.short * 1.5)
    token = await claimed(setting.sibling, key)
    assert not await lease.commit(OTHER, TTL)
    assert await setting.sibling.commit(key, token, ANSWER, TTL)
    assert not await lease.commit(OTHER, TTL)
    await lease.give_up()
    assert await store.look(key) == Done(FIRST, ANSWER)


def test_what_nobody_has_claimed_is_claimed_anew_when_it_is_to_be_renewed() -> None:
    async def main() -> None:
        it = await held()
        async with it.lease:
            del it.store.store._held[it.key]
            await asyncio.sleep(1.5)
            assert it.store.claims == 1
            await asyncio.sleep(10)
            assert await it.lease.commit(ANSWER, TTL)
        assert (it.lost, it.store.recordings) == (0, [ANSWER])
        assert it.store.asked == ["renew", "claim", *["renew"] * 10, "commit"]

    virtual.run(main())


def test_a_commit_waits_for_a_claim_that_is_being_renewed() -> None:
    async def main() -> None:
        for steps in range(8):
            it = await held(slow=True)
            async with it.lease:
                del it.store.store._held[it.key]
                await asyncio.sleep(1)
                for _ in range(steps):
                    await asyncio.sleep(0)
                assert await it.lease.commit(ANSWER, TTL), steps
            assert it.store.recordings == [ANSWER], steps

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
