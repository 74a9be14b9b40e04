"""One process of several that share a limit: run by tests, not a test."""

import asyncio
import json
import sys
import time
from typing import Any

from veneer.limiters.redis import RedisLimiter
from veneer.quotas.quota import Charge, Quota

TOKENS = Quota(policy="tokens", unit="tokens", limit=1000, window=36_000)
STRICT = Quota(policy="strict", unit="tokens", limit=1000, window=36_000, strict=True)
REQUESTS = Quota(policy="requests", unit="requests", limit=100_000, window=36_000)
SLOTS = Quota(policy="slots", unit="concurrent-requests", limit=20)
TASKS = 50
TAKEN, USED = 8, 5


async def use(limiter: RedisLimiter, quota: Quota, calls: list[tuple[float, float]]) -> None:
    """Make calls until the tokens are used up, and those of calls that run have come back."""
    charges = [Charge(REQUESTS, (), 1), Charge(quota, (), TAKEN), Charge(SLOTS, (), 1)]
    refusals = 0
    while refusals < 3:
        decision = await limiter.take(charges)
        began = time.monotonic()
        await asyncio.sleep(0.001)
        if not decision.refused:
            calls.append((began, time.monotonic()))
            limiter.settle(decision.taken, USED)
            refusals = 0
        else:
            refusals += 1 in decision.refused
            await asyncio.sleep(0.03)


async def compete(limiter: RedisLimiter) -> None:
    """Print for each way of counting when calls began and ended."""
    for quota in (TOKENS, STRICT):
        calls: list[tuple[float, float]] = []
        async with asyncio.timeout(20):
            await asyncio.gather(*(use(limiter, quota, calls) for _ in range(TASKS)))
        print(json.dumps(calls), flush=True)  # noqa: T201 - the test reads it


async def hold(limiter: RedisLimiter) -> None:
    """Take all slots, and keep them."""
    held: list[Any] = [await limiter.take([Charge(SLOTS, (), 1)]) for _ in range(SLOTS.limit)]
    print(json.dumps([decision.refused for decision in held]), flush=True)  # noqa: T201 - as above
    await asyncio.sleep(60)


async def main(what: str, url: str, prefix: str, lease: str) -> None:
    """Do one of them."""
    limiter = RedisLimiter(url, prefix=prefix, lease=float(lease), timeout=10)
    async with limiter.lifespan():
        await {"compete": compete, "hold": hold}[what](limiter)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
