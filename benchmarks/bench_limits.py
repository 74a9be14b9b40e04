"""What rate limits add to a call: requests, tokens and running calls together, with their headers.

In one process, without a server: the CPU time of a small completion through headers, the gate and
the relay, and what comes on top of it with `RateLimitMiddleware` around the relay, counted in
memory (with one partition, and with a million others in the table), in the table that the workers
of one machine share, and in Redis, where that answers. For Redis the time that passes is told too,
beside that of a bare PING of the same client: one round trip. The cases take turns.
"""

import asyncio
import os
import sys
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter, process_time
from typing import Any

from bench_layers import ME, Model, scope_of
from rig.completion import REQUEST
from rig.results import Bar, Column, Result, alternate, main
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from veneer import (
    HeadersMiddleware,
    Layer,
    Middleware,
    OperationsMiddleware,
    Principal,
    QuotaPolicy,
    RateLimitMiddleware,
    RelayMiddleware,
    Stack,
    put,
)
from veneer.limiters.memory import MemoryLimiter
from veneer.limiters.redis import RedisLimiter
from veneer.limiters.shared import SharedLimiter
from veneer.quotas.limiter import Limiter
from veneer.quotas.quota import Charge, Quota

CALLS = 200
TRIES = 5
MANY = 1_000_000
REDIS = os.environ.get("VENEER_TEST_REDIS", "redis://127.0.0.1:6379")

# Never reached: what is measured is a call that is admitted. They flow out more slowly than the
# benchmark fills them, so that counters are never found empty.
POLICIES = (
    QuotaPolicy("100000000/day"),
    QuotaPolicy("10000000000/day", unit="tokens"),
    QuotaPolicy(1_000_000, unit="concurrent-requests"),
)

LABELS = {
    "without": "without limits (what the call takes itself)",
    "memory": "in memory",
    "million": "in memory, a million partitions",
    "shared": "in the table of one machine's workers",
    "redis": "in Redis",
    "ping": "a PING of Redis, without a call",
}


class Caller(Layer):
    """Stands for auth: everybody is the same."""

    writes = (Principal,)

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on with its principal."""
        put(scope, ME)
        await self.app(scope, receive, send)


def stack(limiter: Limiter | None) -> Stack:
    """Return the layers around a bare app, with limits or without."""
    limits = (
        []
        if limiter is None
        else [Middleware(RateLimitMiddleware, policies=POLICIES, limiter=limiter)]
    )
    layers: list[type[Layer]] = [HeadersMiddleware, Caller, OperationsMiddleware]
    return Stack([*map(Middleware, layers), *limits, Middleware(RelayMiddleware)], Model())


async def full_of_others() -> Limiter:
    """Return a limiter in memory that counts for a million others."""
    limiter = MemoryLimiter(max_partitions=MANY * 3)
    quota = Quota(policy="tokens", unit="tokens", limit=1000, window=86400.0)
    for index in range(MANY):
        await limiter.take([Charge(quota, ("key", f"other-{index}"), 500)])
    return limiter


async def calls(app: ASGIApp, times: int) -> tuple[float, float]:
    """Make calls one after the other; return the CPU time and the time that each took."""
    template = scope_of(REQUEST)
    message: Message = {"type": "http.request", "body": REQUEST, "more_body": False}
    status = 0

    async def receive() -> Message:
        return message

    async def send(message: Message) -> None:
        nonlocal status
        status = message.get("status", status)

    began, worked = perf_counter(), process_time()
    for _ in range(times):
        await app(dict(template), receive, send)
    took = process_time() - worked, perf_counter() - began
    if status != 200:
        raise RuntimeError(f"the app answers {status}")
    return took[0] / times, took[1] / times


async def pings(client: Any, times: int) -> tuple[float, float]:
    """Ask Redis for nothing; return the CPU time and the time that each took."""
    began, worked = perf_counter(), process_time()
    for _ in range(times):
        await client.ping()
    return (process_time() - worked) / times, (perf_counter() - began) / times


def best(runner: asyncio.Runner, measured: Callable[[], Any]) -> Mapping[str, float]:
    """Return the least of several tries, for whatever else happens only adds to it."""
    found = [runner.run(measured()) for _ in range(TRIES)]
    return {
        "cpu_us": min(cpu for cpu, _ in found) * 1e6,
        "us": min(passed for _, passed in found) * 1e6,
    }


def measure(*, rounds: int) -> Result:
    """Measure; each sample is what limits add to the call without them."""
    loop = import_module("uvloop").new_event_loop if find_spec("uvloop") else None
    result = Result(
        name="limits",
        doc=__doc__,
        columns=[Column("cpu_us", "µs of CPU a call"), Column("us", "µs a call")],
        labels=dict(LABELS),
        settings={"rounds": rounds, "calls": CALLS, "partitions": MANY},
    )
    with ExitStack() as held:
        runner = held.enter_context(asyncio.Runner(loop_factory=loop))
        folder = Path(held.enter_context(TemporaryDirectory()))
        limiters: dict[str, Limiter | None] = {
            "without": None,
            "memory": MemoryLimiter(),
            "million": runner.run(full_of_others()),
            "shared": SharedLimiter(folder / "limits"),
        }
        client = redis_client(runner)
        if client is None:
            result.skipped += ["redis", "ping"]
        else:
            limiters["redis"] = RedisLimiter(REDIS, prefix="veneer-benchmark")
        cases = {
            name: partial(best, runner, partial(calls, stack(limiter), CALLS))
            for name, limiter in limiters.items()
        }
        if client is not None:
            cases["ping"] = partial(best, runner, partial(pings, client, CALLS))
        alternate(cases, 1, watched=False)
        result.samples = alternate(cases, rounds, watched=False)
        if client is not None:
            runner.run(client.aclose())
    without = result.samples["without"]
    for name in limiters:
        if name != "without":
            found = result.samples[name]
            for metric, base in without.items():
                found[metric] = [a - b for a, b in zip(found[metric], base, strict=True)]
    bars = {"memory": 15, "million": 15, "shared": 25}
    result.bars = [
        Bar(
            LABELS[name], median(result.samples[name]["cpu_us"]), at_most=most, unit=" µs", digits=1
        )
        for name, most in bars.items()
    ]
    return result


def redis_client(runner: asyncio.Runner) -> Any:
    """Return a client of Redis, or None where there is no client or no server."""
    if not find_spec("redis"):
        return None
    client = import_module("redis.asyncio").from_url(REDIS)
    try:
        runner.run(client.ping())
    except (import_module("redis").RedisError, OSError):
        return None
    return client


if __name__ == "__main__":
    sys.exit(main(measure, rounds=9))
