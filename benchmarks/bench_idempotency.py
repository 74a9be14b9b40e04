"""What an idempotency key costs: a layer that finds none, a replay, a recording, an event.

In one process, without a server: the time that `IdempotencyMiddleware` adds to a small completion
that has no key, and to one that has: where it is answered from memory, from an SQLite file and from
Redis, where that answers, and where it is run and recorded. What the layers above and a bare app
take is subtracted.

Over the network: 200 streams of 10,000 events a second through `veneer serve`, as in the benchmark
of streams, with a key of its own for each and without; once more with an SQLite file for the
recordings. CPU time of the proxy for an event, while the streams run and from before their calls to
after their ends, when they are kept. The cases take turns.
"""

import asyncio
import secrets
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from functools import partial
from http import HTTPStatus
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter, process_time
from typing import Literal

from bench_layers import Model, scope_of
from bench_limits import CALLS, REDIS, Caller, best, redis_client
from bench_stream import RATE, STREAMS, streamed
from rig.completion import REQUEST
from rig.processes import Process, ask, cores, cpu_seconds
from rig.proxies import proxy
from rig.results import Bar, Column, Result, Samples, alternate, main, median_ratio
from rig.streams import AFTER, WARM, Load, emitting
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from veneer import (
    HeadersMiddleware,
    IdempotencyMiddleware,
    Layer,
    Middleware,
    OperationsMiddleware,
    Stack,
)
from veneer.idempotency.memory import MemoryRecordingStore
from veneer.idempotency.redis import RedisRecordingStore
from veneer.idempotency.sqlite import SqliteRecordingStore
from veneer.idempotency.store import RecordingStore

# What stands around the layer, so that only it is in the difference.
OPEN = (Layer,)
ABOVE = (HeadersMiddleware, Caller, OperationsMiddleware)

LABELS = {
    "open": "a bare app and the base of all layers (what they take themselves)",
    "unused": "the layer, for a call without a key",
    "above": "a bare app below headers, gate and operations (what they take themselves)",
    "memory": "a replay from memory",
    "sqlite": "a replay from an SQLite file",
    "redis": "a replay from Redis",
    "run": "a call that is run and recorded in memory",
    "run-sqlite": "a call that is run and recorded in an SQLite file",
    "ping": "a PING of Redis, without a call",
    "bare": "streams without keys",
    "keyed": "streams with a key each, recorded in memory",
    "keyed-sqlite": "streams with a key each, recorded in an SQLite file",
}


class Keyed:
    """Gives calls a key, as their clients would: always the same, or each its own."""

    def __init__(self, app: ASGIApp, *, always: bytes | None) -> None:
        self._app = app
        self._always = always

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Call the app."""
        key = self._always or secrets.token_hex(16).encode()
        scope["headers"] = [*scope["headers"], (b"idempotency-key", key)]
        await self._app(scope, receive, send)


def stack(above: tuple[type[Layer], ...], store: RecordingStore | None = None) -> ASGIApp:
    """Return layers around a bare app, with the one that is measured where there is a store."""
    layers = list(map(Middleware, above))
    if store is not None:
        share: Literal["team", "all"] = "team" if Caller in above else "all"
        layers.append(Middleware(IdempotencyMiddleware, store=store, share=share))
    return Stack(layers, Model())


async def calls(app: ASGIApp, times: int) -> tuple[float, float]:
    """Make calls one after the other; return the CPU time and the time that each took."""
    template = scope_of(REQUEST)
    staying: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
    status = 0

    async def call() -> None:
        given = False

        async def receive() -> Message:
            nonlocal given
            if given:
                return await staying
            given = True
            return {"type": "http.request", "body": REQUEST, "more_body": False}

        await app(dict(template), receive, send)

    async def send(message: Message) -> None:
        nonlocal status
        status = message.get("status", status)

    began, worked = perf_counter(), process_time()
    for _ in range(times):
        await call()
    took = process_time() - worked, perf_counter() - began
    if status != HTTPStatus.OK:
        raise RuntimeError(f"the app answers {status}")
    return took[0] / times, took[1] / times


def apps(stores: Mapping[str, RecordingStore]) -> Iterator[tuple[str, ASGIApp]]:
    """Yield the cases of one process."""
    yield "open", stack(OPEN)
    yield "unused", stack(OPEN, MemoryRecordingStore())
    yield "above", Keyed(stack(ABOVE), always=b"k")
    for name, store in stores.items():
        yield name, Keyed(stack(ABOVE, store), always=secrets.token_hex(16).encode())
    for name in ("memory", "sqlite"):
        label = "run" if name == "memory" else f"run-{name}"
        yield label, Keyed(stack(ABOVE, stores[name]), always=None)


def in_one_process(result: Result, rounds: int) -> Samples:
    """Measure calls; each sample but the two of nothing is what the layer adds."""
    loop = import_module("uvloop").new_event_loop if find_spec("uvloop") else None
    with ExitStack() as held:
        runner = held.enter_context(asyncio.Runner(loop_factory=loop))
        folder = Path(held.enter_context(TemporaryDirectory()))
        stores: dict[str, RecordingStore] = {
            "memory": MemoryRecordingStore(),
            "sqlite": SqliteRecordingStore(folder / "recordings.db"),
        }
        client = redis_client(runner)
        if client is None:
            result.skipped += ["redis", "ping"]
        else:
            prefix = f"veneer-benchmark-{secrets.token_hex(4)}"
            stores["redis"] = RedisRecordingStore(REDIS, prefix=prefix)
        cases: dict[str, Callable[[], Mapping[str, float]]] = {
            name: partial(best, runner, partial(calls, app, CALLS)) for name, app in apps(stores)
        }
        alternate(cases, 1, watched=False)
        samples = alternate(cases, rounds, watched=False)
        if client is not None:
            runner.run(client.delete(*runner.run(client.keys(f"{{{prefix}}}*"))))
            runner.run(client.aclose())
    for name, found in samples.items():
        base = "open" if name == "unused" else "above"
        if name not in ("open", "above"):
            for metric, values in found.items():
                pairs = zip(values, samples[base][metric], strict=True)
                found[metric] = [value - without for value, without in pairs]
    return samples


def over_the_network(rounds: int, seconds: float) -> Samples:
    """Measure streams."""
    core, other = cores()
    without = Load(STREAMS, RATE, seconds)
    keyed = Load(STREAMS, RATE, seconds, keyed=True)
    with ExitStack() as held:
        origin, emitter = held.enter_context(emitting(without, other))
        folder = Path(held.enter_context(TemporaryDirectory()))
        config = folder / "veneer.toml"
        config.write_text(f'[idempotency]\nstore = "sqlite:///{folder}/recordings.db"\n')
        url, process = held.enter_context(proxy("serve", origin, core))
        kept, keeper = held.enter_context(proxy("serve", origin, core, config=config))
        for each in (url, kept):
            ask(f"{each}/v1/models", method="GET")
        cases = {
            "bare": partial(run, url, process, emitter, without, other),
            "keyed": partial(run, url, process, emitter, keyed, other),
            "keyed-sqlite": partial(run, kept, keeper, emitter, keyed, other),
        }
        return alternate(cases, rounds)


def run(
    origin: str, process: Process, emitter: Process, load: Load, cpus: set[int] | None
) -> Mapping[str, float]:
    """Run the streams once; return the metrics."""
    before = cpu_seconds(process.pid)
    found = streamed(origin, process, emitter, load, cpus)
    whole = (cpu_seconds(process.pid) - before) / (load.rate * (WARM + load.seconds + AFTER))
    return {"event_us": found["cpu_us"], "whole_us": whole * 1e6, "p99_us": found["p99_us"]}


def measure(*, rounds: int, seconds: float) -> Result:
    """Measure, `seconds` for the streams of each case in each of the rounds."""
    result = Result(
        name="idempotency",
        doc=__doc__,
        columns=[
            Column("cpu_us", "µs of CPU a call"),
            Column("us", "µs a call"),
            Column("event_us", "CPU µs an event", ratio_to="bare"),
            Column("whole_us", "with begin and end", ratio_to="bare"),
            Column("p99_us", "p99 µs", digits=0),
        ],
        labels=dict(LABELS),
        settings={
            "rounds": rounds,
            "calls": CALLS,
            "streams": STREAMS,
            "rate": RATE,
            "seconds": seconds,
        },
    )
    result.samples = in_one_process(result, rounds * 2) | over_the_network(rounds, seconds)

    def added(name: str, metric: str) -> float:
        return median(result.samples[name][metric])

    result.bars = [
        Bar(LABELS["unused"], added("unused", "cpu_us"), at_most=1, unit=" µs"),
        Bar(LABELS["memory"], added("memory", "cpu_us"), at_most=40, unit=" µs", digits=1),
        Bar(LABELS["sqlite"], added("sqlite", "us") / 1000, at_most=1, unit=" ms"),
        Bar(
            "CPU of an event, recorded times not",
            median_ratio(result.samples, "keyed", "bare", "event_us"),
            at_most=1.1,
        ),
    ]
    return result


if __name__ == "__main__":
    sys.exit(main(measure, rounds=5, seconds=6))
