"""Answers that wait for a store; the tests of the layer show how they come to."""

import asyncio
from typing import Any

import pytest

from tests.idempotency.stores import ANSWER, FIRST, LONG, TTL, new_key
from tests.layers.keyed import Watched
from tests.limiters import virtual
from veneer.idempotency.late import LONGEST, Late
from veneer.idempotency.lease import Lease
from veneer.idempotency.store import Done


async def left(store: Watched, lost: list[Any]) -> tuple[bytes, Lease]:
    """Return a lease that was left to a later commit."""
    key = new_key()
    lease = Lease(store, key, FIRST, seconds=LONG, lost=lambda: lost.append(key))
    await lease.claim()
    async with lease:
        lease.leave()
    return key, lease


@pytest.mark.parametrize("away", [0.0, 10.0, LONGEST - 2])
def test_an_answer_is_kept_when_the_store_is_back_and_waits_no_longer(away: float) -> None:
    async def main() -> None:
        store, late = Watched(), Late(TTL)
        key, lease = await left(store, [])
        store.away = {"commit"}
        late.keep(lease, ANSWER)
        assert late.waiting == 1
        await asyncio.sleep(away)
        store.away = set()
        await asyncio.sleep(1)
        assert await store.look(key) == Done(FIRST, ANSWER)
        assert late.waiting == 0

    virtual.run(main())
