"""Programs that share a ledger, and what runs and tells them what to do.

`python -m tests.ledger.programs NAME URL` runs one. They print lines of JSON, and what races begins
when it is sent a line.
"""

import asyncio
import json
import os
import random
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from subprocess import PIPE, Popen
from typing import Any

from tests.ledger.contract import COUNTED, TEAM, admits, comes_to, end, hold
from veneer.ledger._options import DEFAULT_LEASE
from veneer.ledger.entry import Account, Exhausted
from veneer.ledger.ledger import Ledger
from veneer.ledger.sqlite import SqliteLedger
from veneer.store_urls import sqlite_file

BUDGET = Account("budget", ("everybody",), 0, None, 10_000)
LEASE = 0.3


def ledger_at(url: str, *, timeout: float, lease: float = DEFAULT_LEASE) -> Ledger:
    """Return the ledger at a URL."""
    if url.startswith("sqlite:"):
        file = sqlite_file(url.removeprefix("sqlite://"))
        return SqliteLedger(file, timeout=timeout, lease=lease)
    # Not everybody has a driver.
    from veneer.ledger.postgresql import PostgresqlLedger  # noqa: PLC0415 - as above

    return PostgresqlLedger(url, timeout=timeout, lease=lease)


@contextmanager
def program(name: str, url: str) -> Iterator[Popen[bytes]]:
    """Run a program, and kill it at the end."""
    started = Popen(
        [sys.executable, "-m", "tests.ledger.programs", name, url],
        stdin=PIPE,
        stdout=PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    with started:
        try:
            yield started
        finally:
            started.kill()


def line(started: Popen[bytes]) -> Any:
    """Return what a program says next."""
    assert started.stdout is not None
    return json.loads(started.stdout.readline())


def go(started: Popen[bytes]) -> None:
    """Have a program begin."""
    assert started.stdin is not None
    started.stdin.write(b"\n")
    started.stdin.flush()


def say(value: object) -> None:
    """Print what the test reads."""
    print(json.dumps(value), flush=True)  # noqa: T201 - the program's answer


async def spend(url: str) -> None:
    """Spend one budget in 50 tasks until it is used up; never more than was held."""
    ledger = ledger_at(url, timeout=60.0)
    spent = 0

    async def task() -> None:
        nonlocal spent
        refusals = 0
        while refusals < 3:
            amount = random.randint(1, 200)  # noqa: S311 - any amount will do
            held = hold(amount, BUDGET, COUNTED, call=os.urandom(8).hex())
            refused = await ledger.hold(held)
            if isinstance(refused, Exhausted):
                if refused.spent + refused.held > 10_000 or refused.account != BUDGET:
                    raise RuntimeError(f"{refused}")
                refusals += 1
                continue
            await asyncio.sleep(random.uniform(0, 0.003))  # noqa: S311 - as above
            total = random.randint(amount // 2, amount)  # noqa: S311 - as above
            spent += total
            await ledger.settle(end(held, total))

    async with ledger.lifespan():
        await ledger.balances([BUDGET])
        say("ready")
        sys.stdin.readline()
        await asyncio.gather(*(task() for _ in range(50)))
    say(spent)


async def stay(url: str) -> None:
    """Hold something, settle some of it, and do nothing more."""
    ledger = ledger_at(url, lease=LEASE, timeout=20.0)
    async with ledger.lifespan():
        done = hold(5, TEAM, call="done")
        await ledger.hold(done)
        await ledger.hold(hold(7, TEAM, COUNTED, call="left"))
        await ledger.settle(end(done, 3))
        await comes_to(ledger, TEAM, (3, 7))
        say("held")
        await asyncio.sleep(60)


async def work(url: str) -> None:
    """Hold and settle as much as can be, until killed; say what is settled before it is."""
    ledger = ledger_at(url, lease=LEASE, timeout=20.0)

    async def task() -> None:
        while True:
            held = hold(10, COUNTED, call=os.urandom(8).hex())
            await ledger.hold(held)
            await ledger.settle(end(held, 3))

    async with ledger.lifespan():
        await ledger.balances([COUNTED])
        say("working")
        await asyncio.gather(*(task() for _ in range(8)))


def fork(url: str) -> None:
    """Use a ledger before a fork, and after it on both sides."""
    signal.alarm(20)
    ledger = ledger_at(url, timeout=10.0)

    async def call(name: str) -> None:
        held = hold(1, COUNTED, call=name)
        if not await admits(ledger, held):
            raise RuntimeError("there is no limit")
        async with ledger.lifespan():
            await ledger.settle(end(held, 1))

    async def begin() -> None:
        await ledger.hold(hold(10, COUNTED, call="open"))

    asyncio.run(begin())
    child = os.fork()
    if not child:
        asyncio.run(call("child"))
        os._exit(0)
    _, status = os.waitpid(child, 0)
    asyncio.run(call("parent"))
    say(os.waitstatus_to_exitcode(status))


def main(name: str, url: str) -> None:
    """Run one of the programs."""
    if name == "fork":
        fork(url)
    else:
        asyncio.run({"spend": spend, "stay": stay, "work": work}[name](url))


if __name__ == "__main__":
    main(*sys.argv[1:])
