"""Outcomes: which answers of a target have another one asked, and what is told in the end."""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any, Literal

import msgspec

from veneer.facts import Usage
from veneer.upstream.transport import Headers
from veneer.wire import fields
from veneer.wire.usage import read_usage, usage_in_body

Why = Literal["status", "error", "timeout", "unreachable", "broken"]

LIMITED = HTTPStatus.TOO_MANY_REQUESTS
# What a key is refused with, or an account that has nothing left.
REFUSALS = frozenset(
    [HTTPStatus.UNAUTHORIZED, HTTPStatus.PAYMENT_REQUIRED, HTTPStatus.FORBIDDEN],
)
DONE = b"[DONE]"


class Rules(msgspec.Struct, frozen=True):
    """Which statuses have another target asked.

    Any other is the client's to see, who has asked for what cannot be. Of those below 500: the
    operator's key or account is refused (401, 402, 403), a target has not the model that it is said
    to have (404), is too slow (408), too busy (429), or not ready for this (425). A conflict (409)
    is about something that the client has begun before.
    """

    statuses: frozenset[int] = REFUSALS | {404, 408, 425, 429} | frozenset(range(500, 600))

    def fail(self, status: int) -> bool:
        """Whether a status has another target asked."""
        return status in self.statuses

    def error_fails(self, error: "StreamError") -> bool:
        """Whether an error in place of a stream's first event does."""
        for said in (error.status, error.code):
            if isinstance(said, int) and said in range(400, 600):
                return self.fail(said)
        return bool(error.type != "invalid_request_error")


RULES = Rules()


class StreamError(msgspec.Struct):
    """An error that a stream has in place of an event; of any shape, with what is known of it."""

    type: Any = None
    code: Any = None
    status: Any = None


class _Event(msgspec.Struct):
    type: Any = None
    error: msgspec.Raw = msgspec.Raw()


_event = msgspec.json.Decoder(_Event).decode
_error = msgspec.json.Decoder(StreamError).decode


def error_in(data: bytes) -> StreamError | None:
    """Return the error that an event's data is, None where it is none, or cannot be read."""
    # Not `in`: for bytes, that raises and drops an exception first.
    if data.find(b'"error"') < 0:
        return None
    try:
        event = _event(data)
        error = bytes(event.error)
        if error[:1] == b"{":
            return _error(error)
        if error[:1] == b'"':
            return StreamError()
        return _error(data) if event.type == "error" else None
    except (ValueError, RecursionError):
        return None


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """How a try failed.

    `status` and `headers` are the target's, where it gave some. `whole` is whether all of its
    answer is held, and may be passed on.
    """

    why: Why
    status: int | None = None
    headers: Headers = []
    reached: bool = True
    whole: bool = False
    usage: Usage | None = None

    @property
    def is_limited(self) -> bool:
        """Whether it was asked too much."""
        return self.status == LIMITED

    def retry_after(self) -> float | None:
        """Return the seconds after which the target wants to be asked again, None for no word."""
        exact = fields.get(self.headers, b"retry-after-ms")
        if exact is not None and exact.isdigit() and len(exact) < MAX_DIGITS:
            return int(exact) / 1000
        said = fields.get(self.headers, b"retry-after")
        return None if said is None else _seconds(said)


MAX_DIGITS = 12


def _seconds(retry_after: bytes) -> float | None:
    """Return what Retry-After says: seconds, or a date (RFC 9110 §10.2.3)."""
    if retry_after.isdigit():
        return float(retry_after) if len(retry_after) < MAX_DIGITS else None
    try:
        at = parsedate_to_datetime(retry_after.decode("ascii"))
    except (ValueError, OverflowError):
        return None
    if at.tzinfo is None:
        at = at.replace(tzinfo=UTC)
    return max(0.0, (at - datetime.now(UTC)).total_seconds())


def usage_in(error: bytes) -> Usage | None:
    """Return the usage that the text of an error tells, if it does."""
    raw = usage_in_body(error) if b'"usage"' in error else None
    return None if raw is None else read_usage(raw, Usage)
