"""The pure half of relaying a stream: bytes in, bytes out, and what was seen on the way."""

from collections.abc import Callable

from veneer.edits import Edits
from veneer.facts import Answered, Usage
from veneer.layers._edited import edited, named, with_usage, without_usage
from veneer.layers._naming import Naming
from veneer.wire import sse
from veneer.wire.answered import read_answered
from veneer.wire.failure import says_error, says_failed
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
# What may stand for usage that is yet to come.
USAGE = b'"usage"'
NULL = (b":null", b": null")
LF, CR = b"\n\r"
# Streams of typed events: the last one says how it ended.
TYPED = frozenset(
    ["responses", "images.generations", "images.edits", "audio.speech", "audio.transcriptions"]
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
        "_error",
        "_finished",
        "_held",
        "_holds",
        "_last",
        "_naming",
        "_operation",
        "_previous",
        "_raw_usage",
        "_splitter",
        "_typed",
        "_withhold",
        "done",
        "events",
        "failed",
        "usage",
    )

    def __init__(
        self,
        operation: str,
        edits: Edits,
        *,
        limit: int,
        withhold_usage: bool = False,
        error: Callable[[bytes, str, int], bytes] | None = None,
    ) -> None:
        self._operation = operation
        self._edits = edits
        self._error = error
        self._withhold = withhold_usage
        self._editing = withhold_usage or edits.usage_shown or edits.changes_body
        self._chunked = operation in CHUNKED
        self._typed = operation in TYPED
        self._naming = None if edits.model is None else Naming(edits.model)
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
        # Nothing but a chunk of content, in one line: most are, so they cost a few searches, and no
        # call of ours. With `in`, more than one byte costs more than to look for it with `find`.
        find = chunk.find
        if (
            self._chunked
            and self._splitter.idle
            and chunk[:7] == b"data: {"
            and find(b"\n") == len(chunk) - 2
            and chunk[-1] == LF
            and CR not in chunk
            and (
                (usage := find(USAGE)) < 0
                or (chunk.startswith(NULL, usage + len(USAGE)) and find(USAGE, usage + 1) < 0)
            )
            and find(b'"error"') < 0
            and not self._finished
            and (not self._holds or chunk.count(FINISH) == chunk.count(UNFINISHED))
        ):
            self.events += 1
            self.failed = False
            self._previous, self._last = self._last, chunk
            if usage >= 0 and self._withhold:
                chunk = without_usage(chunk, chunk[6:-2])
            return chunk if self._naming is None else self._naming.named(chunk)
        if self._splitter.overflowed:
            return chunk
        events = self._splitter.feed(chunk)
        if self._splitter.overflowed:
            unread = events.pop()
            return b"".join([*map(self._pass, events), self._release(), unread])
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

    def _pass(self, event: bytes) -> bytes:
        data = self._observe(event)
        if self.failed and data and self._error is not None:
            event = self._error(data, self._operation, self.events)
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
        if self._naming is not None:
            event = self._naming.named(event)
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
        if self.done:
            changed = edited(data, edits, self.usage, path)
        elif edits.model is not None:
            changed = named(data, edits.model, path)
        else:
            return event
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
