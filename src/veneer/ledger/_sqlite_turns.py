"""What comes up in a turn of an event loop, on its way to the thread that writes, and back."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence

from veneer.ledger._ends import released
from veneer.ledger._sqlite_group import Group
from veneer.ledger._sqlite_writer import Writer
from veneer.ledger._wanted import Answer, Wanted
from veneer.ledger.columns import closed
from veneer.ledger.entry import Hold, Moved, Settlement
from veneer.ledger.ledger import LedgerUnavailableError

# Seconds for which settlements alone wait for others, and for holds, which take them along: nobody
# waits for them, and what is written at once costs the least.
LINGER = 0.002


class Turns:
    """Hands over what comes up in each turn together, and tells who waits what has come of it.

    That is no answer after `timeout` seconds. `opening` gives a writer, which is another one after
    a fork, with nothing of what the last one had. `written` is told what was moved, and how many
    settlements are left, whenever something is in. In another event loop nobody waits for what was
    asked in the last one; what was settled there is kept.
    """

    def __init__(
        self,
        opening: Callable[[], Writer],
        *,
        timeout: float,
        written: Callable[[Sequence[Moved], int], None],
    ) -> None:
        self._opening = opening
        self._timeout = timeout
        self._written = written
        self.writer: Writer | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        # What has come up in this turn; and groups that somebody waits for, with a timer for the
        # first.
        self._group: Group | None = None
        self._waiting: deque[Group] = deque()
        self._timer: asyncio.TimerHandle | None = None
        # Hands over settlements that no hold has taken along.
        self._lingering: asyncio.TimerHandle | None = None

    @property
    def left(self) -> int:
        """How many settlements are not in."""
        return 0 if self.writer is None else self.writer.left

    def start(self) -> Writer:
        """Have a writer of this process."""
        if self.writer is None or not self.writer.is_ours:
            self._group = None
            self.writer = self._opening()
        return self.writer

    def want(self, wanted: Wanted) -> None:
        """Have a hold written, or a question answered."""
        group, _ = self._collected()
        if not group.holds and not group.questions:
            group.loop.call_soon(self._flush, group)
        (group.holds if wanted.ask is None else group.questions).append(wanted)

    def settle(self, settlement: Settlement, columns: tuple[object, ...]) -> None:
        """Have a settlement written."""
        group, writer = self._collected()
        writer.given += 1
        group.settlements.append((settlement, columns))
        if self._lingering is None:
            self._lingering = group.loop.call_later(LINGER, self._flush_rest)

    def release(self, hold: Hold) -> None:
        """Give back what nobody has."""
        end = released(hold)
        self.settle(end, closed(end))

    async def stop(self, within: float) -> int:
        """Write what was given, for so many seconds at most; return how many are not in then."""
        if self._group is not None:
            self._flush(self._group)
        writer, self.writer = self.writer, None
        if writer is None or not writer.is_ours:
            return 0
        ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        writer.stop(within, ended)
        # The thread is in nobody's way if it takes longer, for a disk that does not answer.
        await asyncio.wait((ended,), timeout=within + self._timeout)
        return ended.result() if ended.done() else writer.left

    def _collected(self) -> tuple[Group, Writer]:
        """Return what this turn's calls go into."""
        loop = asyncio.get_running_loop()
        group, writer = self._group, self.writer
        if group is None or writer is None or group.loop is not loop:
            writer = self.start()
            if self._group is not None:
                # Its loop has ended before it could.
                writer.submit(self._group)
            if self._loop is not loop:
                self._loop, self._timer, self._lingering = loop, None, None
                self._waiting.clear()
            group = Group(loop, self._answered, loop.time() + self._timeout)
            self._group = group
        return group, writer

    def _flush_rest(self) -> None:
        self._lingering = None
        if self._group is not None:
            self._flush(self._group)

    def _flush(self, group: Group) -> None:
        if group is not self._group:
            return
        self._group = None
        self.start().submit(group)
        if group.holds or group.questions:
            self._waiting.append(group)
            self._arm(group.loop)

    def _answered(self, answers: list[Answer], moved: Sequence[Moved]) -> None:
        """Pass answers on; what nobody waits for any more is given back."""
        for wanted, answer in answers:
            hold = wanted.tell(answer)
            if hold is not None:
                self.release(hold)
        while self._waiting and self._waiting[0].is_over:
            self._waiting.popleft()
        self._written(moved, self.left)

    def _arm(self, loop: asyncio.AbstractEventLoop) -> None:
        """See to it that the first group's time ends."""
        if self._timer is None and self._waiting:
            self._timer = loop.call_at(self._waiting[0].deadline, self._expire, loop)

    def _expire(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        now = loop.time()
        while self._waiting and self._waiting[0].deadline <= now:
            group = self._waiting.popleft()
            for wanted in group.holds + group.questions:
                if not wanted.future.done():
                    reason = f"the ledger's file has not answered within {self._timeout:g} s"
                    wanted.future.set_exception(LedgerUnavailableError(reason))
        self._arm(loop)
