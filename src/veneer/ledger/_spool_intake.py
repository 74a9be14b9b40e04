"""What comes into a spool: settlements that the ledger cannot take now."""

import asyncio
import logging
from collections.abc import Callable
from functools import partial

from veneer.ledger._spool_file import SpoolFile
from veneer.ledger._spool_lines import encode
from veneer.ledger._spool_thread import Clerk
from veneer.ledger.entry import Settlement
from veneer.ledger.ledger import Ledger

logger = logging.getLogger("veneer.ledger")

# Seconds that the end of a call waits for the disk.
PATIENCE = 1.0
# Seconds after which a disk that refused to be written is tried again.
_RETRY = 1.0


class Intake:
    """Appends settlements to a file, and says by `news` that one is there.

    What the disk refuses goes into the ledger's queue instead, and is lost with the process. There
    is room in it while the file has less than `max_bytes`, and the disk takes what it is given, in
    time: what comes nevertheless is taken all the same.
    """

    def __init__(
        self,
        ledger: Ledger,
        clerk: Clerk,
        file: SpoolFile,
        *,
        max_bytes: int,
        news: Callable[[], None],
    ) -> None:
        self._ledger = ledger
        self._clerk = clerk
        self._file = file
        self._max_bytes = max_bytes
        self._news = news
        # What is not known to be in the file, and what is in the ledger's queue instead of it.
        self._pending: dict[asyncio.Future[None], Settlement] = {}
        self._aside: set[asyncio.Task[None]] = set()
        self._is_late = False
        self._is_broken = False
        self._retry_at = 0.0

    @property
    def has_room(self) -> bool:
        """Whether calls may be made whose settlements will come."""
        if self._is_broken:
            self._retry()
        sick = self._is_broken or self._is_late or self._aside
        return not sick and self._file.size < self._max_bytes

    async def append(self, settlement: Settlement) -> None:
        """Append, and wait a second at most until that is done.

        A cancellation loses nothing. Raises ValueError for what no ledger takes.
        """
        written = self._clerk.do(partial(self._file.append, encode(settlement)))
        self._pending[written] = settlement
        written.add_done_callback(self._appended)
        await asyncio.wait((written,), timeout=PATIENCE)
        if not written.done() and not self._is_late:
            self._is_late = True
            logger.error("the disk of %s does not answer", self._file.path.parent)

    async def close(self) -> None:
        """Give to the ledger what the disk does not take in time."""
        if self._pending:
            await asyncio.wait(self._pending, timeout=PATIENCE)
        for settlement in self._pending.values():
            self._put_aside(settlement)
        self._pending.clear()
        if self._aside:
            await asyncio.wait(self._aside, timeout=PATIENCE)

    def _appended(self, written: asyncio.Future[None]) -> None:
        error = written.exception()
        settlement = self._pending.pop(written, None)
        if settlement is None:
            return
        if not self._pending:
            self._is_late = False
        if error is None:
            self._news()
            return
        self._put_aside(settlement)
        if not self._is_broken:
            self._is_broken = True
            self._retry_at = asyncio.get_running_loop().time() + _RETRY
            logger.error("%s cannot be written: %s", self._file.path.parent, error)

    def _put_aside(self, settlement: Settlement) -> None:
        task = asyncio.get_running_loop().create_task(self._ledger.settle(settlement))
        self._aside.add(task)
        task.add_done_callback(self._aside.discard)

    def _retry(self) -> None:
        """See whether the disk can be written again, if it is time; that is known later."""
        now = asyncio.get_running_loop().time()
        if now >= self._retry_at:
            self._retry_at = now + _RETRY
            self._clerk.do(self._file.check).add_done_callback(self._checked)

    def _checked(self, checked: asyncio.Future[None]) -> None:
        self._is_broken = checked.exception() is not None
