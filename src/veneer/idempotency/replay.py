"""Replays, and what is answered where there is none."""

import msgspec
from starlette.types import Receive, Scope, Send

from veneer.dialects import Kind
from veneer.errors import Error
from veneer.idempotency.store import Recording

MISMATCH = Error(
    Kind.IDEMPOTENCY_MISMATCH,
    "This idempotency key was used for a different request. Use a new one for a new request.",
)
IN_FLIGHT = Error(
    Kind.IDEMPOTENCY_IN_FLIGHT,
    "A request with this idempotency key is still being answered. Try again in a moment.",
    headers=((b"retry-after", b"1"),),
)
NOT_KEPT = Error(
    Kind.IDEMPOTENCY_NOT_KEPT,
    "The request with this idempotency key was answered, with more than is kept to be replayed.",
)
UNAVAILABLE = Error(
    Kind.IDEMPOTENCY_UNAVAILABLE,
    "Idempotency keys cannot be looked up at present. Try again in a moment.",
    headers=((b"retry-after", b"2"),),
)

# What is sent at once of a recording, in bytes.
PIECE = 256 * 1024


class Replay(msgspec.Struct, frozen=True):
    """An ASGI app that answers what was recorded."""

    recording: Recording

    def with_field(self, field: tuple[bytes, bytes]) -> "Replay":
        """Return the same with one more field."""
        recording = self.recording
        return Replay(Recording(recording.status, (*recording.headers, field), recording.body))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the whole answer."""
        del scope, receive
        recording = self.recording
        headers = list(recording.headers)
        await send({"type": "http.response.start", "status": recording.status, "headers": headers})
        body = recording.body
        for start in range(0, len(body) - PIECE, PIECE):
            piece = body[start : start + PIECE]
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        rest = body[(len(body) - 1) // PIECE * PIECE :] if body else b""
        await send({"type": "http.response.body", "body": rest})
