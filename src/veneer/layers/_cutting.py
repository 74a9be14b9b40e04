"""Cutting: a stream is ended where its cost has used up what was held for it."""

import asyncio
from collections.abc import Awaitable
from types import MappingProxyType

import anyio
import msgspec
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from veneer import facts
from veneer.call import Call
from veneer.dialects import Kind
from veneer.errors import BrokenResponseError, Error
from veneer.facts import Relayed, Usage
from veneer.layers._bill import Bill
from veneer.layers._reckoning import Reckoning, usage_of
from veneer.quotas.estimate import Estimate
from veneer.quotas.settlement import told
from veneer.wire import sse
from veneer.wire.usage import (
    has_finish,
    is_terminal_event,
    is_usage_chunk,
    read_usage,
    usage_in_event,
)

USED_UP = Error(
    Kind.BUDGET_EXHAUSTED,
    "The stream was ended here: this call has used up what was held for it. Give it a higher cap "
    "of output tokens, for which more is held, or have it write less.",
)

# The streams that can be cut, and how many events of each of their answers are no tokens: those
# with which it begins and ends. Of typed events only deltas are any.
FRAMES = MappingProxyType({"chat.completions": 2, "completions": 1, "responses": 0})
DELTA = b'.delta"'
NULL = (b":null", b": null")


class Allowance:
    """Says how much of a stream is paid by what was held for it.

    What it has come to is counted as everywhere: its input as estimated, and a token for each
    event. An upstream that tells its usage on the way (vLLM's `continuous_usage_stats`) is
    believed, as long as that grows. One that does not, and puts several tokens into an event, is
    cut later: from the bytes of an event can not be told how many tokens are in it, as there may be
    log probabilities, or ids of tools, and a stream that is cut too early is worse.
    """

    __slots__ = ("_base", "_bill", "_reckoning", "_sure", "_typed", "_written")

    def __init__(self, reckoning: Reckoning, bill: Bill, call: Call) -> None:
        name = call.operation.name
        self._reckoning = reckoning
        self._bill = bill
        self._typed = name == "responses"
        self._written = -FRAMES[name] * call.choices
        # What the upstream has told last, and the output that is paid whatever else there is.
        self._base = usage_of(Estimate(bill.need.tokens.input_tokens))
        spent = reckoning.so_far(self._base, estimated=True).total
        self._sure = bill.outputs(spent)

    def take(self, events: bytes) -> int:
        """Return how many bytes of some whole events are paid; each is counted that is."""
        if self._typed:
            written = self._written + events.count(DELTA)
        else:
            written = self._written + events.count(b"\ndata:") + (events[:5] == b"data:")
        # That is all there is to nearly every event.
        if written <= self._sure:
            at = events.find(b'"usage"')
            if at < 0 or events.startswith(NULL, at + 7):
                self._written = written
                return len(events)
        splitter = sse.EventSplitter(len(events) + 1)
        paid = 0
        for event in splitter.feed(events):
            data = sse.data_of(event)
            if data and not self._pays(data):
                return paid
            paid += len(event)
        return len(events)

    def used(self) -> tuple[Usage, bool]:
        """Return the usage of what is paid, and whether it is estimated."""
        return self._usage(self._base, self._written)

    def _pays(self, data: bytes) -> bool:
        base, written = self._base, self._written
        raw = usage_in_event(data)
        usage = None if raw is None else read_usage(raw, Usage)
        grown = usage is not None and usage.output_tokens > base.output_tokens
        if usage is not None and grown and told(usage):
            base, written = usage, usage.output_tokens
        else:
            written += DELTA in data if self._typed else 1
        if written > self._sure or base is usage:
            usage, estimated = self._usage(base, written)
            spent = self._reckoning.so_far(usage, estimated=estimated).total
            # Nothing is saved where it ends by itself.
            if spent > self._bill.amount and not _is_last(data):
                return False
            self._sure = written + self._bill.outputs(spent)
        self._base, self._written = base, written
        return True

    def _usage(self, base: Usage, written: int) -> tuple[Usage, bool]:
        """Return a usage that was told, with what has been written since; no less than it."""
        written = max(written, 0)
        if 0 < base.output_tokens == written:
            return base, False
        total = base.input_tokens + written
        return msgspec.structs.replace(base, output_tokens=written, total_tokens=total), True


class Cutting:
    """Ends one stream that has used up its `allowance`, whose app is run by `run`.

    Its last events go to `send`, the upstream is cancelled, and the `reckoning` told what the
    stream came to. When that is settled, `close` tells the client. What the upstream had sent
    beyond is neither passed on nor charged.
    """

    __slots__ = ("_allowance", "_cancel", "_known", "_operation", "_reckoning", "_send", "cut")

    def __init__(
        self,
        scope: Scope,
        send: Send,
        *,
        operation: str,
        allowance: Allowance,
        reckoning: Reckoning,
    ) -> None:
        self._known = scope[facts.SCOPE_KEY]
        self._operation = operation
        self._send = send
        self._allowance = allowance
        self._reckoning = reckoning
        self._cancel = anyio.CancelScope()
        self.cut = False

    async def run(self, app: ASGIApp, scope: Scope, receive: Receive) -> None:
        """Call the app, until it returns or its stream is cut."""
        try:
            with self._cancel:
                await app(scope, receive, self.send)
        except BrokenResponseError:
            # So it is, and we are who broke it.
            if not self.cut:
                raise

    def send(self, message: Message) -> Awaitable[None]:
        """Take a message from the app; it is no coroutine of its own, as most events only pass."""
        if self.cut:
            return asyncio.sleep(0)
        body = message.get("body")
        # A stream that has come to its end cost what it cost.
        if not body or Relayed in self._known:
            return self._send(message)
        paid = self._allowance.take(body)
        return self._send(message) if paid == len(body) else self._end(body[:paid])

    async def _end(self, last: bytes) -> None:
        self.cut = True
        usage, estimated = self._allowance.used()
        self._reckoning.cut(usage, estimated=estimated)
        try:
            if last:
                await self._send({"type": "http.response.body", "body": last, "more_body": True})
        finally:
            self._cancel.cancel()

    async def close(self, scope: Scope, send: Send) -> None:
        """Tell the client of a cut, if there was one; then raises `BrokenResponseError`."""
        if not self.cut:
            return
        relayed = self._known.get(Relayed)
        event = USED_UP.event(scope, self._operation, 0 if relayed is None else relayed.events)
        await send({"type": "http.response.body", "body": event, "more_body": True})
        raise BrokenResponseError("the call had used up what was held for it")


def cutting_of(
    scope: Scope, send: Send, *, call: Call, bill: Bill, reckoning: Reckoning
) -> Cutting | None:
    """Return what cuts the stream of a call; None where there is nothing to be cut."""
    name = call.operation.name
    if not call.stream or name not in FRAMES or not bill.pays_output:
        return None
    allowance = Allowance(reckoning, bill, call)
    return Cutting(scope, send, operation=name, allowance=allowance, reckoning=reckoning)


def _is_last(data: bytes) -> bool:
    """Whether a stream ends with an event, or an answer in it."""
    return (
        data[:6] == b"[DONE]" or has_finish(data) or is_usage_chunk(data) or is_terminal_event(data)
    )
