"""What waits in files goes into the ledger, in its order, as soon as that is there."""

import asyncio
import logging
from contextlib import suppress
from functools import partial
from pathlib import Path

import msgspec

from veneer.ledger._spool_file import Chunk, SpoolFile, take_over
from veneer.ledger._spool_thread import Clerk
from veneer.ledger.entry import Settlement
from veneer.ledger.ledger import Ledger, LedgerUnavailableError

logger = logging.getLogger("veneer.ledger")

# Seconds until the ledger is asked again that was away: the first time, then twice as long each
# time, up to the last. And those after which what dead processes have left is looked for.
FIRST_PAUSE = 0.1
LONGEST_PAUSE = 5.0
LOOK = 10.0

# Seconds that a settlement waits for room in the ledger's queue, and until it is in.
PATIENCE = 1.0
CONFIRMED = 10.0

# Seconds between two looks whether it is in: the first, and the longest.
_FIRST_GLANCE = 0.001
_LONGEST_GLANCE = 0.25


class Replay:
    """Settles what stands in `own`, and before it what dead processes have left in `folder`.

    A file does without what the ledger has shown to be in, and not before: what was settled twice
    for that, as a process was killed between the two, is one row. What cannot be read is put aside.
    """

    def __init__(self, ledger: Ledger, clerk: Clerk, folder: Path, own: SpoolFile) -> None:
        self._ledger = ledger
        self._clerk = clerk
        self._folder = folder
        self._own = own
        self._known = {own.path}
        self._look_at = 0.0
        self._pause = 0.0
        self._complaint = ""
        self._finishing = False
        self._news = asyncio.Event()
        self.taken: list[SpoolFile] = []

    @property
    def waiting(self) -> int:
        """How many settlements wait."""
        return self._own.waiting + sum(file.waiting for file in self.taken)

    def tell(self, *, back: bool = False) -> None:
        """Say that something waits; `back`: that the ledger is back."""
        if back:
            self._pause = 0.0
        if not self._pause:
            self._news.set()

    def finish(self) -> None:
        """Try once more, and end."""
        self._finishing = True
        self._news.set()

    async def run(self) -> None:
        """Do so until it is to finish."""
        last = False
        while not last:
            last = self._finishing
            self._news.clear()
            await self._try()
            if not last:
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._pause or LOOK):
                        await self._news.wait()

    async def _try(self) -> None:
        before = self.waiting
        try:
            await self._look()
            before = self.waiting
            while self.taken:
                await self._replay(self.taken[0])
                await self._clerk.do(self.taken[0].close)
                del self.taken[0]
            await self._replay(self._own)
        except LedgerUnavailableError:
            self._wait()
        except OSError as error:
            self._wait()
            if self._complaint != str(error):
                self._complaint = str(error)
                logger.error("what waits for the ledger cannot be read: %s", error)  # noqa: TRY400 - the reason is all there is to say
        else:
            self._pause, self._complaint = 0.0, ""
            if before:
                logger.info("the settlements that waited in %s are in the ledger", self._folder)

    def _wait(self) -> None:
        self._pause = min(self._pause * 2 or FIRST_PAUSE, LONGEST_PAUSE)

    async def _look(self) -> None:
        """Take over what is nobody's, if it is time."""
        now = asyncio.get_running_loop().time()
        if now < self._look_at:
            return
        self._look_at = now + LOOK
        known = len(self.taken)
        await self._clerk.do(partial(take_over, self._folder, self.taken, self._known))
        for file in self.taken[known:]:
            logger.warning("%d settlements of a dead process are in %s", file.waiting, file.path)

    async def _replay(self, file: SpoolFile) -> None:
        while (chunk := await self._clerk.do(file.read)) is not None:
            if chunk.torn:
                logger.warning("the last line of %s is torn, and left out", file.path)
            await self._settle(chunk)
            if chunk.unread:
                logger.error("%d lines of %s cannot be read", len(chunk.unread), file.path)
            await self._clerk.do(partial(file.advance, chunk))

    async def _settle(self, chunk: Chunk) -> None:
        """Settle what is not in, and wait until it is; raises `LedgerUnavailableError`."""
        missing = [each for each in chunk.settlements if not await self._is_in(each)]
        for settlement in list(missing):
            try:
                await self._give(settlement)
            except ValueError as error:
                logger.error("the call %s cannot be settled: %s", settlement.call, error)  # noqa: TRY400 - the reason is all there is to say
                missing.remove(settlement)
                chunk.unread.append(msgspec.json.encode(settlement) + b"\n")
        for settlement in missing:
            await self._confirm(settlement)

    async def _give(self, settlement: Settlement) -> None:
        try:
            async with asyncio.timeout(PATIENCE):
                await self._ledger.settle(settlement)
        except TimeoutError as error:
            raise LedgerUnavailableError("there is no room in its queue") from error

    async def _confirm(self, settlement: Settlement) -> None:
        loop = asyncio.get_running_loop()
        until, pause = loop.time() + CONFIRMED, _FIRST_GLANCE
        while not await self._is_in(settlement):
            if loop.time() >= until:
                raise LedgerUnavailableError("what was settled is not in")
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_GLANCE)

    async def _is_in(self, settlement: Settlement) -> bool:
        found = await self._ledger.find(settlement.call)
        if found is None or found.settlement is None:
            return False
        # What its lease made of it is a guess.
        return found.settlement.state != "abandoned"
