"""What waits to be written into PostgreSQL, and who waits for it."""

import asyncio
from collections import deque
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any

import msgspec

from veneer.ledger._ends import released
from veneer.ledger._postgresql_batch import Batch
from veneer.ledger._wanted import Answer, Settled, Wanted
from veneer.ledger.columns import closed
from veneer.ledger.entry import Hold, Settlement
from veneer.ledger.ledger import LedgerUnavailableError

# Holds, and settlements, of one transaction.
AT_ONCE = 512


class Taken(msgspec.Struct, frozen=True):
    """What is written at once, and who waits for its answers, hold by hold."""

    batch: Batch
    holds: list[Wanted]


class Queue:
    """Keeps what was given, in its order, until it is in or nobody waits for it any more.

    Who has waited for `timeout` seconds is told that there is no answer.
    """

    def __init__(self, timeout: float) -> None:
        self._timeout = timeout
        self._holds: list[Wanted] = []
        self._questions: list[Wanted] = []
        self._settlements: deque[Settled] = deque()
        self._something = asyncio.Event()

    @property
    def left(self) -> int:
        """How many settlements are not in."""
        return len(self._settlements)

    def __bool__(self) -> bool:
        return bool(self._holds or self._settlements or self._questions)

    def want(self, wanted: Wanted) -> None:
        """Have a hold written, or a question answered."""
        (self._holds if wanted.ask is None else self._questions).append(wanted)
        future = wanted.future
        timer = future.get_loop().call_later(self._timeout, self._expire, future)
        future.add_done_callback(lambda _: timer.cancel())
        self._something.set()

    def settle(self, settlement: Settlement, columns: tuple[object, ...]) -> None:
        """Have a settlement written."""
        self._settlements.append((settlement, columns))
        self._something.set()

    def release(self, hold: Hold) -> None:
        """Give back what nobody has."""
        end = released(hold)
        self.settle(end, closed(end))

    def nudge(self) -> None:
        """Wake whoever waits for something."""
        self._something.set()

    async def something(self) -> None:
        """Wait until something new is given."""
        self._something.clear()
        await self._something.wait()

    def move(self, loop: asyncio.AbstractEventLoop) -> None:
        """Go on in another event loop: in the last one nobody waits any more."""
        self._holds = [each for each in self._holds if each.future.get_loop() is loop]
        self._questions = [each for each in self._questions if each.future.get_loop() is loop]
        self._something = asyncio.Event()

    def take(self) -> Taken:
        """Return what is written at once; it stays here until it is `done`."""
        self._holds = [each for each in self._holds if not each.future.done()]
        holds = self._holds[:AT_ONCE]
        held = [each.held for each in holds if each.held is not None]
        return Taken(Batch(held, list(islice(self._settlements, AT_ONCE))), holds)

    def done(self, taken: Taken) -> None:
        """Pass the answers of what is in on."""
        for _ in taken.batch.settlements:
            self._settlements.popleft()
        self.answer(list(zip(taken.holds, taken.batch.answers, strict=True)))

    def questions(self) -> list[Wanted]:
        """Return the questions that somebody waits for."""
        return [each for each in self._questions if not each.future.done()]

    def answer(self, answers: Sequence[Answer]) -> None:
        """Pass answers on; what nobody waits for any more is given back."""
        self._leave_out(wanted for wanted, _ in answers)
        for wanted, answer in answers:
            hold = wanted.tell(answer)
            if hold is not None:
                self.release(hold)

    def waiting(self) -> list[Wanted]:
        """Return everybody who waits."""
        return self._holds + self._questions

    def give_back(self, taken: Taken, error: Exception) -> None:
        """Tell who waits for a batch of which nobody knows whether it is in."""
        self.answer([(each, error) for each in taken.holds])
        for hold, _ in taken.batch.holds:
            self.release(hold)

    def _expire(self, future: asyncio.Future[Any]) -> None:
        if not future.done():
            reason = f"the ledger's database has not answered within {self._timeout:g} s"
            future.set_exception(LedgerUnavailableError(reason))

    def _leave_out(self, gone: Iterable[Wanted]) -> None:
        ids = {id(each) for each in gone}
        self._holds = [each for each in self._holds if id(each) not in ids]
        self._questions = [
            each for each in self._questions if id(each) not in ids and not each.future.done()
        ]
