"""Programs that share a spool and a ledger's file.

`python -m tests.ledger.spool_programs NAME LEDGER SPOOL` runs one; the ledger is a file, or the URL
of a PostgreSQL server. They print lines of JSON, and
what races begins when it is sent a line.
"""

import asyncio
import json
import os
import sys
from pathlib import Path

from tests.ledger.contract import COUNTED, end, hold
from veneer.layers._till import Held, Till
from veneer.ledger.postgresql import PostgresqlLedger
from veneer.ledger.sqlite import SqliteLedger

TASKS = 20


def say(value: object) -> None:
    """Print what the test reads."""
    print(json.dumps(value), flush=True)  # noqa: T201 - the program's answer


def till(ledger: str, spool: str, *, timeout: float) -> Till:
    """Return a till that makes calls all the same."""
    kind = PostgresqlLedger if "://" in ledger else SqliteLedger
    return Till(kind(ledger, timeout=timeout), on_failure="open", spool=spool)


async def call(till: Till) -> Held:
    """Make a call that costs 3."""
    held = await till.hold(hold(10, COUNTED, call=os.urandom(8).hex()))
    if not isinstance(held, Held):
        raise TypeError(f"{held}")
    settling = till.settle(held, end(held.hold, 3))
    if settling is not None:
        await settling
    return held


async def outside(ledger: str, spool: str) -> None:
    """Make calls while the ledger is away, say which, and do nothing more."""
    ours = till(ledger, spool, timeout=0.1)
    async with ours.lifespan():
        made = await asyncio.gather(*(call(ours) for _ in range(TASKS)))
        say([held.hold.call for held in made if not held.written])
        await asyncio.sleep(60)


async def take(ledger: str, spool: str) -> None:
    """Take over what is there, and end when nothing is left."""
    ours = till(ledger, spool, timeout=20.0)
    say("ready")
    sys.stdin.readline()
    async with ours.lifespan(), asyncio.timeout(20):
        while any(file.stat().st_size for file in Path(spool).glob("*.spool")):  # noqa: ASYNC110, ASYNC240 - a file tells nobody
            await asyncio.sleep(0.005)
    say("done")


async def work(ledger: str, spool: str) -> None:
    """Make calls until killed, and say of each that is outside the ledger when it is settled."""
    ours = till(ledger, spool, timeout=0.02)

    async def task() -> None:
        while True:
            held = await call(ours)
            if not held.written:
                say(held.hold.call)

    async with ours.lifespan():
        say("working")
        await asyncio.gather(*(task() for _ in range(4)))


def main(name: str, ledger: str, spool: str) -> None:
    """Run one of the programs."""
    asyncio.run({"outside": outside, "take": take, "work": work}[name](ledger, spool))


if __name__ == "__main__":
    main(*sys.argv[1:])
