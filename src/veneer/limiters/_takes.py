"""Takes on their way to Redis: a lone one at once, and those that come meanwhile together."""

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from typing import TYPE_CHECKING

from veneer.limiters._script import AnswerLostError, Asked, Taken, decisions, questions
from veneer.quotas.limiter import Decision, LimiterUnavailableError

if TYPE_CHECKING:
    from veneer.limiters._server import Server
    from veneer.limiters._settlements import Settlements

# How many calls of the script are under way, and how many takes go with one: for more, the server
# would be kept from others for longer than some milliseconds.
_CALLS = 2
_BATCH = 64


class _Call:
    """A call of the script, and how many still wait for what it brings."""

    def __init__(self) -> None:
        self.awaited = 0


class _Take:
    """A take, and the call with which it went."""

    def __init__(self, asked: Asked, deadline: float) -> None:
        self.asked = asked
        self.deadline = deadline
        self.call: _Call | None = None
        # An error is a result as well: it is no loss if nobody is left to see it.
        self.outcome: asyncio.Future[Decision | LimiterUnavailableError] = (
            asyncio.get_running_loop().create_future()
        )


class Takes:
    """Sends takes in the order in which they come, each once.

    At most two calls are under way that anybody waits for; what comes meanwhile goes with the next.
    The oldest take of a call bounds its time: all that still wait are younger, and none waits for
    longer than `timeout` seconds.

    What was taken for somebody who has left is given back, also where the answer was lost.
    """

    def __init__(
        self, server: "Server", settlements: "Settlements", *, lease: float, timeout: float
    ) -> None:
        self._server = server
        self._settlements = settlements
        self._lease = lease
        self._timeout = timeout
        self._waiting: OrderedDict[str, _Take] = OrderedDict()
        self._under_way: set[_Call] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def decide(self, asked: Asked) -> Decision:
        """Have Redis decide."""
        take = _Take(asked, asyncio.get_running_loop().time() + self._timeout)
        self._waiting[asked.call] = take
        self._begin()
        try:
            outcome = await take.outcome
        except asyncio.CancelledError:
            self._leave(take)
            raise
        if isinstance(outcome, LimiterUnavailableError):
            # One of its own for each: raising adds to an error.
            raise type(outcome)(*outcome.args) from outcome.__cause__
        return outcome

    async def idle(self) -> None:
        """Wait for the calls under way."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    def _begin(self) -> None:
        """Send what waits, unless enough is under way."""
        if self._waiting and len(self._under_way) < _CALLS:
            call = _Call()
            self._under_way.add(call)
            task = asyncio.get_running_loop().create_task(self._send(call))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _send(self, call: _Call) -> None:
        """Send what has come until now."""
        try:
            if takes := self._next(call):
                await self._ask(takes)
        finally:
            self._under_way.discard(call)
            self._begin()

    def _next(self, call: _Call) -> list[_Take]:
        now = asyncio.get_running_loop().time()
        takes: list[_Take] = []
        while self._waiting and len(takes) < _BATCH:
            _, take = self._waiting.popitem(last=False)
            if take.outcome.cancelled():
                continue
            if take.deadline <= now:
                sentence = f"Redis is slow: a take has waited for {self._timeout:g} s"
                take.outcome.set_result(LimiterUnavailableError(sentence))
                continue
            take.call = call
            takes.append(take)
        call.awaited = len(takes)
        return takes

    async def _ask(self, takes: list[_Take]) -> None:
        asked = [take.asked for take in takes]
        cut_off: LimiterUnavailableError = AnswerLostError("a call of Redis was cut off")
        outcomes: Sequence[Decision | LimiterUnavailableError] = [cut_off] * len(takes)
        try:
            keys, document = questions(asked, self._lease)
            reply = await self._server.ask("take", keys, document, deadline=takes[0].deadline)
            outcomes = decisions(asked, reply)
        except LimiterUnavailableError as error:
            outcomes = [error] * len(takes)
        finally:
            for take, outcome in zip(takes, outcomes, strict=True):
                self._end(take, outcome)

    def _end(self, take: _Take, outcome: Decision | LimiterUnavailableError) -> None:
        if isinstance(outcome, AnswerLostError):
            self._give_back(take.asked.slots())
        if not take.outcome.cancelled():
            take.outcome.set_result(outcome)
        elif isinstance(outcome, Decision):
            self._give_back(outcome.taken)

    def _leave(self, take: _Take) -> None:
        """Undo a take whose caller has left: waiting, under way, or with an answer unread."""
        take.outcome.cancel()
        if self._waiting.pop(take.asked.call, None) is not None:
            return
        if not take.outcome.cancelled():
            outcome = take.outcome.result()
            if isinstance(outcome, Decision):
                self._give_back(outcome.taken)
        elif take.call is not None:
            take.call.awaited -= 1
            if not take.call.awaited:
                # What nobody waits for keeps nobody waiting.
                self._under_way.discard(take.call)
                self._begin()

    def _give_back(self, taken: Taken | None) -> None:
        if taken is not None and (taken.tokens or taken.slots):
            self._settlements.put(taken, 0)
