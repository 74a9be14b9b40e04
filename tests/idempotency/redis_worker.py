"""A process that claims a key and holds it: run by tests, not a test."""

import asyncio
import sys

from veneer.idempotency.lease import Lease
from veneer.idempotency.redis import RedisRecordingStore
from veneer.idempotency.store import Claim


async def main(url: str, prefix: str, key: str, seconds: str) -> None:
    """Claim a key, print the token, and renew the lease until killed."""
    store = RedisRecordingStore(url, prefix=prefix)
    lease = Lease(store, bytes.fromhex(key), b"killed", seconds=float(seconds), lost=sys.exit)
    async with store.lifespan():
        outcome = await lease.claim()
        assert isinstance(outcome, Claim)
        async with lease:
            print(outcome.token, flush=True)  # noqa: T201 - the test reads it
            await asyncio.sleep(60)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
