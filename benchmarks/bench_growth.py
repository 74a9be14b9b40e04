"""How what a call takes grows with what there is: bytes, policies, keys, partitions, rows.

In one process, without a server; CPU time of all threads. The whole stack makes calls whose request
and answer have a body of so many bytes, and calls that so many policies hold; these are work, so
what each KB and each policy adds must not rise. The parts that remember make calls while they
remember much: the store of keys is asked for keys that it has not been asked for, limits in memory
take from partitions, the ledger in an SQLite file holds and settles, and the store of recordings in
an SQLite file claims, commits and replays. There is no more work for a call where more is
remembered, so it must not take twice as long. `bench_growth.py --rows_at_most 10000000` fills the
ledger with ten million rows.
"""

import asyncio
import json
import secrets
import sqlite3
import sys
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, ExitStack, contextmanager
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import process_time
from typing import Any

import msgspec
from bench_ledger import calls as ledger_calls
from rig import full, whole
from rig.completion import COMPLETION, REQUEST
from rig.results import Bar, Column, Plot, Result, Table, alternate, main

from veneer.auth.stored import StoredKeys
from veneer.auth.verifier import Denial
from veneer.config import Config
from veneer.config.ratelimit_tables import PolicyTable
from veneer.idempotency.sqlite import SqliteRecordingStore
from veneer.idempotency.store import Claim, Done, Recording
from veneer.keys.peppers import Peppers
from veneer.keys.store import KeyStore
from veneer.ledger.sqlite import SqliteLedger
from veneer.limiters.memory import MemoryLimiter
from veneer.quotas.limiter import Limiter
from veneer.quotas.quota import Charge, Quota
from veneer.stores.opening import open_key_store

BODIES = (1_000, 10_000, 100_000, 1_000_000, 10_000_000)
POLICIES = (1, 4, 16, 64)
KEYS = (10, 1_000, 100_000, 1_000_000)
PARTITIONS = (1, 1_000, 1_000_000)
RECORDINGS = (0, 1_000, 100_000)

CALLS = 96
TRIES = 3

# A case makes so many calls; the CPU time of each is its sample.
Case = Callable[[], Mapping[str, float]]
Maker = Callable[[asyncio.Runner, ExitStack], Iterator[tuple[str, Case]]]

TITLES = {
    "body": "bytes of the request and of the answer",
    "policies": "policies that hold a call",
    "keys": "keys in the store",
    "partitions": "partitions that are counted",
    "rows": "rows of the ledger",
    "recordings": "recordings that are kept",
}


def timed(loop: asyncio.Runner, calls: Callable[[], Awaitable[object]], times: int) -> Case:
    """Return a case that makes so many calls; the best of several tries is its sample."""

    async def once() -> float:
        began = process_time()
        await calls()
        return (process_time() - began) / times * 1e6

    return lambda: {"cpu_us": min(loop.run(once()) for _ in range(TRIES))}


def bodies(loop: asyncio.Runner, held: ExitStack) -> Iterator[tuple[str, Case]]:
    """Yield calls with larger and larger bodies."""
    for size in BODIES:
        request = padded(REQUEST, size, lambda body, text: body["messages"][1].update(text))
        answer = padded(
            COMPLETION, size, lambda body, text: body["choices"][0]["message"].update(text)
        )
        app = held.enter_context(whole.around(whole.Model(b"application/json", [answer]), loop))
        times = max(2, min(CALLS, 10_000_000 // size))
        scope = whole.scope_of(request)
        yield f"body {size}", of_stack(loop, partial(whole.calls, app, scope, request, times))


def padded(body: bytes, size: int, put: Callable[[Any, Any], None]) -> bytes:
    """Return a body of so many bytes, by a longer text in it."""
    whole_body = json.loads(body)
    words = "The Danube runs through Vienna. "
    put(whole_body, {"content": (words * (size // len(words) + 1))[: max(1, size - len(body))]})
    return json.dumps(whole_body).encode()


def of_stack(
    loop: asyncio.Runner, calls: Callable[[], Coroutine[Any, Any, tuple[float, float]]]
) -> Case:
    """Return a case of calls that take their time themselves."""
    return lambda: {"cpu_us": min(loop.run(calls())[0] for _ in range(TRIES)) * 1e6}


def policies(loop: asyncio.Runner, held: ExitStack) -> Iterator[tuple[str, Case]]:
    """Yield calls that more and more policies hold."""
    scope = whole.scope_of(REQUEST)
    for number in POLICIES:
        held_by = [
            PolicyTable(limit="100000000/minute", name=f"policy-{index}") for index in range(number)
        ]

        def with_them(config: Config, held_by: list[PolicyTable] = held_by) -> Config:
            table = msgspec.structs.replace(config.ratelimit, policies=held_by)
            return msgspec.structs.replace(config, ratelimit=table)

        model = whole.Model(b"application/json", [COMPLETION])
        app = held.enter_context(whole.around(model, loop, with_them))
        yield (
            f"policies {number}",
            of_stack(loop, partial(whole.calls, app, scope, REQUEST, CALLS * 2)),
        )


def keys(loop: asyncio.Runner, held: ExitStack) -> Iterator[tuple[str, Case]]:
    """Yield first looks for keys in fuller and fuller stores."""
    for number in KEYS:
        known = min(number, CALLS)
        stores = held.enter_context(full.in_files())
        configured = full.configured("http://127.0.0.1:1", stores, tokens=known)
        given = held.enter_context(configured)
        fill_keys(Path(stores.keys.removeprefix("sqlite:///")), number)
        store = open_key_store(stores.keys)
        held.callback(_close, loop, store)

        async def look(
            store: KeyStore = store, peppers: Peppers = given.peppers, known: int = known
        ) -> None:
            verifier = StoredKeys(store, peppers)
            for index in range(CALLS):
                if isinstance(await verifier.verify(full.token(index % known)), Denial):
                    raise RuntimeError("a key is not known")  # noqa: TRY004 - no error of types
                if index % known == known - 1:
                    verifier = StoredKeys(store, peppers)

        yield f"keys {number}", timed(loop, look, CALLS)


def fill_keys(file: Path, number: int) -> None:
    """Put so many more keys into a store, like the one that is there."""
    with sqlite3.connect(file) as connection:
        copied(
            connection,
            "veneer_keys",
            {"id": "'key_' || hex(randomblob(13))", "digest": "lower(hex(randomblob(32)))"},
            number,
        )


def copied(
    connection: sqlite3.Connection, table: str, changed: Mapping[str, str], number: int
) -> None:
    """Write one row of a table so many more times, but for these columns."""
    names = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
    values = [changed.get(name, f"one.{name}") for name in names]
    connection.execute(
        f"WITH RECURSIVE n(i) AS (SELECT 1 WHERE ? > 0 UNION ALL SELECT i + 1 FROM n WHERE i < ?) "  # noqa: S608 - names of ours
        f"INSERT INTO {table} ({', '.join(names)}) SELECT {', '.join(values)} "
        f"FROM n, (SELECT * FROM {table} LIMIT 1) AS one",
        (number, number),
    )
    connection.commit()


def partitions(loop: asyncio.Runner, _: ExitStack) -> Iterator[tuple[str, Case]]:
    """Yield takes from a limiter that counts for more and more."""
    quota = Quota(policy="tokens", unit="tokens", limit=10**12, window=86400.0)
    for number in PARTITIONS:
        limiter: Limiter = MemoryLimiter(max_partitions=2_000_000)

        async def fill(limiter: Limiter = limiter, number: int = number) -> None:
            for index in range(number):
                await limiter.take([Charge(quota, ("key", f"key-{index}"), 500_000)])

        async def take(limiter: Limiter = limiter, number: int = number) -> None:
            step = max(1, number // 2000)
            for index in range(2000):
                partition = ("key", f"key-{index * step % number}")
                await limiter.take([Charge(quota, partition, 500)])

        loop.run(fill())
        yield f"partitions {number}", timed(loop, take, 2000)


def rows(loop: asyncio.Runner, held: ExitStack, most: int) -> Iterator[tuple[str, Case]]:
    """Yield holds and settlements in fuller and fuller ledgers."""
    for number in (0, 10_000, most):
        folder = held.enter_context(TemporaryDirectory(prefix="veneer-benchmark-"))
        file = Path(folder, "ledger.db")
        loop.run(_in_ledger(file, 1))
        with sqlite3.connect(file) as connection:
            changed = {
                "id": "NULL",
                "call": "hex(randomblob(16))",
                "request_id": "hex(randomblob(16))",
                "at": "one.at - n.i * 0.01",
            }
            copied(connection, "entries", changed, number)
        ledger = SqliteLedger(file)
        held.enter_context(entered(loop, ledger.lifespan()))

        async def at_once(ledger: SqliteLedger = ledger) -> None:
            await asyncio.gather(*(ledger_calls(ledger, 100) for _ in range(32)))

        yield f"rows {number}", timed(loop, at_once, 3200)


async def _in_ledger(file: Path, times: int) -> None:
    ledger = SqliteLedger(file)
    async with ledger.lifespan():
        await ledger_calls(ledger, times)


def recordings(loop: asyncio.Runner, held: ExitStack) -> Iterator[tuple[str, Case]]:
    """Yield recordings and replays in fuller and fuller stores."""
    recording = Recording(200, ((b"content-type", b"application/json"),), COMPLETION)

    async def record(store: SqliteRecordingStore, times: int) -> None:
        for _ in range(times):
            key = secrets.token_bytes(32)
            claim = await store.claim(key, b"f" * 32, 30.0)
            if not isinstance(claim, Claim):
                raise RuntimeError("a new key is taken")  # noqa: TRY004 - no error of types
            await store.commit(key, claim.token, recording, 86400.0)
            if not isinstance(await store.look(key), Done):
                raise RuntimeError("a recording is lost")  # noqa: TRY004 - no error of types

    for number in RECORDINGS:
        folder = held.enter_context(TemporaryDirectory(prefix="veneer-benchmark-"))
        file = Path(folder, "recordings.db")

        async def first(file: Path = file) -> None:
            store = SqliteRecordingStore(file)
            async with store.lifespan():
                await record(store, 1)

        loop.run(first())
        with sqlite3.connect(file) as connection:
            changed = {"serial": "one.serial + n.i", "key": "randomblob(32)"}
            copied(connection, "entries", changed, number)
            connection.execute(
                "UPDATE totals SET last = ?, size = size * ?", (number + 2, number + 1)
            )
        connection.close()
        store = SqliteRecordingStore(file)
        held.enter_context(entered(loop, store.lifespan()))
        yield f"recordings {number}", timed(loop, partial(record, store, CALLS), CALLS)


def _close(loop: asyncio.Runner, store: KeyStore) -> None:
    loop.run(store.aclose())


@contextmanager
def entered(loop: asyncio.Runner, context: AbstractAsyncContextManager[object]) -> Iterator[None]:
    """Hold a context open in a loop that runs now and then."""
    stack = AsyncExitStack()
    loop.run(stack.enter_async_context(context))
    try:
        yield
    finally:
        loop.run(stack.aclose())


def measure(*, rounds: int, rows_at_most: float) -> Result:
    """Measure them, one kind after the other, each in turns."""
    result = Result(name="growth", doc=__doc__, settings={"rounds": rounds, "calls": CALLS})
    makers: Mapping[str, Maker] = {
        "body": bodies,
        "policies": policies,
        "keys": keys,
        "partitions": partitions,
        "rows": partial(rows, most=int(rows_at_most)),
        "recordings": recordings,
    }
    for kind, maker in makers.items():
        with whole.runner() as loop, ExitStack() as held:
            cases = dict(maker(loop, held))
            alternate(cases, 1, watched=False)
            result.samples |= alternate(cases, rounds, watched=False)
        show(result, kind, list(cases))
    return result


def show(result: Result, kind: str, cases: list[str]) -> None:
    """Add the table, the picture and the bar of one kind."""
    sizes = [int(case.split()[1]) for case in cases]
    result.labels |= {case: f"{size:,}" for case, size in zip(cases, sizes, strict=True)}
    columns = [Column("cpu_us", "µs of CPU a call", ratio_to=cases[0])]
    result.tables.append(Table(TITLES[kind], cases, columns))
    line = [(float(max(1, size)), case) for size, case in zip(sizes, cases, strict=True)]
    result.plots.append(
        Plot(
            f"growth-{kind}",
            f"A call, by {TITLES[kind]}",
            "cpu_us",
            "µs of CPU",
            lines={"a call": line},
            along=TITLES[kind],
        )
    )
    took = [median(result.samples[case]["cpu_us"]) for case in cases]
    if kind in ("body", "policies"):
        before = (took[-2] - took[0]) / (sizes[-2] - sizes[0])
        after = (took[-1] - took[-2]) / (sizes[-1] - sizes[-2])
        text, value, most = (
            f"what the last {TITLES[kind]} add, times those before",
            after / before,
            1.5,
        )
    else:
        text = f"a call with {sizes[-1]:,} {TITLES[kind]}, times one with {sizes[0]:,}"
        value, most = took[-1] / took[0], 2
    result.bars.append(Bar(text, value, at_most=most))


if __name__ == "__main__":
    sys.exit(main(measure, rounds=3, rows_at_most=1_000_000))
