"""A stream of chat chunks, in the words of its client."""

from veneer.compat.answers import Translator
from veneer.wire import sse

# An event beyond this, in bytes, passes as it is, as does all behind it.
MAX_EVENT = 1024 * 1024


class StreamTranslation:
    """Bytes in, bytes out: events that say nothing of calls pass as they are."""

    __slots__ = ("_mark", "_splitter", "_translator")

    def __init__(self, translator: Translator, *, limit: int = MAX_EVENT) -> None:
        self._translator = translator
        self._mark = translator.mark
        self._splitter = sse.EventSplitter(limit)

    def feed(self, chunk: bytes) -> bytes:
        """Take what came from the target; return what goes to the client now."""
        splitter = self._splitter
        if splitter.is_event(chunk) and self._mark not in chunk:
            return chunk
        if splitter.overflowed:
            return chunk
        events = splitter.feed(chunk)
        if splitter.overflowed:
            unread = events.pop()
            return b"".join([*map(self._event, events), unread])
        return b"".join(map(self._event, events))

    def close(self) -> bytes:
        """Take the end of the body; return what is left: an event whose blank line is missing."""
        rest = self._splitter.rest
        return rest if self._mark not in rest else self._event(rest + b"\n\n")

    def _event(self, event: bytes) -> bytes:
        if self._mark not in event:
            return event
        data = sse.data_of(event)
        said = self._translator.event(data)
        if said is None:
            return b""
        return event if said is data else sse.replace_data(event, said)
