"""Programs that share a ledger's file.

`python -m tests.ledger.sqlite_programs NAME PATH` runs one. They print lines of JSON, and what
races begins when it is sent a line.
"""

import asyncio
import json
import os
import random
import signal
import sys

from tests.ledger.contract import COUNTED, TEAM, admits, comes_to, end, hold
from veneer.ledger.entry import Account, Exhausted
from veneer.ledger.sqlite import SqliteLedger

BUDGET = Account("budget", ("everybody",), 0, None, 10_000)
LEASE = 0.3


def say(value: object) -> None:
    """Print what the test reads."""
    print(json.dumps(value), flush=True)  # noqa: T201 - the program's answer


async def spend(path: str) -> None:
    """Spend one budget in 50 tasks until it is used up; never more than was held."""
    ledger = SqliteLedger(path, timeout=60.0)
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


async def stay(path: str) -> None:
    """Hold something, settle some of it, and do nothing more."""
    ledger = SqliteLedger(path, lease=LEASE, timeout=20.0)
    async with ledger.lifespan():
        done = hold(5, TEAM, call="done")
        await ledger.hold(done)
        await ledger.hold(hold(7, TEAM, COUNTED, call="left"))
        await ledger.settle(end(done, 3))
        await comes_to(ledger, TEAM, (3, 7))
        say("held")
        await asyncio.sleep(60)


async def work(path: str) -> None:
    """Hold and settle as much as can be, until killed; say what is settled before it is."""
    ledger = SqliteLedger(path, lease=LEASE, timeout=20.0)

    async def task() -> None:
        while True:
            held = hold(10, COUNTED, call=os.urandom(8).hex())
            await ledger.hold(held)
            await ledger.settle(end(held, 3))

    async with ledger.lifespan():
        await ledger.balances([COUNTED])
        say("working")
        await asyncio.gather(*(task() for _ in range(8)))


def fork(path: str) -> None:
    """Use a ledger before a fork, and after it on both sides."""
    signal.alarm(20)
    ledger = SqliteLedger(path, timeout=10.0)

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


def main(name: str, path: str) -> None:
    """Run one of the programs."""
    if name == "fork":
        fork(path)
    else:
        asyncio.run({"spend": spend, "stay": stay, "work": work}[name](path))


if __name__ == "__main__":
    main(*sys.argv[1:])
