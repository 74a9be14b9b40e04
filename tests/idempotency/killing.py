"""Workers killed and stopped while they run calls: `python -m tests.idempotency.killing --help`.

At a random moment of two calls, a stream and a plain one, the process that runs them gets SIGKILL
or SIGSTOP; other clients ask for the same before, meanwhile and afterwards, of that process and of
another one that shares the store. What has to be true of all that they get is in `faults.py`.
"""

import argparse
import asyncio
import random
import signal
import sqlite3
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, closing
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
from redis.asyncio import Redis

from tests.answers import Answer
from tests.cli.programs import Program
from tests.idempotency.faults import UNAVAILABLE, Clients, Moment, faults_of
from tests.idempotency.served import PATIENCE, TAKES, Asked, CountingUpstream, ask, server
from tests.limiters.redises import own_server

# Seconds from the call on in which moments are: all of it, and a little more.
SPAN = TAKES + 0.15

# Seconds after which clients try again that were told that the store cannot be used, and after
# which, with the lease, we believe that a stopped process has the file of recordings locked.
AGAIN = 0.25
LOCKED = 5.0


class Report(msgspec.Struct):
    """What has happened. `slowest` is the longest that a retry took, in seconds.

    `away` is for how many calls the store could not be used, which makes all else doubtful: the
    lock of an SQLite file is a process's, and nobody can take it from one that is stopped.
    `hit` counts what clients of processes that were hit have got, `retries` the statuses of
    retries, `upstream` how often calls reached the model server.
    """

    calls: int = 0
    slowest: float = 0.0
    away: int = 0
    hit: Counter[str] = msgspec.field(default_factory=Counter)
    retries: Counter[int] = msgspec.field(default_factory=Counter)
    upstream: Counter[int] = msgspec.field(default_factory=Counter)
    faults: list[str] = msgspec.field(default_factory=list)


def moments(chance: random.Random, kills: int, stops: int, lease: float) -> list[Moment]:
    """Return so many moments, in any order."""
    found = [Moment(signal.SIGKILL, chance.uniform(0, SPAN)) for _ in range(kills)]
    for index in range(stops):
        rest = chance.uniform(0, 2 * lease) if index % 2 else None
        found.append(Moment(signal.SIGSTOP, chance.uniform(0, SPAN), rest))
    chance.shuffle(found)
    return found


class Ground:
    """The processes: one that nothing happens to, and one for each lane to be hit."""

    def __init__(self, folder: Path, upstream: CountingUpstream, store: str, lease: float) -> None:
        self._folder = folder
        self._upstream = upstream
        self._store = store
        self._lease = lease
        self._started = 0
        self.report = Report()

    @asynccontextmanager
    async def server(self) -> AsyncIterator[Program]:
        """Run one more process."""
        self._started += 1
        folder = self._folder / str(self._started)
        async with server(folder, self._upstream.url, self._store, lease=self._lease) as running:
            # What is done at the first call only is not to take the time of a call.
            await self._ask(running, Asked.new(stream=True))
            yield running

    async def lane(self, todo: Iterator[Moment], other: Program) -> None:
        """Hit one process after the other, until there is nothing more to do."""
        async with AsyncExitStack() as servers:
            victim = await servers.enter_async_context(self.server())
            for moment in todo:
                found = [
                    Clients(Asked.new(stream=stream), [], [], [], []) for stream in (True, False)
                ]
                calls = [asyncio.create_task(self._call(c, moment, victim, other)) for c in found]
                await asyncio.sleep(moment.at)
                victim.process.send_signal(moment.number)
                if moment.number == signal.SIGKILL:
                    await servers.aclose()
                    victim = await servers.enter_async_context(self.server())
                elif moment.rest is not None:
                    await asyncio.sleep(moment.rest)
                    victim.process.send_signal(signal.SIGCONT)
                await asyncio.gather(*calls)
                for clients in found:
                    for running in (other, victim):
                        clients.later.append(await self._ask(running, clients.asked))
                    self._judge(clients, moment)

    async def _ask(self, running: Program, asked: Asked) -> Answer:
        return await ask(running.port, asked, within=PATIENCE + 2 * self._lease)

    async def _call(
        self, clients: Clients, moment: Moment, victim: Program, other: Program
    ) -> None:
        """Be all clients of a call; continue what was stopped once another has answered."""
        asked = clients.asked
        loop = asyncio.get_running_loop()
        hit = [loop.create_task(self._ask(victim, asked))]
        await asyncio.sleep(moment.at / 2)
        hit.append(loop.create_task(self._ask(victim, asked)))
        beside = loop.create_task(self._ask(other, asked))
        await asyncio.sleep(moment.at / 2)
        if moment.number == signal.SIGSTOP:
            hit.append(loop.create_task(self._ask(victim, asked)))
        clients.retries = await self._retry(other, asked, self._lease + LOCKED)
        if moment.number == signal.SIGSTOP and moment.rest is None:
            victim.process.send_signal(signal.SIGCONT)
        if clients.retries[-1].status == UNAVAILABLE:
            clients.retries += await self._retry(other, asked, PATIENCE)
        clients.hit = list(await asyncio.gather(*hit))
        clients.beside = [await beside]

    async def _retry(self, other: Program, asked: Asked, seconds: float) -> list[Answer]:
        """Ask until the store can be used, or time is up."""
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        answers: list[Answer] = []
        while not answers or (answers[-1].status == UNAVAILABLE and loop.time() < end):
            if answers:
                await asyncio.sleep(AGAIN)
            answers.append(await self._ask(other, asked))
            self.report.slowest = max(self.report.slowest, answers[-1].seconds)
        return answers

    def _judge(self, clients: Clients, moment: Moment) -> None:
        report, reached = self.report, self._upstream.calls[clients.asked.prompt]
        report.calls += 1
        report.upstream[reached] += 1
        report.retries.update(answer.status for answer in clients.retries)
        report.hit.update(
            f"{moment.number.name}: {answer.status}, {'whole' if answer.whole else 'cut'}"
            for answer in clients.hit
        )
        report.faults += (
            f"{fault} ({moment}, {clients.asked})" for fault in faults_of(clients, moment, reached)
        )
        report.away += any(answer.status == UNAVAILABLE for answer in clients.retries)


async def run(
    folder: Path, todo: Iterable[Moment], store: str, *, lease: float, lanes: int
) -> Report:
    """Hit processes at these moments, as many at once as there are lanes; return what was seen."""
    async with AsyncExitStack() as held:
        if store == "redis":
            redis = await held.enter_async_context(own_server(folder))
            url = redis.url
        else:
            url = f"sqlite:///{folder}/recordings.db"
        upstream = await held.enter_async_context(CountingUpstream())
        ground = Ground(folder, upstream, url, lease)
        other = await held.enter_async_context(ground.server())
        rest = iter(list(todo))
        async with asyncio.TaskGroup() as group:
            for _ in range(lanes):
                group.create_task(ground.lane(rest, other))
        kept = await recordings(url, folder)
        if kept != len(upstream.calls):
            ground.report.faults.append(f"{kept} recordings of {len(upstream.calls)} calls")
        return ground.report


async def recordings(url: str, folder: Path) -> int:
    """Return how many answers a store holds."""
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(folder / "recordings.db")) as connection:
            (count,) = connection.execute("SELECT count(status) FROM entries").fetchone()
            return int(count)
    async with Redis.from_url(url) as client:
        entries = [key async for key in client.scan_iter(_type="HASH")]
        return sum([await client.hexists(key, "answer") for key in entries])


def main() -> int:
    """Do what the command line says, and print what was seen."""
    parser = argparse.ArgumentParser(description="Kill and stop workers that run calls.")
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--stops", type=int, default=50)
    parser.add_argument("--store", choices=["sqlite", "redis"], default="sqlite")
    parser.add_argument("--lease", type=float, default=2.0, help="seconds")
    parser.add_argument("--lanes", type=int, default=2, help="processes that are hit at once")
    parser.add_argument("--seed", type=int, default=random.randrange(1000))  # noqa: S311 - moments
    given = parser.parse_args()
    chance = random.Random(given.seed)  # noqa: S311 - moments
    todo = moments(chance, given.kills, given.stops, given.lease)
    with TemporaryDirectory() as folder:
        report = asyncio.run(
            run(Path(folder), todo, given.store, lease=given.lease, lanes=given.lanes)
        )
    seen = msgspec.structs.asdict(report)
    faults = seen.pop("faults")
    lines = [f"{name}: {value}" for name, value in seen.items()]
    print(f"seed {given.seed}", *lines, f"{len(faults)} faults", *faults, sep="\n")  # noqa: T201 - its answer
    return 1 if report.faults else 0


if __name__ == "__main__":
    sys.exit(main())
