"""Processes killed while they serve calls over one ledger: `python -m tests.ledger.killing --help`.

At random moments one of several processes gets SIGKILL, and is started anew at once, while clients
call all of them without a pause, for streams and plain answers, with keys that may spend little and
keys that may spend much. A model server in a process of its own remembers what it was asked. What
has to be true of the ledger in the end is in `faults.py`.
"""

import argparse
import asyncio
import random
import sys
import time
from collections.abc import Mapping
from contextlib import AsyncExitStack, nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType

import msgspec

from tests.ledger.clients import Clients
from tests.ledger.evidence import Inspector
from tests.ledger.faults import Case
from tests.ledger.report import Report, report, said_in
from tests.ledger.served import PATIENCE, Plan, Process, ledger_at
from tests.ledger.told import Told
from tests.stores.databases import postgresql_schema
from veneer.prices.money import DOLLAR, shown

# Dollars that the poorest key may spend for each kill that there is, and how many keys have a
# limit, twice as much each time: some are used up however fast the machine is, and some are not.
POOREST = DOLLAR // 40_000
LIMITED = 6
KEYS = tuple(f"sk-{number}" for number in range(LIMITED + 1))

# Seconds between looks at what is open.
POLL = 0.1


class Load(msgspec.Struct, frozen=True):
    """How much is killed and called.

    `rate` is kills a second; `lease` is in seconds.
    """

    kills: int
    rate: float = 4.0
    servers: int = 3
    clients: int = 16
    lease: float = 2.0
    charge_abandoned: bool = False


def limits_of(kills: int) -> Mapping[str, int | None]:
    """Return what each key may spend, in picodollars; None for all that it likes."""
    limited = {key: (POOREST << number) * kills for number, key in enumerate(KEYS[:-1])}
    return MappingProxyType({**limited, KEYS[-1]: None})


class Ground:
    """The processes, and who kills them."""

    def __init__(self, plan: Plan, load: Load, chance: random.Random) -> None:
        self._load = load
        self._chance = chance
        self._servers = [Process(plan) for _ in range(load.servers)]
        self.killed: list[int] = []

    @property
    def ports(self) -> list[int]:
        """Where processes serve."""
        return [each.port for each in self._servers]

    def start(self) -> None:
        """Start all of them."""
        for each in self._servers:
            each.start()

    def stop(self) -> None:
        """Stop all of them."""
        for each in self._servers:
            each.stop()

    async def kill(self) -> None:
        """Kill one after the other, and start each anew."""
        while len(self.killed) < self._load.kills:
            await asyncio.sleep(self._chance.expovariate(self._load.rate))
            hit = self._chance.choice(self._servers)
            self.killed.append(await asyncio.to_thread(hit.kill))
            await asyncio.to_thread(hit.start)


async def run(folder: Path, ledger: str, load: Load, seed: int) -> Report:
    """Kill processes under load; return what was seen."""
    chance = random.Random(seed)  # noqa: S311 - moments
    limits = limits_of(load.kills)
    inspector = Inspector(ledger)
    made = ledger_at(ledger, lease=load.lease)
    async with made.lifespan():
        await made.balances([])
    inspector.watch()
    began = time.monotonic()
    async with AsyncExitStack() as held:
        upstream = Process(seed=seed)
        held.callback(upstream.stop)
        upstream.start()
        plan = Plan(
            ledger=ledger,
            upstream=f"http://127.0.0.1:{upstream.port}/v1",
            limits={
                key: "unlimited" if limit is None else shown(limit) for key, limit in limits.items()
            },
            lease=load.lease,
            folder=str(folder),
            charge_abandoned=load.charge_abandoned,
        )
        ground = Ground(plan, load, chance)
        held.callback(ground.stop)
        ground.start()
        clients = Clients(chance, ground.ports, KEYS)
        async with asyncio.TaskGroup() as group:
            for _ in range(load.clients):
                group.create_task(clients.run())
            await ground.kill()
            clients.end()
        seconds = time.monotonic() - began
        await _closed(inspector, load.lease)
        await asyncio.to_thread(ground.stop)
        told = await upstream_log(upstream.port)
    case = Case(
        evidence=inspector.evidence(),
        told=told,
        calls=clients.calls,
        killed=ground.killed,
        limits=limits,
        charge_abandoned=load.charge_abandoned,
    )
    return report(case, seconds, said_in(folder))


async def _closed(inspector: Inspector, lease: float) -> None:
    """Wait until nothing is open, as long as that may take; what is open then is a fault."""
    end = time.monotonic() + PATIENCE + 10 * lease
    while inspector.open() and time.monotonic() < end:  # noqa: ASYNC110 - a database's rows
        await asyncio.sleep(POLL)


async def upstream_log(port: int) -> list[Told]:
    """Ask a model server for all that it was told."""
    async with asyncio.timeout(PATIENCE):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /calls HTTP/1.1\r\nhost: x\r\n\r\n")
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        body = await reader.readexactly(length)
        writer.close()
    return msgspec.json.decode(body, type=list[Told])


def main() -> int:
    """Do what the command line says, and print what was seen."""
    parser = argparse.ArgumentParser(description="Kill processes that write into a ledger.")
    parser.add_argument("--kills", type=int, default=500)
    parser.add_argument("--store", choices=["sqlite", "postgresql"], default="sqlite")
    parser.add_argument("--seed", type=int, default=random.randrange(1000))  # noqa: S311 - moments
    parser.add_argument("--rate", type=float, default=4.0, help="kills a second")
    parser.add_argument("--lease", type=float, default=2.0, help="seconds")
    parser.add_argument("--servers", type=int, default=3, help="processes at a time")
    parser.add_argument("--clients", type=int, default=16, help="calls at a time")
    parser.add_argument("--charge-abandoned", action="store_true")
    given = vars(parser.parse_args())
    store, seed = given.pop("store"), given.pop("seed")
    with TemporaryDirectory() as name:
        schema = nullcontext(f"sqlite:///{name}/ledger.db")
        with schema if store == "sqlite" else postgresql_schema() as ledger:
            found = asyncio.run(run(Path(name), ledger, Load(**given), seed))
    print(f"seed {seed}", *found.lines(), sep="\n")  # noqa: T201 - its answer
    return 1 if found.faults else 0


if __name__ == "__main__":
    sys.exit(main())
