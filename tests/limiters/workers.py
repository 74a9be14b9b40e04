"""Programs that share a file of limits with others; `python -m tests.limiters.workers NAME PATH`.

They print one line of JSON.
"""

import asyncio
import json
import os
import random
import signal
import sys
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from veneer.limiters.shared import SharedLimiter
from veneer.quotas.limiter import Decision, LimiterUnavailableError
from veneer.quotas.quota import Charge, Quota

REQUESTS = Quota(policy="requests", unit="requests", limit=3000, window=1e6)
TOKENS = Quota(policy="tokens", unit="tokens", limit=10**9, window=60.0)
SLOTS = Quota(policy="slots", unit="concurrent-requests", limit=8)
STRICT = Quota(policy="strict", unit="requests", limit=10**9, window=60.0, strict=True)


def shared(
    path: str | Path,
    *,
    max_partitions: int = 64,
    max_strict: int = 16,
    max_running: int = 64,
    clock: Callable[[], float] = time.monotonic,
) -> SharedLimiter:
    """Return a small limiter."""
    return SharedLimiter(
        path,
        max_partitions=max_partitions,
        max_strict=max_strict,
        max_running=max_running,
        clock=clock,
    )


def say(value: object) -> None:
    """Print what the test reads."""
    print(json.dumps(value), flush=True)  # noqa: T201 - the program's answer


def at_once(coroutine: Coroutine[Any, Any, Decision]) -> Decision:
    """Return what a coroutine that has nothing to wait for returns, without a loop."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        decision: Decision = stop.value
        return decision
    coroutine.close()
    raise LimiterUnavailableError("it waits")


async def spend(path: str) -> None:
    """Take from one quota with 50 tasks until it is used up."""
    limiter = shared(path)
    counts = {"admitted": 0, "unavailable": 0}

    async def task() -> None:
        while True:
            try:
                decision = await limiter.take([Charge(REQUESTS, ("one",), 1)])
            except LimiterUnavailableError:
                counts["unavailable"] += 1
                continue
            if decision.refused:
                return
            counts["admitted"] += 1
            await asyncio.sleep(0)

    async with limiter.lifespan():
        await asyncio.gather(*(task() for _ in range(50)))
    say(counts)


async def hold(path: str) -> None:
    """Take all slots, and keep them."""
    limiter = shared(path)
    for _ in range(SLOTS.limit):
        assert not (await limiter.take([Charge(SLOTS, ("one",), 1)])).refused
    say("held")
    await asyncio.sleep(30)


def fork(path: str) -> None:
    """Take before and after a fork: each side has a lock and calls of its own."""
    limiter = shared(path)
    charge = Charge(SLOTS, ("one",), 1)
    mine = at_once(limiter.take([charge]))
    from_child, to_parent = os.pipe()
    from_parent, to_child = os.pipe()

    def child() -> None:
        inherited = limiter._table
        left = at_once(limiter.take([charge])).standings[0].remaining
        os.write(to_parent, bytes((inherited is None, left)))
        os.read(from_parent, 1)
        os.write(to_parent, bytes((limiter._enter(1) is None,)))
        time.sleep(30)

    with _child(child):
        dropped, left = os.read(from_child, 2)
        table = limiter._enter(1)
        assert table is not None
        os.write(to_child, b".")
        locked_out = os.read(from_child, 1)[0]
        table.leave()
    limiter.settle(mine.taken, 0)
    others = shared(path)
    at_end = at_once(others.take([Charge(SLOTS, ("one",), 0)])).standings[0].remaining
    say({"dropped": dropped, "left": left, "locked_out": locked_out, "at_end": at_end})


def load(path: str) -> None:
    """Have forked workers killed at random moments of much work, 20 times, and look after each."""
    seen = []
    for turn in range(20):
        with _child(lambda: _work(path)), _child(lambda: _work(path)):
            time.sleep(random.uniform(0.005, 0.03))  # noqa: S311 - any moment will do
        seen.append(_look(path, turn))
    say(seen)


def _work(path: str) -> None:
    asyncio.run(_busy(shared(path)))


async def _busy(limiter: SharedLimiter) -> None:
    async def task() -> None:
        names = random.Random()  # noqa: S311 - as above
        while True:
            partition = (str(names.randrange(3)),)
            charges = [
                Charge(quota, partition, cost)
                for quota, cost in ((STRICT, 1), (TOKENS, 100), (SLOTS, 1))
            ]
            try:
                decision = await limiter.take(charges)
            except LimiterUnavailableError:
                continue
            await asyncio.sleep(0)
            if decision.taken is not None:
                limiter.settle(decision.taken, names.randrange(200))

    await asyncio.gather(*(task() for _ in range(12)))


def _look(path: str, turn: int) -> dict[str, object]:
    """Return what the table says: calls by counters and by rows, then slots that are left."""
    limiter = shared(path)
    table = limiter._enter(1)
    assert table is not None, f"still locked after turn {turn}"
    names = [Charge(SLOTS, (str(name),), 0) for name in range(3)]
    counters = [table._counters.read(table._counters.place(charge)) for charge in names]
    running = table._running
    rows = [row for row in range(running._begin, running._end) if running._map[row]]
    digests = [table._counters.place(charge).digest for charge in names]
    by_rows = [sum(running.at(row)[0] == digest for row in rows) for digest in digests]
    table.leave()
    left = []
    for _ in range(4):
        # No more than one process's calls are given back at a time.
        left = [at_once(limiter.take([charge])).standings[0].remaining for charge in names]
    limiter._abandon()
    return {
        "by_counters": [getattr(counter, "running", -1) for counter in counters],
        "by_rows": by_rows,
        "left": left,
    }


@contextmanager
def _child(work: Callable[[], None]) -> Iterator[None]:
    """Run something in a forked child, which is killed in the end."""
    child = os.fork()
    if not child:
        try:
            work()
        finally:
            os._exit(1)
    try:
        yield
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def main(name: str, path: str) -> None:
    """Run one of the programs."""
    if name in {"spend", "hold"}:
        asyncio.run({"spend": spend, "hold": hold}[name](path))
    else:
        {"fork": fork, "load": load}[name](path)


if __name__ == "__main__":
    main(*sys.argv[1:])
