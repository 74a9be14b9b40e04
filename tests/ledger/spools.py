"""What stands around a spool in its tests: a model of a ledger, processes that can be killed."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from functools import partial
from pathlib import Path

from tests.ledger.contract import TEAM, end, hold
from veneer.ledger._spool_file import SpoolFile, create
from veneer.ledger._spool_intake import Intake
from veneer.ledger._spool_replay import Replay
from veneer.ledger._spool_thread import Clerk
from veneer.ledger.entry import Account, Balance, Entry, Exhausted, Hold, Settlement
from veneer.ledger.ledger import LedgerUnavailableError, Watcher

# Bytes that are enough.
SIZE = 2**20


def settlement(number: int, total: int = 3) -> Settlement:
    """Return what a call came to, with its hold."""
    held = hold(10, TEAM, call=f"call-{number}")
    return end(held, total, hold=held)


def never() -> bool:
    """Say no."""
    return False


class Model:
    """A ledger that writes its queue when it is asked something, unless it is `away`.

    `fails` is asked before each answer. `rows` are in the order in which they were closed, `given`
    has all that was ever settled.
    """

    def __init__(self, fails: Callable[[], bool] = never) -> None:
        self.fails = fails
        self.away = False
        self.full = False
        self.held: dict[str, Hold] = {}
        self.rows: dict[str, Settlement] = {}
        self.given: list[str] = []
        self._queue: list[Settlement] = []

    async def hold(self, hold: Hold, /) -> tuple[Balance, ...] | Exhausted:
        """Hold."""
        self._answer()
        self.held[hold.call] = hold
        return ()

    async def settle(self, settlement: Settlement, /) -> None:
        """Queue, and wait for room."""
        assert settlement.hold is not None or settlement.call in self.held
        self.given.append(settlement.call)
        self._queue.append(settlement)
        if self.full:
            await asyncio.Event().wait()

    async def find(self, call: str, /) -> Entry | None:
        """Find."""
        self._answer()
        found = self.rows.get(call)
        held = self.held.get(call)
        return None if held is None else Entry(held, found)

    async def balances(self, accounts: Sequence[Account], /) -> list[Balance]:
        """Tell."""
        raise NotImplementedError

    def watch(self, watcher: Watcher, /) -> None:
        """Watch nothing."""

    @asynccontextmanager
    async def _lifespan(self) -> AsyncIterator[None]:
        yield

    def lifespan(self) -> AbstractAsyncContextManager[object]:
        """Have none."""
        return self._lifespan()

    def abandon(self, call: str) -> None:
        """Close a row as its lease does."""
        self.rows[call] = Settlement(call=call, state="abandoned", at=1.0)

    def _answer(self) -> None:
        if self.away:
            raise LedgerUnavailableError("it is away")
        queue, self._queue = self._queue, []
        for each in queue:
            if each.hold is not None:
                self.held.setdefault(each.call, each.hold)
            before = self.rows.get(each.call)
            if before is None or before.state == "abandoned":
                self.rows[each.call] = each
        if self.fails():
            raise LedgerUnavailableError("it fails")


class Process:
    """What a process has of a spool, which can be taken from it as by a SIGKILL."""

    def __init__(self, ledger: Model, folder: Path, own: SpoolFile, clerk: Clerk) -> None:
        self.own = own
        self.clerk = clerk
        self.replay = Replay(ledger, clerk, folder, own)
        self.intake = Intake(ledger, clerk, own, max_bytes=SIZE, news=self.replay.tell)
        self.task = asyncio.get_running_loop().create_task(self.replay.run())

    @classmethod
    async def start(cls, ledger: Model, folder: Path) -> "Process":
        """Begin."""
        clerk = Clerk()
        return cls(ledger, folder, await clerk.do(partial(create, folder)), clerk)

    async def append(self, *settlements: Settlement) -> None:
        """Append."""
        for each in settlements:
            await self.intake.append(each)

    async def is_done(self) -> None:
        """Wait until everything is in the ledger."""
        # It may have been away for long.
        self.replay.tell(back=True)
        await until(lambda: not self.replay.waiting and not self.replay.taken)

    async def kill(self) -> None:
        """End at once; what a thread has begun ends, too."""
        self.task.cancel()
        with suppress(asyncio.CancelledError):
            await self.task
        await self.clerk.do(lambda: None)
        for file in (self.own, *self.replay.taken):
            if file._descriptor >= 0:
                os.close(file._descriptor)
        self.clerk.stop()


async def until(holds: Callable[[], bool]) -> None:
    """Wait until something is so."""
    async with asyncio.timeout(10):
        while not holds():  # noqa: ASYNC110 - a file tells nobody
            await asyncio.sleep(0.002)


def lines(folder: Path) -> list[bytes]:
    """Return what stands in the files of a folder."""
    found = []
    for path in sorted(folder.glob("*.spool")):
        # Whoever has replayed one removes it, perhaps just now.
        with contextlib.suppress(FileNotFoundError):
            found.append(path.read_bytes())
    return found


def some(*numbers: int) -> list[Settlement]:
    """Return what some calls came to."""
    return [settlement(number) for number in numbers]


def names(*numbers: int) -> list[str]:
    """Return the ids of calls."""
    return [f"call-{number}" for number in numbers]


def inside(folder: Path) -> list[Path]:
    """Return what is in a folder."""
    return sorted(folder.iterdir())


def failing(*_arguments: object) -> int:
    """Be a disk that is full."""
    raise OSError(28, "No space left on device")
