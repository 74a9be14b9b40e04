"""The pure half of relaying a plain answer: its parts in, its bytes out, and what they say."""

import msgspec
from starlette.types import Message

from veneer.edits import Edits
from veneer.facts import Answered, Usage
from veneer.layers._edited import edited
from veneer.wire.answered import images_in, read_answer, read_answered
from veneer.wire.ending import Ending
from veneer.wire.failure import says_error
from veneer.wire.usage import read_usage, usage_in_body

# What an image in an answer has, whose data no quote is part of.
IMAGE = b'"b64_json"'


class BodyRelay:
    """A JSON body, held until it is whole, so that a broken one can be answered with an error.

    One larger than `limit` (bytes) passes as it comes, and only its end is read: then `overflowed`
    is true, and after its last part `usage` is what stands there. Of one that is whole, `observed`
    tells whether it was the JSON that it was called, `edited` whether it differs from what the
    upstream sent. `size` is how much of it came, `start` the message that goes before it.
    """

    __slots__ = (
        "_edits",
        "_ending",
        "_limit",
        "_parts",
        "_tail",
        "edited",
        "observed",
        "overflowed",
        "size",
        "start",
        "usage",
    )

    def __init__(self, edits: Edits, start: Message, *, limit: int) -> None:
        self._edits = edits
        self.start = start
        self._limit = limit
        self._parts: list[bytes] = []
        # Made once it is too much to be held.
        self._ending: Ending | None = None
        # What was counted last, as far as the name of an image may begin in it.
        self._tail = b""
        self.size = 0
        # Whether it is larger than may be held.
        self.overflowed = False
        self.usage: Usage | None = None
        self.observed = False
        self.edited = False

    def take(self, part: bytes, *, more: bool) -> bytes | None:
        """Take a part; return what may go to the client now, None for as long as all is held."""
        self.size += len(part)
        if self.overflowed:
            return self._passed(part, more=more)
        parts = self._parts
        if self.size > self._limit:
            self.overflowed = True
            body = b"".join((*parts, part))
            parts.clear()
            return self._passed(body, more=more)
        if more:
            parts.append(part)
            return None
        return self._edited(b"".join((*parts, part)) if parts else part)

    def _edited(self, body: bytes) -> bytes:
        """Read the whole body; return it with its edits."""
        edits = self._edits
        raw, edits.answered = read_answer(body, Answered)
        if raw is None:
            self.observed = is_json(body)
        else:
            self.observed = True
            self.usage = read_usage(raw, Usage)
        if edits.images_wanted:
            edits.images = images_in(body)
        if not (self.observed and edits.changes_body):
            return body
        if edits.beside is not None:
            edits.failed = body.find(b'"error"') >= 0 and says_error(body)
        changed = edited(body, edits, self.usage, raw=raw)
        self.edited = changed is not body
        return changed

    def _passed(self, part: bytes, *, more: bool) -> bytes:
        """Return what is not held; of an answer with images these are counted all the same."""
        if self._ending is None:
            self._ending = Ending()
        self._ending.take(part)
        if self._edits.images_wanted:
            text = self._tail + part
            came = text.count(IMAGE)
            if came:
                self._edits.images = (self._edits.images or 0) + came
            self._tail = text[1 - len(IMAGE) :]
        if not more:
            self._read_end(self._ending)
        return part

    def _read_end(self, ending: Ending) -> None:
        members = ending.members()
        raw = None if members is None else usage_in_body(members)
        if members is not None and raw is not None:
            self.usage = read_usage(raw, Usage)
            self._edits.answered = read_answered(members, Answered)


def is_json(body: bytes) -> bool:
    """Whether these bytes are JSON text."""
    try:
        msgspec.json.decode(body, type=msgspec.Raw)
    except (msgspec.DecodeError, RecursionError):
        return False
    return True
