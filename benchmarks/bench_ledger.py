"""What a row of the ledger takes: a hold before the call, a settlement after it.

In one process, without a server: the CPU time, of all threads, of `hold` and `settle` on three
budgets, with 32 calls at a time, each as the layer makes it, and the time that a call waits for its
hold. What takes no ledger (ids, the records of hold and settlement) is measured and taken off. The
file is on this machine's disk, as is PostgreSQL, whose own CPU time is not counted; the cases take
turns.
"""

import asyncio
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter, process_time, time

import psycopg
from rig.results import Bar, Column, Result, alternate, main

from veneer.facts import Usage
from veneer.ledger.entry import Account, Balance, Exhausted, Hold, Settlement
from veneer.ledger.ledger import Ledger
from veneer.ledger.memory import MemoryLedger
from veneer.ledger.postgresql import PostgresqlLedger
from veneer.ledger.sqlite import SqliteLedger
from veneer.wire.ids import request_id

SERVER = os.environ.get("VENEER_TEST_POSTGRESQL", "postgresql://postgres@127.0.0.1:5432/test")

AT_ONCE = 32
CALLS = 6400
TRIES = 3

# Never reached: what is measured is a call that is admitted.
LIMIT = 10**18
ACCOUNTS = (
    Account("team", ("team", "research"), 0, None, LIMIT),
    Account("key", ("key", "key_0123456789"), 0, 86400, LIMIT),
    Account("model", ("model", "gpt-4o-mini"), 0, 3600, LIMIT),
)
USAGE = Usage(input_tokens=123, output_tokens=456, total_tokens=579, cached_input_tokens=100)
PARTS = {"input": 3_450_000, "cached_input": 7_500_000, "output": 273_600_000}

LABELS = {
    "memory": "in memory",
    "sqlite": "in an SQLite file",
    "postgresql": "in PostgreSQL",
}


class Nothing:
    """Keeps nothing: what a call takes without a ledger."""

    async def hold(self, _: Hold, /) -> tuple[Balance, ...]:
        """Admit everything, in the next turn of the loop, as whoever writes would."""
        await asyncio.sleep(0)
        return ()

    async def settle(self, _: Settlement, /) -> None:
        """Do nothing."""


async def calls(ledger: Ledger | Nothing, times: int) -> list[float]:
    """Make calls one after the other; return how long each waited for its hold, in seconds."""
    waited = []
    for _ in range(times):
        call = request_id()
        hold = Hold(
            call=call,
            amount=1_000_000_000,
            accounts=ACCOUNTS,
            at=time(),
            request_id=call,
            key="key_0123456789",
            team="research",
            user="somebody",
            operation="chat.completions",
            model="gpt-4o-mini",
        )
        began = perf_counter()
        if isinstance(await ledger.hold(hold), Exhausted):
            raise SystemExit("a budget is exhausted that cannot be")
        waited.append(perf_counter() - began)
        await ledger.settle(
            Settlement(
                call=call,
                state="completed",
                at=time(),
                usage=USAGE,
                parts=PARTS,
                total=284_550_000,
                price_version="2026-11-01",
                priced_model="gpt-4o-mini",
                answered_model="gpt-4o-mini-2024-07-18",
                target="openai",
                status=200,
                latency=0.9,
                first_event=0.2,
            )
        )
    return waited


async def run(ledger: Ledger | Nothing) -> tuple[float, list[float]]:
    """Make all calls, so many at a time; return the CPU time of each, and what they waited."""
    each = CALLS // AT_ONCE
    if not isinstance(ledger, Nothing):
        async with ledger.lifespan():
            await calls(ledger, AT_ONCE)
            worked = process_time()
            waited = await asyncio.gather(*(calls(ledger, each) for _ in range(AT_ONCE)))
        # All is in by now, and the file is closed.
    else:
        worked = process_time()
        waited = await asyncio.gather(*(calls(ledger, each) for _ in range(AT_ONCE)))
    return (process_time() - worked) / CALLS, [wait for waits in waited for wait in waits]


@contextmanager
def schema() -> Iterator[str]:
    """Give the URL of an empty schema, and remove that afterwards."""
    name = f"veneer_benchmark_{os.getpid()}"
    with psycopg.connect(SERVER, autocommit=True) as connection:
        connection.execute(f"CREATE SCHEMA {name}".encode())
        try:
            yield f"{SERVER}?options=-csearch_path%3D{name}"
        finally:
            connection.execute(f"DROP SCHEMA {name} CASCADE".encode())


def opened(kind: str, held: ExitStack) -> Ledger:
    """Return an empty ledger of a kind, which is gone when the stack is left."""
    if kind == "memory":
        return MemoryLedger()
    if kind == "postgresql":
        return PostgresqlLedger(held.enter_context(schema()))
    return SqliteLedger(Path(held.enter_context(TemporaryDirectory()), "ledger.db"))


def has_server() -> bool:
    """Whether there is a PostgreSQL server."""
    try:
        psycopg.connect(SERVER, connect_timeout=3).close()
    except psycopg.OperationalError:
        return False
    return True


def best(runner: asyncio.Runner, kind: str) -> Mapping[str, float]:
    """Return the least of several tries, for whatever else happens only adds to it."""
    found = []
    for _ in range(TRIES):
        with ExitStack() as held:
            base, _ = runner.run(run(Nothing()))
            cpu, waited = runner.run(run(opened(kind, held)))
            found.append((cpu - base, median(waited), sorted(waited)[len(waited) * 99 // 100]))
    return {
        "cpu_us": min(cpu for cpu, _, _ in found) * 1e6,
        "p50_ms": min(half for _, half, _ in found) * 1e3,
        "p99_ms": min(most for _, _, most in found) * 1e3,
    }


def measure(*, rounds: int) -> Result:
    """Measure; each sample is what the ledger adds to a call."""
    loop = import_module("uvloop").new_event_loop if find_spec("uvloop") else None
    result = Result(
        name="ledger",
        doc=__doc__,
        columns=[
            Column("cpu_us", "µs of CPU a call"),
            Column("p50_ms", "hold, p50 ms", digits=2),
            Column("p99_ms", "hold, p99 ms", digits=2),
        ],
        labels=dict(LABELS),
        settings={
            "rounds": rounds,
            "calls": CALLS,
            "at_once": AT_ONCE,
            "cores": os.cpu_count() or 1,
        },
    )
    with asyncio.Runner(loop_factory=loop) as runner:
        cases = {kind: partial(best, runner, kind) for kind in LABELS}
        if not has_server():
            result.skipped.append("postgresql")
            del cases["postgresql"]
        alternate(cases, 1, watched=False)
        result.samples = alternate(cases, rounds, watched=False)
    result.bars = [
        Bar(
            "hold and settle in an SQLite file, 32 calls at a time",
            median(result.samples["sqlite"]["cpu_us"]),
            at_most=25,
            unit=" µs",
            digits=1,
        )
    ]
    return result


if __name__ == "__main__":
    sys.exit(main(measure, rounds=9))
