"""The pure half of relaying a stream: bytes in, bytes out, and what was seen on the way."""

from typing import Any

import msgspec

from veneer.edits import Edits
from veneer.facts import Answered, Usage
from veneer.layers._edited import edited, named, with_usage, without_usage
from veneer.wire import splice, sse
from veneer.wire.answered import read_answered
from veneer.wire.usage import (
    has_finish,
    is_terminal_event,
    is_usage_chunk,
    read_usage,
    usage_in_event,
)

# Streams of chunks: a finish chunk, perhaps a usage chunk, then [DONE].
CHUNKED = frozenset(["chat.completions", "completions"])
# What ends the type of an event that brings an image, and not a part of one.
COMPLETED = b'.completed"'
# What a chunk says of a choice, and what it says of one that goes on.
FINISH = b'"finish_reason"'
UNFINISHED = b'"finish_reason":null'
# Streams of typed events: the last one says how it ended.
TYPED = frozenset(
    [
        "responses",
        "images.generations",
        "images.edits",
        "audio.speech",
        "audio.transcriptions",
    ]
)


class StreamRelay:
    """One stream of events on its way to the client.

    `operation` says what a proper end looks like; `limit` (bytes) bounds an event, beyond which the
    stream passes unread. `withhold_usage` is for a stream whose usage chunk we asked for ourselves:
    its client does not see it. What `feed` returns ends where an event ends, so that something of
    ours may follow.

    `done` tells whether the event that ends such a stream has come, `failed` whether the last thing
    the upstream said was an error.
    """

    __slots__ = (
        "_chunked",
        "_editing",
        "_edits",
        "_finished",
        "_held",
        "_holds",
        "_last",
        "_names",
        "_operation",
        "_plain",
        "_previous",
        "_raw_usage",
        "_shown",
        "_splitter",
        "_typed",
        "_withhold",
        "done",
        "events",
        "failed",
        "usage",
    )

    def __init__(
        self, operation: str, edits: Edits, *, limit: int, withhold_usage: bool = False
    ) -> None:
        self._operation = operation
        self._edits = edits
        self._withhold = withhold_usage
        self._editing = withhold_usage or edits.usage_shown or edits.changes_body
        self._chunked = operation in CHUNKED
        self._typed = operation in TYPED
        # The name to show, for as long as the upstream says another.
        self._shown = edits.model
        # What stands for the name in most chunks, and what is to stand in its place.
        self._names: tuple[bytes, bytes] | None = None
        self._plain = self._chunked and edits.model is None
        # The finish chunk waits for the usage that it is to carry, or for being the last one; some
        # upstreams let another chunk follow it, which then waits in its place.
        self._holds = edits.usage_shown or bool(edits.in_usage) or bool(edits.at_end)
        self._finished = False
        self._held = b""
        if edits.images_wanted and self._typed:
            edits.images = 0
        self._splitter = sse.EventSplitter(limit)
        self._raw_usage: bytes | None = None
        self._previous = self._last = b""
        self.usage: Usage | None = None
        self.events = 0
        self.done = False
        self.failed = False

    @property
    def observed(self) -> bool:
        """Whether all of it could be read: no event was beyond the limit."""
        return not self._splitter.overflowed

    def feed(self, chunk: bytes) -> bytes:
        """Take what came from the upstream; return what may go to the client now."""
        # Nothing but a chunk of content: most are, so they cost a few searches and no more.
        # With `in`, bytes are asked first whether they are a number, which costs more than to look.
        find = chunk.find
        if (
            self._plain
            and chunk[:7] == b"data: {"
            and find(b'"usage"') < 0
            and find(b'"error"') < 0
            and self._splitter.is_event(chunk)
            and (not self._holds or self._is_content(chunk))
        ):
            self.events += 1
            self.failed = False
            self._previous, self._last = self._last, chunk
            return chunk if self._names is None else self._renamed(chunk, self._names)
        if self._splitter.overflowed:
            return chunk
        events = self._splitter.feed(chunk)
        if self._splitter.overflowed:
            unread = events.pop()
            return b"".join([*map(self._pass, events), self._release(), unread])
        if len(events) == 1:
            return self._pass(events[0])
        return b"".join(map(self._pass, events))

    def close(self) -> bytes:
        """Take the clean end of the upstream's body; return what is left to send.

        Afterwards `complete` tells whether it was the proper one: an event that was cut off is not,
        though the blank line after the last may be missing.
        """
        rest = self._splitter.rest
        if sse.data_of(rest):
            self._previous = self._last = b""
            self._observe(rest)
        return self._release() + rest if self.complete else b""

    def give_up(self) -> bytes:
        """Take a broken end of the upstream's body; return what stands before an event of ours.

        That is the whole event that was held. What overflowed the splitter may have been cut inside
        an event, which is ended then, lest ours become part of it.
        """
        held, self._held = self._held, b""
        return held if self.observed else b"\n\n"

    @property
    def complete(self) -> bool:
        """Whether the stream, should it end now, has come to its proper end.

        A stream of chunks may leave out `[DONE]` if it has finished; an error event is an end, for
        the client has been told.
        """
        if self.done or self.failed or not self.observed:
            return True
        if self._chunked:
            return any(has_finish(sse.data_of(event)) for event in (self._last, self._previous))
        return not self._typed

    def _is_content(self, chunk: bytes) -> bool:
        """Whether a chunk, and all before it, finishes nothing for sure."""
        return not self._finished and chunk.count(FINISH) == chunk.count(UNFINISHED)

    def _pass(self, event: bytes) -> bytes:
        data = self._observe(event)
        if self.failed and data and self._edits.error is not None:
            event = self._edits.error(data, self._operation, self.events)
        return self._edit(event, data) if self._editing and data else event

    def _observe(self, event: bytes) -> bytes:
        """Keep what matters of an event; return its data."""
        data = sse.data_of(event)
        if not data:
            return data
        self.events += 1
        if self._typed:
            self.done = self.done or is_terminal_event(data)
            if self._edits.images is not None and COMPLETED in data:
                self._edits.images += 1
        elif data[:6] == b"[DONE]":
            self.done = True
            return data
        self._previous, self._last = self._last, event
        self.failed = data.find(b'"error"') >= 0 and says_error(data)
        if data.find(b'"usage"') >= 0:
            raw = usage_in_event(data)
            if raw is not None:
                self._raw_usage = raw
                self.usage = read_usage(raw, Usage)
                self._edits.answered = read_answered(data, Answered)
        return data

    def _edit(self, event: bytes, data: bytes) -> bytes:
        """Return what goes to the client when this event has come, what was held included."""
        if self._typed:
            return self._edit_typed(event, data)
        if self.done:
            return self._release() + event
        held, self._held = self._held, b""
        if is_usage_chunk(data):
            if self._withhold:
                self._held = held
                return b""
            # It is the last one with data, and carries what the finish chunk would have.
            self._holds = self._finished = False
            self._edits.events = self.events
            whole = edited(data, self._edits, self.usage, raw=self._raw_usage)
            return held + sse.replace_data(event, whole)
        if self._withhold and b'"usage"' in data:
            event = without_usage(event, data)
        if self._shown is not None:
            event = self._with_model(event, self._shown)
        self._finished = self._finished or (self._holds and has_finish(data))
        if self._finished and not self.failed:
            self._held = event
            return held
        return held + event

    def _edit_typed(self, event: bytes, data: bytes) -> bytes:
        """Edit an event of a typed stream: the object that it carries, or the event itself."""
        path = ("response",) if self._operation == "responses" else ()
        if self.failed or (path and b'"response"' not in data):
            return event
        edits = self._edits
        edits.events = self.events
        edits.failed = self.done and b"response.failed" in data and says_failed(data)
        changed = edited(data, edits, self.usage, path) if self.done else named(data, edits, path)
        return event if changed is data else sse.replace_data(event, changed)

    def _release(self) -> bytes:
        """Return the chunk that was held, with what belongs into the last one."""
        held, self._held = self._held, b""
        if not held:
            return b""
        data = sse.data_of(held)
        if self._edits.usage_shown and self._raw_usage is not None:
            data = with_usage(data, self._raw_usage)
        self._edits.events = self.events
        whole = edited(data, self._edits, self.usage, raw=self._raw_usage)
        return sse.replace_data(held, whole)

    def _with_model(self, event: bytes, shown: bytes) -> bytes:
        """Show another model name; the first chunk tells how the others write theirs."""
        if self._names is not None:
            return self._renamed(event, self._names)
        data = sse.data_of(event)
        try:
            span = splice.members(data, ("model",)).get("model")
        except ValueError:
            span = None
        if span is None:
            return event
        start, end = span
        key = data.rfind(b'"model"', 0, start)
        if data[start:end] == shown:
            # Nothing is to be changed, in the chunks that follow no more than in this one.
            self._shown = None
        elif key >= 0:
            self._names = (data[key:end], data[key:start] + shown)
        self._plain = self._chunked and (self._shown is None or self._names is not None)
        return sse.replace_data(event, data[:start] + shown + data[end:])

    def _renamed(self, event: bytes, names: tuple[bytes, bytes]) -> bytes:
        """Show another model name in an event; one that writes its own otherwise is walked."""
        if event.count(b'"model"') == 1 and names[0] in event:
            return event.replace(*names)
        data = sse.data_of(event)
        changed = named(data, self._edits)
        return event if changed is data else sse.replace_data(event, changed)


class _Said(msgspec.Struct):
    error: Any = None
    type: Any = None


_said = msgspec.json.Decoder(_Said)


def says_error(data: bytes) -> bool:
    """Whether an event tells of an error, in the chunks' form or in that of the Responses API."""
    said = _read(data)
    return said.error is not None or said.type == "error"


def says_failed(data: bytes) -> bool:
    """Whether an event brings a response that has failed."""
    return bool(_read(data).type == "response.failed")


def _read(data: bytes) -> _Said:
    try:
        return _said.decode(data)
    except (msgspec.DecodeError, RecursionError):
        return _Said()
