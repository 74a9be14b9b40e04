"""What a call came to: how it ended, and what that costs by what its upstream said or was seen."""

from typing import Any

import msgspec
from starlette.types import Scope

from veneer.call import Call
from veneer.client import Client
from veneer.edits import Edits
from veneer.facts import Answered, Cost, Relayed, Route, Unreached, Usage
from veneer.layers._bill import Bill
from veneer.layers._hosted import CHAT
from veneer.ledger.entry import State
from veneer.quotas.estimate import ESTIMATED, Estimate
from veneer.quotas.settlement import FIRST_ERROR, streamed, told, untold

# Beyond this, which are days, a number is no length of a sound in seconds.
MAX_SECONDS = 1_000_000

OK = 200

NOTHING_SAID = Answered()


class Reckoning(msgspec.Struct, eq=False):
    """Reckons one call, of which all these facts are known, by its bill.

    The upstream's own word counts first, unless it makes no sense; a side that it leaves out is
    estimated. Without it, an answer costs what was seen of it, and one of which nothing could be
    seen all that was held; a call that its client left before it was answered costs its input. One
    that was answered with an error of any kind costs nothing, nor does one that the model server
    did not get.
    """

    _scope: Scope
    _known: dict[type, Any]
    _call: Call
    _held: Bill
    _edits: Edits
    # What it is paid by once it is known who answers it.
    _served: tuple[Route, Bill] | None = None
    # By what usage of the upstream's the cost was worked out last; the same costs the same.
    _reckoned: tuple[Usage | None, tuple[Cost, Usage]] | None = None
    # What a stream came to that was cut.
    _cut: tuple[Cost, Usage] | None = None

    @property
    def _bill(self) -> Bill:
        """What the call is paid by: the dearest, until it is known who answers it."""
        route, served = self._known.get(Route), self._served
        if route is None:
            return self._held
        if served is None or served[0] is not route:
            served = self._served = route, self._held.served_by(route)
        return served[1]

    def outcome(self, status: int | None, *, ended: bool) -> tuple[State, Cost, Usage | None]:
        """Return how a call ended, what it costs, and the usage that it is charged for.

        `status` is that of its answer, None for no answer; `ended` is for its body.
        """
        if self._cut is not None:
            return "cut", *self._cut
        known, reckoned = self._known, self._reckoned
        usage, relayed = known.get(Usage), known.get(Relayed)
        state = self._state(status, ended=ended if relayed is None else relayed.complete)
        # That is how nearly all calls end: their receipt has been written.
        if state == "completed" and reckoned is not None and reckoned[0] is usage:
            cost, counted = reckoned[1]
            return state, cost, counted
        return state, *self._cost(state, status, usage, relayed)

    def _state(self, status: int | None, *, ended: bool) -> State:
        known = self._known
        route = known.get(Route)
        if Unreached in known and (route is None or not route.answered):
            return "released"
        if status is not None:
            if _is_error(status, route):
                return "failed"
            if ended:
                return "completed"
        return "disconnected" if known[Client].disconnected else "failed"

    def _cost(
        self, state: State, status: int | None, usage: Usage | None, relayed: Relayed | None
    ) -> tuple[Cost, Usage | None]:
        bill = self._bill
        if state != "released" and usage is not None and is_told(usage):
            return self.by_usage(usage)
        if state == "released" or (
            status is not None and _is_error(status, self._known.get(Route))
        ):
            return bill.nothing(), None
        if status is None:
            return self._unanswered(state)
        unseen = (relayed is None or not relayed.observed) and self._edits.images is None
        if unseen and bill.goes_by_usage:
            return self._unseen(relayed)
        return self.by_usage(usage)

    def so_far(self, usage: Usage, *, estimated: bool) -> Cost:
        """Return what a stream costs that has come to this usage."""
        return self._bill.cost(usage, self._answered(), images=0, estimated=estimated)

    def cut(self, usage: Usage, *, estimated: bool) -> None:
        """Charge a stream for this usage, for that is where it was ended."""
        self._cut = self.so_far(usage, estimated=estimated), usage

    def _unseen(self, relayed: Relayed | None) -> tuple[Cost, Usage | None]:
        """Return all that was held, or what could be seen of a stream, if that is more."""
        whole = self._bill.whole()
        if relayed is None or not relayed.stream:
            return whole, None
        usage = usage_of(streamed(self._bill.need.tokens, self._call, relayed.events))
        seen = self._bill.cost(usage, NOTHING_SAID, images=0, estimated=True)
        return (seen, usage) if seen.total > whole.total else (whole, None)

    def _unanswered(self, state: State) -> tuple[Cost, Usage | None]:
        read = untold(self._scope, self._bill.need.tokens, None)
        if state == "failed" or not read.total:
            return self._bill.nothing(), None
        usage = usage_of(read)
        return self._bill.cost(usage, NOTHING_SAID, images=0, estimated=True), usage

    def by_usage(self, usage: Usage | None) -> tuple[Cost, Usage]:
        """Return what an answer costs whose upstream says this, and the usage that is charged."""
        reckoned = self._reckoned
        if reckoned is not None and reckoned[0] == usage:
            return reckoned[1]
        bill = self._bill
        counted, estimated = usage, False
        if usage is None or not is_told(usage):
            estimated = bill.goes_by_usage
            counted = usage_of(self._seen(), bill.need.seconds) if estimated else usage
        elif not (usage.input_tokens and usage.output_tokens) and bill.goes_by_usage:
            counted, estimated = self._whole(usage)
        counted = counted or Usage()
        images, guessed = self._images() if bill.need.images else (0, False)
        estimated = estimated or guessed or (bool(bill.need.tools) and self._is_half_read())
        cost = bill.cost(counted, self._answered(), images=images, estimated=estimated)
        self._reckoned = usage, (cost, counted)
        return cost, counted

    def _whole(self, usage: Usage) -> tuple[Usage, bool]:
        """Return a usage with the side that it leaves out, and whether that is estimated.

        Every call of texts has an input, and a stream of them that has events an output. A plain
        answer may be empty.
        """
        name = self._call.operation.name
        inputs, outputs = usage.input_tokens, usage.output_tokens
        # What is in the total alone is shared out where it is priced.
        if name not in ESTIMATED or usage.total_tokens > inputs + outputs:
            return usage, False
        seen = self._seen()
        inputs = inputs or seen.input_tokens
        if self._call.stream:
            outputs = outputs or seen.output_tokens
        if inputs == usage.input_tokens and outputs == usage.output_tokens:
            return usage, name != "embeddings"
        total = inputs + outputs
        return msgspec.structs.replace(
            usage, input_tokens=inputs, output_tokens=outputs, total_tokens=total
        ), True

    def _answered(self) -> Answered:
        """Return what the upstream has said, with the tools that may have been used unseen.

        A chat does not tell of its search; of an answer that is not read whole, only the end is.
        """
        answered, tools = self._edits.answered or NOTHING_SAID, self._held.need.tools
        if tools and (self._call.operation.name == CHAT or self._is_half_read()):
            return msgspec.structs.replace(answered, tools=tools)
        return answered

    def _is_half_read(self) -> bool:
        relayed = self._known.get(Relayed)
        return relayed is not None and not relayed.observed and not relayed.stream

    def _images(self) -> tuple[int, bool]:
        """Return how many images have come where some are asked for, and whether that is guessed.

        As many as were held, then.
        """
        needed, came = self._bill.need.images, self._edits.images
        if came is None:
            return needed, self._bill.pays_images
        # The first one that is complete is the end of a stream, as far as the relay knows.
        return (max(came, self._call.choices) if came and self._call.stream else came), False

    def _seen(self) -> Estimate:
        needed, images = self._bill.need.tokens, self._bill.need.images
        events, came = self._edits.events, self._edits.images
        if images and came is not None:
            return Estimate(needed.input_tokens, needed.output_tokens // images * came)
        if events is not None and Relayed not in self._known:
            return streamed(needed, self._call, events)
        return untold(self._scope, needed, OK)


def _is_error(status: int, route: Route | None) -> bool:
    return status >= FIRST_ERROR or (route is not None and route.status >= FIRST_ERROR)


def is_told(usage: Usage) -> bool:
    """Whether a usage says something that could be true."""
    return told(usage) > 0 or (not usage.malformed and 0 < usage.seconds <= MAX_SECONDS)


def usage_of(tokens: Estimate, seconds: float = 0.0) -> Usage:
    """Return a usage of so many tokens, and of sound of this length."""
    return Usage(
        input_tokens=tokens.input_tokens,
        output_tokens=tokens.output_tokens,
        total_tokens=tokens.total,
        seconds=seconds,
    )
