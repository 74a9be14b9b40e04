"""The way back of a call that is paid for: its receipt, and its settlement, once."""

from collections.abc import Awaitable, Callable
from time import perf_counter
from typing import Any

import msgspec
from starlette.types import Message, Send

from veneer.dialects import Dialect
from veneer.dialects.receipts import usage_member
from veneer.edits import Edits
from veneer.facts import Answered, Cost, Relayed, Route, Usage
from veneer.layers._notice import Notice
from veneer.layers._reckoning import Reckoning
from veneer.layers._rows import rows_of_tries
from veneer.layers._till import Held, Till
from veneer.ledger.entry import Settlement, State
from veneer.prices.credits import Credits
from veneer.quotas.settlement import FIRST_ERROR


class Billed(msgspec.Struct, eq=False):
    """Settles a call before its last message leaves, or when `settle` is called.

    It gets the facts of the call, which began then by `perf_counter`. Its answer says what it costs
    once `show` is called, in the form of the dialect, and tells of budgets where there is a notice.
    The clock gives seconds since the epoch.
    """

    # A record is made with fewer steps than another object, and there is one for every call.
    _known: dict[type, Any]
    _send: Send
    _held: Held
    _till: Till
    _reckoning: Reckoning
    _dialect: Dialect
    _credits: Credits
    _notice: Notice | None
    _clock: Callable[[], float]
    _started: float
    # What its receipt is for, if it has one.
    _operation: str | None = None
    _first: float | None = None
    _status: int | None = None
    # What a plain answer came to, which is known before it begins.
    _outcome: tuple[State, Cost, Usage | None] | None = None
    _ended: bool = False
    _settled: bool = False

    def show(self, edits: Edits, operation: str) -> None:
        """Have the answer say what the call costs."""
        self._operation = operation
        edits.in_usage.append(self._in_usage)
        edits.at_end.append(self._at_end)

    def send(self, message: Message) -> Awaitable[None]:
        """Pass a message on; it is no coroutine of its own, as most events only pass."""
        if message["type"] == "http.response.start":
            self._status = message["status"]
            message = self._stamped(message)
        elif self._status is not None:
            if self._first is None and message.get("body"):
                self._first = perf_counter() - self._started
            # A client that has this message may take its answer for whole, where a body ends, or
            # with what the relay knows to be the last event of a stream.
            if not self._settled and (
                not message.get("more_body", False) or Relayed in self._known
            ):
                self._ended = not message.get("more_body", False)
                settling = self.settle()
                if settling is not None:
                    return self._send_after(settling, message)
        return self._send(message)

    async def _send_after(self, settling: Awaitable[None], message: Message) -> None:
        await settling
        await self._send(message)

    def settle(self) -> Awaitable[None] | None:
        """Write down what the call came to; once, however often it is called.

        What is returned is to be awaited before the client is told that all is over.
        """
        if self._settled:
            return None
        self._settled = True
        known = self._known
        state, cost, usage = self._outcome or self._reckoning.outcome(
            self._status, ended=self._ended
        )
        known[Cost] = cost
        route, answered = known.get(Route), known.get(Answered)
        hold = self._held.hold
        settlement = Settlement(
            call=hold.call,
            state=state,
            at=self._clock(),
            usage=usage,
            parts=cost.parts,
            total=cost.total,
            estimated=cost.estimated,
            price_version=cost.price_version,
            priced_model=cost.model,
            answered_model=None if answered is None else answered.model,
            target=None if route is None else route.target,
            status=self._status,
            latency=perf_counter() - self._started,
            first_event=self._first,
            hold=None if self._held.written else hold,
        )
        if route is not None and route.tried:
            return self._settle_all(settlement, [*rows_of_tries(route, hold, settlement.at)])
        return self._till.settle(self._held, settlement)

    async def _settle_all(self, settlement: Settlement, tries: list[Settlement]) -> None:
        """Write down a call with those of its tries that have rows of their own."""
        try:
            settling = self._till.settle(self._held, settlement)
            if settling is not None:
                await settling
        finally:
            for row in tries:
                noting = self._till.note(row)
                if noting is not None:
                    await noting

    def _stamped(self, start: Message) -> Message:
        """Tell what the call cost, and how its budgets stand."""
        operation, notice = self._operation, self._notice
        if operation is None and notice is None:
            return start
        cost = None
        status, relayed = start["status"], self._known.get(Relayed)
        # It is known by now of an error, and of what was held back whole.
        if status >= FIRST_ERROR or (relayed is not None and not relayed.stream):
            outcome = self._reckoning.outcome(status, ended=False)
            cost = outcome[1]
            if relayed is not None and relayed.complete:
                self._outcome = outcome
        headers = [*start.get("headers", ())]
        if operation is not None and cost is not None and status < FIRST_ERROR:
            headers += self._dialect.cost_fields(cost, self._credits)
        if notice is not None:
            headers += notice.fields(cost)
        return {**start, "headers": headers}

    def _in_usage(self, usage: Usage) -> bytes:
        return self._receipt(usage)[0]

    def _at_end(self, usage: Usage | None) -> bytes:
        """Return a usage object of ours where the upstream gave none."""
        if usage is not None:
            return b""
        receipt, counted = self._receipt(None)
        return usage_member(counted, self._operation or "", receipt)

    def _receipt(self, usage: Usage | None) -> tuple[bytes, Usage]:
        """Return the members that say what the call costs by this usage, and what is charged."""
        cost, counted = self._reckoning.by_usage(usage)
        self._known[Cost] = cost
        written = self._dialect.receipt(cost, counted, self._operation or "", self._credits)
        return written, counted
