"""Processes killed while they serve calls over one ledger: `python -m tests.ledger.killing --help`.

At random moments one of several processes gets SIGKILL, and is started anew at once, while clients
call all of them without a pause, for streams and plain answers, with keys that may spend little and
keys that may spend much. A model server in a process of its own remembers what it was asked. What
has to be true of the ledger in the end is in `faults.py`.
"""

import argparse
import asyncio
import random
import re
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import AsyncExitStack, nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType

import msgspec

from tests.ledger.clients import Clients
from tests.ledger.evidence import Inspector
from tests.ledger.faults import Case, Sum, faults_of, sums_of
from tests.ledger.served import PATIENCE, Plan, Process, ledger_at
from tests.ledger.told import Told
from tests.stores.databases import postgresql_schema
from veneer.prices.money import DOLLAR, shown

# Dollars that the poorest key may spend for each kill that there is, and how many keys have a
# limit, twice as much each time: some are used up however fast the machine is, and some are not.
POOREST = DOLLAR // 40_000
LIMITED = 6
KEYS = tuple(f"sk-{number}" for number in range(LIMITED + 1))

# What less than this is left of holds hardly any call.
DEAREST = DOLLAR // 2_000

# Seconds between looks at what is open, and faults that are shown.
POLL = 0.1
SHOWN = 30

_NUMBERS = re.compile(r"[0-9]+")


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


class Report(msgspec.Struct):
    """What has happened. `statuses` are those that clients got: 0 for none, -1 for who has left.

    `whole` is how many of them got a whole answer, and `unsettled` how many of these whose process
    died before it could write down what it knew. `unsent` is how many rows cost something though
    the model server has not got the call, as their clients have left. `used_up` are keys and what
    they have spent; `sums` are what rows come to by their states. `mistaken` are processes that
    were taken for dead and were not; it makes what is said of limits doubtful. `said` is what
    servers have logged.
    """

    kills: int
    seconds: float
    calls: int
    served: int
    statuses: dict[int, int]
    whole: int
    unsettled: int
    unsent: int
    used_up: list[str]
    sums: dict[str, Sum]
    mistaken: list[int]
    said: dict[str, int]
    faults: list[str]

    def lines(self) -> Iterator[str]:
        """Yield what people read."""
        yield f"{self.kills} kills in {self.seconds:.1f} s"
        yield f"{self.calls} calls by clients, {self.served} at the model server: {self.statuses}"
        yield f"whole answers: {self.whole}, of these abandoned: {self.unsettled}"
        yield f"charged, and not at the model server: {self.unsent}"
        yield f"keys that are used up: {', '.join(self.used_up) or 'none'}"
        total = Sum()
        for kind, each in sorted(self.sums.items()):
            yield _line(kind, each)
            total.rows += each.rows
            total.ledger += each.ledger
            total.upstream += each.upstream
        yield _line("all", total)
        yield f"taken for dead and alive: {len(self.mistaken)}"
        yield from (f"said {count} times: {text}" for text, count in self.said.items())
        yield f"{len(self.faults)} faults"
        yield from self.faults[:SHOWN]


def _line(kind: str, each: Sum) -> str:
    ledger, upstream = (shown(amount, places=6) for amount in (each.ledger, each.upstream))
    return f"{kind}: {each.rows} rows, {ledger} dollars here, {upstream} at the model server"


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


def said_in(folder: Path) -> Counter[str]:
    """Return what servers have logged, by its words."""
    lines = (folder / "said").read_text().splitlines()
    return Counter(_NUMBERS.sub("#", line.partition(" ")[2].partition(" ")[2]) for line in lines)


def report(case: Case, seconds: float, said: Counter[str]) -> Report:
    """Return what is to be said of a case."""
    rows = case.evidence.rows
    used_up = [
        f"{each.key} ({shown(each.spent)} of {shown(limit)})"
        for each in sorted(case.evidence.accounts, key=lambda each: each.key)
        if (limit := case.limits[each.key]) is not None and limit - each.spent < DEAREST
    ]
    abandoned = {row.name for row in rows if row.state == "abandoned"}
    told = {each.name for each in case.told}
    whole = [each.name for each in case.calls if each.served]
    return Report(
        kills=len(case.killed),
        seconds=seconds,
        calls=len(case.calls),
        served=len(case.told),
        statuses=dict(Counter(each.status for each in case.calls).most_common()),
        whole=len(whole),
        unsettled=len(abandoned.intersection(whole)),
        unsent=sum(row.total > 0 and row.name not in told for row in rows),
        used_up=used_up,
        sums=sums_of(rows, case.told),
        mistaken=sorted(case.evidence.mistaken),
        said=dict(said.most_common(SHOWN)),
        faults=list(faults_of(case)),
    )


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
