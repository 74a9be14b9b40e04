"""The way back of a call that is paid for, and its settlement, once."""

from collections.abc import Awaitable, Callable
from time import perf_counter

from starlette.types import Message, Scope, Send

from veneer import facts
from veneer.facts import Answered, Cost, Relayed, Route
from veneer.layers._notice import Notice
from veneer.layers._reckoning import Reckoning
from veneer.layers._rows import rows_of_tries
from veneer.layers._slip import Slip
from veneer.layers._till import Held, Till
from veneer.ledger.entry import Settlement
from veneer.quotas.settlement import failed


class Billed:
    """Settles a call before its last message leaves, or when `settle` is called.

    Its answer has a receipt where there is a `slip`, and tells of budgets where there is a
    `notice`. `clock` gives seconds since the epoch.
    """

    __slots__ = (
        "_clock",
        "_ended",
        "_first",
        "_held",
        "_known",
        "_notice",
        "_reckoning",
        "_scope",
        "_send",
        "_settled",
        "_slip",
        "_started",
        "_status",
        "_till",
    )

    def __init__(  # noqa: PLR0913 - all of a call's way back, said once
        self,
        scope: Scope,
        send: Send,
        *,
        held: Held,
        till: Till,
        reckoning: Reckoning,
        slip: Slip | None,
        notice: Notice | None,
        clock: Callable[[], float],
    ) -> None:
        self._scope = scope
        self._known = scope[facts.SCOPE_KEY]
        self._send = send
        self._held = held
        self._till = till
        self._reckoning = reckoning
        self._slip = slip
        self._notice = notice
        self._clock = clock
        self._started = perf_counter()
        self._first: float | None = None
        self._status: int | None = None
        self._ended = self._settled = False

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
                return self._send_settled(message)
        return self._send(message)

    async def _send_settled(self, message: Message) -> None:
        self._ended = not message.get("more_body", False)
        await self.settle()
        await self._send(message)

    async def settle(self) -> None:
        """Write down what the call came to; once, however often it is called."""
        if self._settled:
            return
        self._settled = True
        state = self._reckoning.state(self._status, ended=self._ended)
        cost, usage = self._reckoning.final(state, self._status)
        facts.put(self._scope, cost)
        route, answered = self._known.get(Route), self._known.get(Answered)
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
        tries = [*rows_of_tries(route, hold, settlement.at)]
        try:
            await self._till.settle(self._held, settlement)
        finally:
            for row in tries:
                await self._till.note(row)

    def _stamped(self, start: Message) -> Message:
        """Tell what the call cost, and how its budgets stand."""
        slip, notice = self._slip, self._notice
        cost = None if slip is None and notice is None else self._known_cost()
        fields = []
        if slip is not None and cost is not None and not failed(self._status):
            fields += slip.fields(cost)
        if notice is not None:
            fields += notice.fields(cost)
        return {**start, "headers": [*start.get("headers", ()), *fields]} if fields else start

    def _known_cost(self) -> Cost | None:
        """Return the cost if it is known by now: of an error, and of what was held back whole."""
        relayed = self._known.get(Relayed)
        if not failed(self._status) and (relayed is None or relayed.stream):
            return None
        state = self._reckoning.state(self._status, ended=False)
        return self._reckoning.final(state, self._status)[0]
