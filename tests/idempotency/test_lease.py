"""The lease of a call: renewed in time, given up, or lost."""

import asyncio
from contextlib import AbstractAsyncContextManager, nullcontext

from tests.idempotency.stores import ANSWER, TTL, claimed, new_key
from veneer.idempotency.lease import Lease
from veneer.idempotency.memory import MemoryRecordingStore
from veneer.idempotency.store import Claim, Done, InFlight, Recording


class LateCommit:
    """A store whose commits are done at once and heard of only when a renewal was refused."""

    def __init__(self) -> None:
        self.store = MemoryRecordingStore()
        self.refused = asyncio.Event()

    async def claim(
        self, key: bytes, fingerprint: bytes, lease: float, /
    ) -> Claim | InFlight | Done:
        """See `RecordingStore`."""
        return await self.store.claim(key, fingerprint, lease)

    async def look(self, key: bytes, /) -> InFlight | Done | None:
        """See `RecordingStore`."""
        return await self.store.look(key)

    async def renew(self, key: bytes, token: int, lease: float, /) -> bool:
        """See `RecordingStore`."""
        held = await self.store.renew(key, token, lease)
        if not held:
            self.refused.set()
        return held

    async def commit(
        self, key: bytes, token: int, recording: Recording | None, ttl: float, /
    ) -> bool:
        """See `RecordingStore`."""
        kept = await self.store.commit(key, token, recording, ttl)
        await self.refused.wait()
        await asyncio.sleep(0.01)
        return kept

    async def release(self, key: bytes, token: int, /) -> None:
        """See `RecordingStore`."""
        await self.store.release(key, token)

    def lifespan(self) -> AbstractAsyncContextManager[object]:
        """See `RecordingStore`."""
        return nullcontext()


async def test_a_renewal_beside_a_commit_that_succeeds_does_not_take_the_call_for_lost() -> None:
    store = LateCommit()
    key = new_key()
    lost: list[None] = []
    token = await claimed(store, key)
    async with Lease(store, key, token, seconds=0.06, lost=lambda: lost.append(None)) as lease:
        assert await lease.commit(ANSWER, TTL)
    assert not lost


async def test_a_lease_that_somebody_else_has_is_lost() -> None:
    store = MemoryRecordingStore()
    key = new_key()
    lost = asyncio.Event()
    token = await claimed(store, key)
    async with Lease(store, key, token, seconds=0.06, lost=lost.set) as lease:
        await store.release(key, token)
        next_token = await claimed(store, key)
        await asyncio.wait_for(lost.wait(), 5)
        assert not await lease.commit(ANSWER, TTL)
    assert await store.commit(key, next_token, ANSWER, TTL)
