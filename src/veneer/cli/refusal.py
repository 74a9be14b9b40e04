"""What a client is told that does not speak HTTP/1.1 as it should: in the API's envelope."""

import logging
from collections.abc import Iterable
from http import HTTPStatus

from veneer import facts
from veneer.dialects import Dialect, Kind
from veneer.errors import Error
from veneer.facts import RequestId
from veneer.wire.ids import request_id

logger = logging.getLogger("veneer.server")

MALFORMED = Error(Kind.INVALID_REQUEST, "The request is not well-formed HTTP/1.1.")
LATE = Error(Kind.REQUEST_TIMEOUT, "The header of the request did not arrive in time.")


def too_large(limit: int) -> Error:
    """Return the error for a header of more bytes."""
    return Error(
        Kind.INVALID_REQUEST,
        f"The header of the request is over the limit of {limit} bytes.",
        status=HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
    )


def too_long(limit: int) -> Error:
    """Return the error for a URL of more bytes."""
    return Error(
        Kind.INVALID_REQUEST,
        f"The URL is over the limit of {limit} bytes.",
        status=HTTPStatus.REQUEST_URI_TOO_LONG,
    )


def rendered(error: Error, dialect: Dialect, fields: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Return the whole response that says it, with more header fields, and closes; it is logged."""
    own_id = request_id()
    known = {Dialect: dialect, RequestId: RequestId(own_id)}
    dialect, failure = error.in_dialect({facts.SCOPE_KEY: known})
    body = dialect.body(failure)
    status = HTTPStatus(error.status or failure.form.status)
    logger.info("refused a request (%d, %s): %s", status, own_id, error.message)
    headers = [
        *fields,
        *((name, own_id.encode()) for name in dialect.request_id_headers),
        (b"content-type", b"application/json; charset=utf-8"),
        (b"content-length", b"%d" % len(body)),
        (b"connection", b"close"),
    ]
    lines = [b"HTTP/1.1 %d %b" % (status, status.phrase.encode())]
    lines += [b"%b: %b" % pair for pair in headers]
    return b"\r\n".join([*lines, b"", body])
