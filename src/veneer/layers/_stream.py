"""The pure half of relaying a stream: bytes in, bytes out, and what was seen on the way."""

import msgspec

from veneer.edits import Edits
from veneer.facts import Usage
from veneer.wire import splice, sse
from veneer.wire.usage import (
    has_finish,
    is_terminal_event,
    is_usage_chunk,
    read_usage,
    usage_in_event,
)

# Streams of chunks: a finish chunk, perhaps a usage chunk, then [DONE].
CHUNKED = frozenset(["chat.completions", "completions"])
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

    `operation` says what a proper end looks like. `withhold_usage` is for a stream whose usage chunk
    we asked for ourselves: its client does not see it. What `feed` returns ends where an event
    ends, so that something of ours may follow.
    """

    __slots__ = (
        "_edits",
        "_editing",
        "_held",
        "_holds",
        "_last",
        "_model",
        "_operation",
        "_previous",
        "_raw_usage",
        "_splitter",
        "_typed",
        "_withhold",
        "done",
        "events",
        "usage",
    )

    def __init__(self, operation: str, edits: Edits, *, withhold_usage: bool = False) -> None:
        self._operation = operation
        self._edits = edits
        self._withhold = withhold_usage
        self._editing = withhold_usage or edits.usage_shown or edits.changes_body
        self._typed = operation in TYPED
        # The finish chunk waits for the usage that it is to carry, or for being the last one.
        self._holds = edits.usage_shown or bool(edits.in_usage) or bool(edits.at_end)
        self._splitter = sse.EventSplitter()
        self._held = b""
        self._raw_usage: bytes | None = None
        self._model: tuple[bytes, bytes] | None = None
        self._previous = self._last = b""
        self.usage: Usage | None = None
        self.events = 0
        self.done = False

    @property
    def observed(self) -> bool:
        """Whether all of it could be read: no event was beyond the splitter's bound."""
        return not self._splitter.overflowed

    def feed(self, chunk: bytes) -> bytes:
        """Take what came from the upstream; return what may go to the client now."""
        events = self._splitter.feed(chunk)
        if self._splitter.overflowed:
            return b"".join(events)
        if not self._editing:
            for event in events:
                self._observe(event)
            return events[0] if len(events) == 1 else b"".join(events)
        return b"".join([self._edit(event) for event in events])

    def close(self) -> bytes:
        """Take the clean end of the upstream's body; return what is left to send."""
        return self._release() + self._splitter.rest

    def give_up(self) -> bytes:
        """Take a broken end of the upstream's body; return the whole events that are left."""
        held, self._held = self._held, b""
        return held

    @property
    def complete(self) -> bool:
        """Whether the stream, should it end now, has come to its proper end.

        A stream of chunks may leave out `[DONE]` if it has finished; an error event is an end, for
        the client has been told.
        """
        if self.done or not self.observed:
            return True
        ends = [sse.data_of(event) for event in (self._previous, self._last) if event]
        if self._operation in CHUNKED:
            return any(has_finish(data) for data in ends) or self._failed(ends)
        if self._operation in TYPED:
            return self._failed(ends)
        return True

    @staticmethod
    def _failed(ends: list[bytes]) -> bool:
        return (
            bool(ends)
            and b'"error"' in ends[-1]
            and splice.value(ends[-1], ("error",)) not in (None, b"null")
        )

    def _observe(self, event: bytes) -> None:
        """Keep what matters of an event; nothing but a few searches where nothing does."""
        if event[:1] == b":":
            return
        self.events += 1
        self._previous, self._last = self._last, event
        if event[:7] != b"data: {":
            if self._typed:
                self.done = self.done or is_terminal_event(sse.data_of(event))
            else:
                self.done = self.done or sse.is_done(event)
        elif self._typed and is_terminal_event(sse.data_of(event)):
            self.done = True
        if b'"usage"' in event:
            raw = usage_in_event(sse.data_of(event))
            if raw is not None:
                self._raw_usage = raw
                self.usage = usage_of(raw)

    def _edit(self, event: bytes) -> bytes:
        """Return what goes to the client when this event has come, what was held included."""
        self._observe(event)
        data = sse.data_of(event)
        if data[:1] != b"{":
            return self._release() + event if self.done else event
        if self._typed:
            return self._edit_typed(event, data)
        if is_usage_chunk(data):
            if self._withhold:
                return b""
            held, self._held = self._held, b""
            return held + sse.replace_data(event, edited(data, self._edits, self.usage))
        if self._withhold:
            event = event.replace(b',"usage":null', b"", 1)
        if self._edits.model is not None:
            event = self._with_model(event)
        held, self._held = self._held, b""
        if self._holds and has_finish(data):
            self._held = event
            return held
        return held + event

    def _edit_typed(self, event: bytes, data: bytes) -> bytes:
        """Edit an event of a typed stream: the object that it carries, or the event itself."""
        path = ("response",) if self._operation == "responses" else ()
        if path and b'"response"' not in data:
            return event
        edits = self._edits
        changed = edited(data, edits, self.usage, path) if self.done else named(data, edits, path)
        return event if changed is data else sse.replace_data(event, changed)

    def _release(self) -> bytes:
        """Return the finish chunk that was held, with what belongs into the last data event."""
        held, self._held = self._held, b""
        if not held:
            return b""
        data = sse.data_of(held)
        if self._edits.usage_shown and self._raw_usage is not None:
            data = splice.set_member(data, (), "usage", self._raw_usage)
        return sse.replace_data(held, edited(data, self._edits, self.usage))

    def _with_model(self, event: bytes) -> bytes:
        """Show another model name; the member looks alike in every chunk, so it is found once."""
        if self._model is None:
            data = sse.data_of(event)
            spans = splice.members(data, frozenset(["model"]))
            if "model" not in spans or self._edits.model is None:
                return event
            start, end = spans["model"]
            key = data[data.rindex(b'"model"', 0, start) : start]
            self._model = (key + data[start:end], key + self._edits.model)
        return event.replace(*self._model, 1)


def edited(data: bytes, edits: Edits, usage: Usage | None, path: tuple[str, ...] = ()) -> bytes:
    """Return the last object of an answer with every edit; its other bytes stay as they are."""
    data = named(data, edits, path)
    if usage is not None and edits.in_usage and splice.value(data, (*path, "usage")) is not None:
        data = splice.insert(data, (*path, "usage"), edits.usage_members(usage))
    members = edits.end_members(usage)
    return splice.insert(data, path, members) if members else data


def named(data: bytes, edits: Edits, path: tuple[str, ...] = ()) -> bytes:
    """Return an object of an answer with the model name to show, where it names one."""
    if edits.model is None or splice.value(data, (*path, "model")) is None:
        return data
    return splice.replace(data, (*path, "model"), edits.model)


def usage_of(raw: bytes) -> Usage | None:
    """Return the fact for a raw usage object."""
    counts = read_usage(raw)
    return None if counts is None else Usage(**msgspec.structs.asdict(counts))
