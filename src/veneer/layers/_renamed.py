"""Another id in the chunks of a stream, at the cost of a search where they all write it alike."""

import msgspec

from veneer.wire import splice, sse

BLANK_LINE = b"\n\n"


class Renamed:
    """Puts an id in the place of the upstream's, in whole events."""

    __slots__ = ("_heads", "_id", "_names")

    def __init__(self, name: str) -> None:
        self._id = msgspec.json.encode(name)
        # What stands for the upstream's id in its chunks, and what is to stand there.
        self._names: tuple[bytes, bytes] | None = None
        # The same from the beginning of an event on, where it is the first member.
        self._heads: tuple[bytes, bytes] | None = None

    def feed(self, events: bytes) -> bytes:
        """Return the events with the other id."""
        heads, names = self._heads, self._names
        if (
            heads is not None
            and events.startswith(heads[0])
            and events.find(BLANK_LINE) == len(events) - 2
        ):
            return heads[1] + events[len(heads[0]) :]
        # In a text, quotes are escaped: those are members.
        if names is not None and events.count(names[0]) == events.count(b'"choices"') > 0:
            return events.replace(*names)
        splitter = sse.EventSplitter(len(events) + 1)
        renamed = [self._rename(event) for event in splitter.feed(events)]
        return b"".join([*renamed, splitter.rest])

    def _rename(self, event: bytes) -> bytes:
        data = sse.data_of(event)
        if data[:1] != b"{":
            return event
        try:
            found = splice.members(data, ("id", "choices"))
        except ValueError:
            return event
        # An error is no part of the completion.
        if "choices" not in found or "id" not in found:
            return event
        start, end = found["id"]
        key = data.rfind(b'"id"', 0, start)
        # Some begin with an empty id, or null, as calls of tools have; a number may begin another.
        if key >= 0 and end - start > len(b'""') and data.startswith(b'"', start):
            self._names = (data[key:end], data[key:start] + self._id)
            head = b"data: " + data[:start]
            first = data[:key].strip() == b"{" and event.startswith(head)
            self._heads = (head + data[start:end], head + self._id) if first else None
        return sse.replace_data(event, data[:start] + self._id + data[end:])
