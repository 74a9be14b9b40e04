"""What every store of recordings keeps to as time passes, and where a call is cut off."""

import asyncio
from typing import Any

from tests.idempotency.stores import (
    ANSWER,
    FIRST,
    LONG,
    OTHER,
    TTL,
    Setting,
    claimed,
    new_key,
)
from veneer.idempotency.store import Claim, Done, InFlight


async def test_a_lease_that_is_over_counts_as_none(setting: Setting) -> None:
    key = new_key()
    first = await claimed(setting.store, key, setting.short)
    await setting.sleep(setting.short * 1.5)
    assert await setting.store.look(key) is None
    second = await claimed(setting.sibling, key)
    assert second > first


async def test_who_was_stopped_for_too_long_cannot_touch_the_claim_of_the_next(
    setting: Setting,
) -> None:
    key = new_key()
    stale = await claimed(setting.store, key, setting.short)
    await setting.sleep(setting.short * 1.5)
    token = await claimed(setting.sibling, key)

    assert not await setting.store.renew(key, stale, LONG)
    assert not await setting.store.commit(key, stale, OTHER, TTL)
    await setting.store.release(key, stale)
    assert isinstance(await setting.sibling.look(key), InFlight)

    assert await setting.sibling.commit(key, token, ANSWER, TTL)
    assert not await setting.store.renew(key, stale, LONG)
    assert not await setting.store.commit(key, stale, OTHER, TTL)
    await setting.store.release(key, stale)
    assert await setting.store.look(key) == Done(FIRST, ANSWER)


async def test_who_was_stopped_keeps_an_answer_only_where_it_says_so(setting: Setting) -> None:
    key = new_key()
    token = await claimed(setting.store, key, setting.short)
    await setting.sleep(setting.short * 1.5)
    kept = await setting.store.commit(key, token, ANSWER, TTL)
    assert await setting.sibling.look(key) == (Done(FIRST, ANSWER) if kept else None)


async def test_a_lease_that_is_renewed_lasts(setting: Setting) -> None:
    key = new_key()
    token = await claimed(setting.store, key, setting.short)
    assert await setting.store.renew(key, token, LONG)
    await setting.sleep(setting.short * 1.5)
    found = await setting.sibling.look(key)
    assert isinstance(found, InFlight)
    assert setting.short < found.seconds <= LONG
    assert await setting.store.commit(key, token, ANSWER, TTL)


async def test_a_renewal_may_shorten_a_lease(setting: Setting) -> None:
    key = new_key()
    token = await claimed(setting.store, key)
    assert await setting.store.renew(key, token, setting.short)
    await setting.sleep(setting.short * 1.5)
    assert await setting.sibling.look(key) is None


async def test_a_commit_ends_the_lease_and_not_the_answer(setting: Setting) -> None:
    key = new_key()
    token = await claimed(setting.store, key, setting.short)
    assert await setting.store.commit(key, token, ANSWER, TTL)
    await setting.sleep(setting.short * 1.5)
    assert await setting.sibling.look(key) == Done(FIRST, ANSWER)
    assert not await setting.store.renew(key, token, LONG)


async def test_an_answer_is_forgotten_after_its_time(setting: Setting) -> None:
    key = new_key()
    token = await claimed(setting.store, key)
    assert await setting.store.commit(key, token, ANSWER, setting.short)
    await setting.sleep(setting.short * 1.5)
    assert await setting.store.look(key) is None
    again = await claimed(setting.sibling, key)
    assert again > token
    assert not await setting.store.commit(key, token, ANSWER, TTL)


async def test_of_many_who_claim_what_has_run_out_one_has_it(setting: Setting) -> None:
    key = new_key()
    stale = await claimed(setting.store, key, setting.short)
    await setting.sleep(setting.short * 1.5)
    stores = [setting.store, setting.sibling] * 10
    outcomes = await asyncio.gather(
        *(store.claim(key, FIRST, LONG) for store in stores),
        setting.store.commit(key, stale, OTHER, TTL),
    )
    claims = sum(isinstance(outcome, Claim) for outcome in outcomes[:-1])
    assert claims + (outcomes[-1] is True) == 1


async def test_a_call_that_is_cancelled_is_done_or_not_and_the_store_goes_on(
    setting: Setting,
) -> None:
    task: asyncio.Future[Any]
    for steps in range(12):
        key = new_key()
        task = asyncio.ensure_future(setting.store.claim(key, FIRST, setting.short))
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait({task})
        found = await setting.sibling.look(key)
        assert found is None or isinstance(found, InFlight)

    key = new_key()
    token = await claimed(setting.store, key)
    for steps in range(12):
        task = asyncio.ensure_future(setting.store.commit(key, token, ANSWER, TTL))
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait({task})
    assert await setting.store.commit(key, token, ANSWER, TTL)
    assert await setting.sibling.look(key) == Done(FIRST, ANSWER)
