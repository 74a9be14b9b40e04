"""The pure half of relaying a plain answer: its parts in, its bytes out, and what they say."""

import msgspec

from veneer.edits import Edits
from veneer.facts import Answered, Usage
from veneer.layers._edited import edited
from veneer.layers._stream import says_error
from veneer.wire.answered import images_in, read_answer, read_answered
from veneer.wire.ending import Ending
from veneer.wire.usage import read_usage, usage_in_body

# What an image in an answer has, whose data no quote is part of.
IMAGE = b'"b64_json"'


class BodyRelay:
    """A JSON body, held until it is whole, so that a broken one can be answered with an error.

    One larger than `limit` (bytes) passes as it comes, and only its end is read: after `pass_end`,
    `usage` is what stands there. After `close`, `observed` tells whether it was the JSON that it
    was called, `edited` whether it differs from what the upstream sent.
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
        "usage",
    )

    def __init__(self, edits: Edits, *, limit: int) -> None:
        self._edits = edits
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

    def feed(self, part: bytes) -> None:
        """Take what came from the upstream."""
        self._parts.append(part)
        self.size += len(part)
        self.overflowed = self.size > self._limit

    def give_up(self) -> bytes:
        """Return what was held, as it came."""
        body = b"".join(self._parts)
        self.pass_by(body)
        return body

    def pass_by(self, part: bytes) -> None:
        """Take what is not held; of an answer with images these are counted all the same."""
        if self._ending is None:
            self._ending = Ending()
        self._ending.take(part)
        if self._edits.images_wanted:
            text = self._tail + part
            came = text.count(IMAGE)
            if came:
                self._edits.images = (self._edits.images or 0) + came
            self._tail = text[1 - len(IMAGE) :]

    def pass_end(self) -> None:
        """Take the end of what is not held."""
        members = None if self._ending is None else self._ending.members()
        raw = None if members is None else usage_in_body(members)
        if members is not None and raw is not None:
            self.usage = read_usage(raw, Usage)
            self._edits.answered = read_answered(members, Answered)

    def close(self) -> bytes:
        """Take the end; return the whole body with its edits."""
        parts = self._parts
        body = parts[0] if len(parts) == 1 else b"".join(parts)
        raw, self._edits.answered = read_answer(body, Answered)
        if raw is None:
            self.observed = is_json(body)
        else:
            self.observed = True
            self.usage = read_usage(raw, Usage)
        if self._edits.images_wanted:
            self._edits.images = images_in(body)
        if self.observed and self._edits.changes_body:
            if self._edits.beside is not None:
                self._edits.failed = body.find(b'"error"') >= 0 and says_error(body)
            came = body
            body = edited(came, self._edits, self.usage, raw=raw)
            self.edited = body is not came
        return body


def is_json(body: bytes) -> bool:
    """Whether these bytes are JSON text."""
    try:
        msgspec.json.decode(body, type=msgspec.Raw)
    except (msgspec.DecodeError, RecursionError):
        return False
    return True
