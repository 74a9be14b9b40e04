"""The name of the model in the events of a stream: another one to show, in each of them."""

from veneer.layers._edited import MODEL, named
from veneer.wire import splice, sse


class Naming:
    """Shows a name, given as JSON, in the chunks of one stream, which mostly write theirs alike."""

    __slots__ = ("_alike", "_needless", "_shown")

    def __init__(self, shown: bytes) -> None:
        self._shown = shown
        # What stands for the name in most chunks, and what is to stand in its place.
        self._alike: tuple[bytes, bytes] | None = None
        # Whether the upstream says that name itself.
        self._needless = False

    def named(self, event: bytes) -> bytes:
        """Return the event with the name to show; the first that has one tells how others do."""
        if self._needless:
            return event
        if self._alike is None:
            return self._first(event)
        if event.count(MODEL) == 1 and self._alike[0] in event:
            return event.replace(*self._alike)
        data = sse.data_of(event)
        changed = named(data, self._shown)
        return event if changed is data else sse.replace_data(event, changed)

    def _first(self, event: bytes) -> bytes:
        data = sse.data_of(event)
        try:
            span = splice.members(data, ("model",)).get("model")
        except ValueError:
            span = None
        if span is None:
            return event
        start, end = span
        key = data.rfind(MODEL, 0, start)
        if data[start:end] == self._shown:
            self._needless = True
        elif key >= 0:
            self._alike = (data[key:end], data[key:start] + self._shown)
        return sse.replace_data(event, data[:start] + self._shown + data[end:])
