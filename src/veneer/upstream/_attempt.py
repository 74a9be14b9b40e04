"""An attempt: a try whose answer is held back until it is known to be one.

That is at the first event of a stream, and at the first bytes of any other body. Comments, which
servers send while they are busy, are no events. Until then another target can be asked, and from
then on the answer goes through as it comes.
"""

from collections import deque
from collections.abc import Awaitable, Callable
from http import HTTPStatus

from starlette.types import Message, Send

from veneer.facts import Route, Usage
from veneer.upstream._outcome import DONE, RULES, Failure, Rules, Why, error_in, usage_in
from veneer.wire import fields
from veneer.wire.ending import Ending
from veneer.wire.sse import EventSplitter, data_of
from veneer.wire.usage import read_usage, usage_in_body, usage_in_event

# Bytes of an answer that are held at most: of an error, or before the first event.
MOST_HELD = 64 * 1024

# How many of the last parts of an answer are looked at for its usage.
LAST_PARTS = 8

# Bound here, for looking an enumeration's member up by its class is a call each time.
OK, FIRST_ERROR = HTTPStatus.OK, HTTPStatus.BAD_REQUEST

# Content codings of a stream that can be read.
UNCODED = (None, b"", b"identity")


class GivenUpError(Exception):
    """Raised out of `send`: nobody wants this answer any more."""


class Attempt:
    """One try; what its app sends goes to `send`, unless another try is made instead.

    `last` is whether none can be: then an answer that tells of a failure in its stream goes
    through, as nobody has a better one. `begin` is called right before the first message does; it
    may raise `GivenUpError`. `answered` tells what the app has said of where the call went: it may
    say it in other words. `streams` is whether a stream was asked for, or an answer that comes
    whole; anything else is none then. None is for calls that may be answered by either, or nothing.
    """

    __slots__ = (
        "_answered",
        "_begin",
        "_error",
        "_events",
        "_failing",
        "_given_up",
        "_held",
        "_last",
        "_needs_body",
        "_parts",
        "_rules",
        "_send",
        "_size",
        "_start",
        "_streams",
        "_whole",
        "began",
        "ended",
        "why",
    )

    def __init__(  # noqa: PLR0913 - each is a part of what a try is
        self,
        send: Send,
        begin: Callable[[], None],
        *,
        last: bool,
        answered: Callable[[], Route | None],
        streams: bool | None = None,
        rules: Rules = RULES,
    ) -> None:
        self._send = send
        self._answered = answered
        self._begin = begin
        self._last = last
        self._streams = streams
        self._needs_body = False
        self._rules = rules
        self._start: Message | None = None
        self._held: list[Message] = []
        self._size = 0
        self._failing = False
        self._events: EventSplitter | None = None
        self._error = b""
        self._given_up = False
        self._whole = False
        self._parts: deque[bytes] = deque(maxlen=LAST_PARTS)
        self.began = False
        self.ended = False
        # What the answer itself says is wrong with it.
        self.why: Why | None = None

    @property
    def status(self) -> int | None:
        """The status of the answer, once there is one."""
        return None if self._start is None else self._start["status"]

    @property
    def is_stream(self) -> bool:
        """Whether the answer is a stream of events that can be read."""
        return self._events is not None

    def send(self, message: Message) -> Awaitable[None]:
        """Take a message from the app; it is no coroutine of its own, as most events only pass."""
        if not self.began:
            return self._hold(message)
        self._pass(message)
        return self._send(message)

    def failure(self, why: Why, *, reached: bool = True) -> Failure:
        """Return how the try failed, with what the answer says of it before `why`."""
        start = self._start
        parts = [message.get("body", b"") for message in self._held]
        told = b"".join(parts) if self._failing else self._error
        return Failure(
            why=self.why or why,
            status=self.status,
            headers=[] if start is None else list(start.get("headers", ())),
            reached=reached,
            whole=self._whole,
            usage=usage_in(told),
        )

    async def release(self, headers: list[tuple[bytes, bytes]]) -> None:
        """Send the whole answer that is held, with other header fields."""
        if self._start is not None:
            await self._send({**self._start, "headers": headers})
            for message in self._held:
                await self._send(message)

    def usage(self) -> Usage | None:
        """Return the usage that the end of the answer tells, if it does."""
        text = b"".join(self._parts)
        raw = None
        if self._events is not None:
            events = EventSplitter(max(len(text), 1)).feed(text)
            found = (usage_in_event(data_of(event)) for event in reversed(events))
            raw = next((each for each in found if each is not None), None)
        else:
            ending = Ending()
            ending.take(text)
            members = ending.members()
            raw = None if members is None else usage_in_body(members)
        return None if raw is None else read_usage(raw, Usage)

    def _pass(self, message: Message) -> None:
        if message["type"] == "http.response.body":
            body = message.get("body", b"")
            if body:
                self._parts.append(body)
            self.ended = not message.get("more_body", False)

    async def _hold(self, message: Message) -> None:
        if self._given_up:
            raise GivenUpError
        if message["type"] == "http.response.start":
            self._started(message)
        elif self._start is None:
            # An interim answer is nothing to hold, and not to be seen of one that may fail.
            return
        elif message["type"] != "http.response.body":
            # Some other way to send a body.
            self._held.append(message)
            await self._go()
        else:
            await self._judge(message)

    def _started(self, message: Message) -> None:
        self._start = message
        status = message["status"]
        route = self._answered()
        if self._rules.fail(status) or (route is not None and self._rules.fail(route.status)):
            self._failing = True
            self.why = "status"
            return
        headers = message.get("headers", ())
        kind = fields.media_type(fields.get(headers, b"content-type") or b"")
        is_stream = fields.is_event_stream(kind)
        uncoded = fields.get(headers, b"content-encoding") in UNCODED
        self._needs_body = status < FIRST_ERROR and self._streams is not None
        if self._needs_body and self._streams != is_stream:
            self.why = "broken"
        elif status == OK and is_stream and uncoded:
            self._events = EventSplitter(MOST_HELD)

    async def _judge(self, message: Message) -> None:
        part = message.get("body", b"")
        ended = not message.get("more_body", False)
        self._held.append(message)
        self._size += len(part)
        if self._failing:
            self._whole = ended
            if self._size > MOST_HELD and not ended:
                await self._go_or_give_up()
        elif self._events is None:
            if ended and not self._size and self._needs_body:
                self.why = "broken"
            if part or ended:
                await (self._go() if self.why is None else self._go_or_give_up())
        elif self._is_answer(self._events, part):
            await self._go()
        elif self.why is not None:
            await self._go_or_give_up()
        elif self._size > MOST_HELD:
            self._forget_comments(self._events)

    def _is_answer(self, events: EventSplitter, part: bytes) -> bool:
        """Whether the first event is here, and good; `why` is set where it is not."""
        for event in events.feed(part):
            data = data_of(event)
            if not data:
                continue
            error = error_in(data)
            if data.strip() == DONE:
                self.why = "broken"
            elif error is not None and self._rules.error_fails(error):
                self.why, self._error = "error", data
            return self.why is None
        return events.overflowed

    def _forget_comments(self, events: EventSplitter) -> None:
        """Drop the comments of a server that is busy for long."""
        rest = events.rest
        self._held = [{"type": "http.response.body", "body": rest, "more_body": True}]
        self._size = len(rest)

    async def _go_or_give_up(self) -> None:
        if not self._last:
            self._given_up = True
            raise GivenUpError
        await self._go()

    async def _go(self) -> None:
        """Let the answer through, from here on as it comes."""
        self._begin()
        self.began = True
        held, self._held = self._held, []
        if self._start is not None:
            await self._send(self._start)
        for message in held:
            self._pass(message)
            await self._send(message)
