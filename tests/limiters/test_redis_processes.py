"""The limiter in Redis under several processes, and after one that was killed."""

import asyncio
import json
import os
import sys
import time
from asyncio.subprocess import PIPE, Process

from tests.limiters import redis_worker as worker
from tests.limiters.redises import SERVER, until
from veneer.limiters.redis import RedisLimiter
from veneer.quotas.quota import Charge

PROCESSES = 4


async def start(what: str, prefix: str, lease: float = 30) -> Process:
    """Start a process that shares our limits."""
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        worker.__name__,
        what,
        SERVER,
        prefix,
        str(lease),
        stdout=PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
    )


def most_at_once(calls: list[tuple[float, float]]) -> int:
    """Return how many calls ran at the same time."""
    changes = sorted([(end, -1) for _, end in calls] + [(began, 1) for began, _ in calls])
    running = most = 0
    for _, change in changes:
        running += change
        most = max(most, running)
    return most


async def test_four_processes_are_never_over_a_limit_and_use_it_up(prefix: str) -> None:
    processes = [await start("compete", prefix) for _ in range(PROCESSES)]
    started = time.monotonic()
    outputs = await asyncio.gather(*(process.communicate() for process in processes))
    assert [process.returncode for process in processes] == [0] * PROCESSES
    flown = (time.monotonic() - started) * worker.TOKENS.rate
    rounds = zip(*(output.splitlines() for output, _ in outputs), strict=True)
    ways = ((worker.TOKENS, flown), (worker.STRICT, 0))
    for (quota, allowance), lines in zip(ways, rounds, strict=True):
        calls = [(began, ended) for line in lines for began, ended in json.loads(line)]
        # What the last call takes must fit, though it is more than the call uses.
        assert 0.98 * quota.limit <= len(calls) * worker.USED <= quota.limit + allowance
        assert 1 < most_at_once(calls) <= worker.SLOTS.limit


async def test_the_slots_of_a_killed_process_come_back_after_their_lease(prefix: str) -> None:
    lease = 1.0
    holder = await start("hold", prefix, lease)
    limiter = RedisLimiter(SERVER, prefix=prefix, lease=lease)
    slot = [Charge(worker.SLOTS, (), 1)]
    async with limiter.lifespan():
        assert holder.stdout is not None
        assert json.loads(await holder.stdout.readline()) == [[]] * worker.SLOTS.limit
        await asyncio.sleep(lease * 1.5)
        assert (await limiter.take(slot)).refused == (0,)
        holder.kill()
        await holder.communicate()

        async def taken() -> bool:
            return not (await limiter.take(slot)).refused

        await until(taken)
        look = await limiter.take([Charge(worker.SLOTS, (), 0)])
        assert look.standings[0].remaining >= worker.SLOTS.limit - 1
