"""Errors: what a layer answers when it refuses; an error is an ASGI app."""

from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import final

import msgspec
from starlette.types import Receive, Scope, Send

from veneer import facts
from veneer.dialects import OPENAI, Dialect, Failure, Kind
from veneer.facts import RequestId, Route
from veneer.wire.splice import DuplicateMemberError

Field = tuple[bytes, bytes]

WAITS = frozenset([b"retry-after", b"retry-after-ms"])
# Statuses that are over after some time.
BUSY = frozenset([HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE])


class BrokenResponseError(Exception):
    """An upstream's answer that began and cannot be completed; whoever began it must cut it off."""


@final
class Error(msgspec.Struct, frozen=True):
    """A refusal or a failure, to be said in the dialect of the request.

    `message` is for the client: one sentence, nothing secret. `param` names the offending member of
    the request. `headers` are added to the response; `status` replaces the dialect's own where an
    upstream's is to be kept. `retry` replaces the dialect's advice on trying again. `terms` are
    what a dialect may word the message with; `suggestion` is one sentence on what may be done
    instead, for dialects that have a place for it.
    """

    kind: Kind
    message: str
    param: str | None = None
    headers: tuple[Field, ...] = ()
    status: int | None = None
    retry: bool | None = None
    terms: Mapping[str, str] = {}
    suggestion: str | None = None

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        """Send the whole response: envelope, status, and advice on retrying."""
        dialect, failure = self.in_dialect(scope)
        body = dialect.body(failure)
        headers = [
            (b"content-type", b"application/json; charset=utf-8"),
            (b"content-length", b"%d" % len(body)),
            *(self.headers if failure.form.wait else without_waits(self.headers)),
        ]
        retry = failure.form.retry if self.retry is None else self.retry
        if retry is not None:
            headers.append((b"x-should-retry", b"true" if retry else b"false"))
        if dialect.error_fields is not None:
            headers += dialect.error_fields(failure)
        status = self.status or failure.form.status
        if dialect.wait is not None and status in BUSY and retry is not False:
            _advise(headers, dialect.wait)
        await send({"type": "http.response.start", "status": status, "headers": headers})
        if scope["method"] == "HEAD":
            body = b""
        await send({"type": "http.response.body", "body": body})

    def event(self, scope: Scope, operation: str, sequence: int = 0) -> bytes:
        """Return the event that ends a stream of this operation when it cannot go on.

        `sequence` is how many events went before it.
        """
        dialect, failure = self.in_dialect(scope)
        return dialect.event(msgspec.structs.replace(failure, sequence=sequence), operation)

    def in_dialect(self, scope: Scope) -> tuple[Dialect, Failure]:
        """Return the request's dialect, and this error in its words."""
        dialect = facts.get(scope, Dialect) or OPENAI
        request_id = facts.get(scope, RequestId)
        failure = Failure(
            dialect.forms[self.kind],
            self.message,
            self.param,
            None if request_id is None else request_id.value,
            terms=self.terms,
            route=facts.get(scope, Route),
            suggestion=self.suggestion,
        )
        return dialect, failure


def unreadable(error: Exception) -> Error:
    """Return the refusal of a call by what was raised when its body was read."""
    if isinstance(error, DuplicateMemberError):
        return Error(
            Kind.INVALID_JSON, f"The member '{error.name}' stands twice.", param=error.name
        )
    return Error(Kind.INVALID_JSON, f"The request body cannot be read: {error}.")


def _advise(headers: list[Field], wait: int) -> None:
    """Say after how many seconds to try again, where nothing says so yet."""
    if not any(name in WAITS for name, _ in headers):
        headers.append((b"retry-after", b"%d" % wait))


def without_waits(headers: Iterable[Field]) -> list[Field]:
    """Return fields without those that say after what time to try again."""
    return [field for field in headers if field[0] not in WAITS]


INTERNAL = Error(Kind.INTERNAL, "The server had an error while processing your request.")
BODY_LATE = Error(
    Kind.REQUEST_TIMEOUT,
    "The request body did not arrive in time.",
    headers=((b"connection", b"close"),),
)
