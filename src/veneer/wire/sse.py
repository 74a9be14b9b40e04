r"""Server-sent events as bytes: where one ends, what it says, and how its data is replaced.

The grammar is WHATWG HTML §9.2.5 and §9.2.6. An event here is a piece of the stream up to and
including the blank line that ends it, so that pieces joined are the stream again. A blank line is
a line end right after a line end: LF LF, LF CR LF, LF CR or CR CR. Two choices keep the pieces
independent of how the stream was cut into chunks:

1. Further blank lines after an event lead the next piece, where they mean nothing.
2. A piece ended by CR CR is complete at once, although an LF of the same line end may follow; that
   LF leads the next piece. After LF CR the piece waits for one byte more, because such a stream
   uses CRLF and the LF is on its way.
"""

import re

BOM = b"\xef\xbb\xbf"
KEEP_ALIVE = b": keep-alive\n\n"
"""A heartbeat: a comment, and the blank line after which line-buffering readers hand it on."""
KEEP_ALIVE_LINE = b": keep-alive\n"
"""The heartbeat for streams with ids, where openai-python takes a blank line for an event."""

_LF = 10
_CR = 13
_BLANK = (b"\n", b"\r\n", b"\r")
_LINE = re.compile(rb"([^\r\n]*)(\r\n|\r|\n)")


class EventSplitter:
    """Cut a stream, fed in chunks of any size, into its events without changing a byte.

    The events returned so far, joined, and `rest` are always what was fed. An unfinished event
    longer than `limit` bytes ends the splitting: `overflowed` turns true, and the bytes pass as
    they come, one piece for each chunk. `idle` is whether an event begins with the next byte.
    """

    __slots__ = ("_limit", "_line", "_pending", "idle", "overflowed")

    def __init__(self, limit: int = 1024 * 1024) -> None:
        if limit < 1:
            raise ValueError(f"limit is in bytes and must be at least 1, not {limit}")
        self._limit = limit
        self._pending = bytearray()
        # Where in it the unfinished line begins.
        self._line = 0
        # Nothing is pending, and no further byte can belong to the last line end.
        self.idle = True
        self.overflowed = False

    @property
    def rest(self) -> bytes:
        """The unfinished tail: bytes that were fed and not yet returned."""
        return bytes(self._pending)

    def is_event(self, chunk: bytes) -> bool:
        """Whether these next bytes are one whole event of one `data` line, perhaps after its type.

        Most chunks are. Whoever knows it of one need not `feed` it.
        """
        if not self.idle:
            return False
        start = chunk.find(b"\n") + 1 if chunk[:6] == b"event:" else 0
        return (
            chunk[start : start + 5] == b"data:"
            and chunk.find(b"\n", start) == len(chunk) - 2
            and chunk[-1] == _LF
            and _CR not in chunk
        )

    def feed(self, chunk: bytes) -> list[bytes]:
        """Take the next bytes of the stream; return the events that they complete."""
        if self.is_event(chunk):
            return [chunk]
        if self.overflowed or not chunk:
            return [chunk] if chunk else []
        return self._split(chunk)

    def _split(self, chunk: bytes) -> list[bytes]:
        text: bytes | bytearray = chunk
        events: list[bytes] = []
        if self._pending:
            text = self._pending
            ended = _LF in chunk or _CR in chunk or text[-1] == _CR
            text += chunk
            if not ended:
                return self._bounded(events)

        # From here on: where the event begins, and where in it the line.
        start, end = 0, self._line
        lines = text[end:].splitlines(keepends=True)
        for line in lines:
            begin, end = end, end + len(line)
            if line not in _BLANK or begin == start:
                continue
            after_cr = text[begin - 1] == _CR
            if line == b"\r" and end == len(text) and not after_cr:
                break
            cut = end - 1 if after_cr and line == b"\r\n" else end
            events.append(bytes(text[start:cut]))
            start = cut

        if lines[-1][-1] != _LF and start < end:
            end -= len(lines[-1])
        self._line = end - start
        if start or text is chunk:
            self._pending = bytearray(text[start:])
        return self._bounded(events)

    def _bounded(self, events: list[bytes]) -> list[bytes]:
        pending = self._pending
        if len(pending) > self._limit:
            self.overflowed = True
            events.append(bytes(pending))
            pending.clear()
        after_cr = bool(events) and events[-1][-1] == _CR
        self.idle = not (pending or after_cr or self.overflowed)
        return events


def data_of(event: bytes) -> bytes:
    """Return the data of an event: its `data` lines joined by LF, empty if it has none.

    A `BOM` that leads the event is skipped, as it would lead the stream.
    """
    start = event.find(b"\n") + 7 if event[:6] == b"event:" else 6
    if (
        event[start - 6 : start] == b"data: "
        and event.find(b"\n", start) == len(event) - 2
        and _CR not in event
    ):
        return event[start:-2]
    if event[:3] == BOM:
        event = event[3:]
    values = [
        line[6:] if line[5:6] == b" " else line[5:]
        for line in event.splitlines()
        if line[:5] == b"data:" or line == b"data"
    ]
    return values[0] if len(values) == 1 else b"\n".join(values)


def replace_data(event: bytes, data: bytes) -> bytes:
    """Return the event with other data; its other fields, comments and line ends stay.

    An event without data gets its first `data` line before the blank line that ends it.
    """
    bom = BOM if event.startswith(BOM) else b""
    lines = [(match[1], match[2]) for match in _LINE.finditer(event, len(bom))]
    at = [i for i, (line, _) in enumerate(lines) if line[:5] == b"data:" or line == b"data"]
    # The last line is the one replaced: after a CR only a line that is not empty may be dropped,
    # lest that CR and the LF of the blank line become one line end.
    place = at[-1] if at else len(lines) - 1
    written = [
        _data_lines(data, end) + (b"" if at else end) if i == place else line + end
        for i, (line, end) in enumerate(lines)
        if i == place or i not in at
    ]
    return bom + b"".join(written)


def _data_lines(data: bytes, end: bytes) -> bytes:
    if _LF not in data and _CR not in data:
        return b"data: " + data + end
    lines = re.split(rb"\r\n|\r|\n", data)
    return b"".join([b"data: " + line + end for line in lines])
