"""Errors of apps and upstreams, whatever they look like, as errors that a dialect can say."""

from http import HTTPStatus
from typing import Any

import msgspec
from starlette.types import Message, Scope

from veneer.dialects import Dialect
from veneer.dialects.foreign import kind_in_stream, kind_of
from veneer.errors import Error

MAX_MESSAGE = 1000

# What describes a body that is not sent any more.
REPLACED = frozenset(
    [
        b"content-type",
        b"content-length",
        b"content-encoding",
        b"content-language",
        b"content-disposition",
        b"transfer-encoding",
        b"etag",
        b"last-modified",
    ]
)


class Detail(msgspec.Struct):
    """What can be read from an error body: OpenAI's envelope, or one of the common bare forms."""

    error: Any = None
    detail: Any = None
    message: Any = None


_detail = msgspec.json.Decoder(Detail)


def mended(start: Message, body: bytes, dialect: Dialect) -> Error | None:
    """Return the error to send in place of this response, or None where it is well-formed."""
    try:
        detail = _detail.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        detail = Detail()
    error = detail.error
    if not isinstance(error, dict) or not isinstance(error.get("message"), str):
        return without_envelope(start, detail)
    if dialect.is_spoken(error):
        return None
    return _translated(start, error)


def _translated(start: Message, error: dict[str, Any]) -> Error:
    """Return an upstream's error, which speaks OpenAI's way, for another to be said in."""
    param = error.get("param")
    return Error(
        kind_of(start["status"], error.get("code")),
        error["message"][:MAX_MESSAGE],
        param if isinstance(param, str) else None,
        _kept(start),
    )


def said_anew(scope: Scope, data: bytes, operation: str, events: int) -> bytes:
    """Return the event that ends a stream, whose upstream says an error in OpenAI's way."""
    detail = _detail.decode(data)
    # In the Responses API its members stand for themselves.
    said = detail.error if isinstance(detail.error, dict) else msgspec.json.decode(data)
    message, param = said.get("message"), said.get("param")
    error = Error(
        kind_in_stream(said.get("code")),
        message[:MAX_MESSAGE] if isinstance(message, str) else "The model server failed.",
        param if isinstance(param, str) else None,
    )
    return error.event(scope, operation, events)


def _kept(start: Message) -> tuple[tuple[bytes, bytes], ...]:
    return tuple(pair for pair in start.get("headers", ()) if pair[0] not in REPLACED)


def without_envelope(start: Message, detail: Detail) -> Error:
    """Return the error of a status and of what is known about it."""
    status: int = start["status"]
    message, param = _said(detail)
    return Error(kind_of(status), message or _phrase(status), param, _kept(start), status)


def _said(detail: Detail) -> tuple[str | None, str | None]:
    """Return the message and the parameter that a bare error body names, where it does."""
    for said in (detail.error, detail.message, detail.detail):
        if isinstance(said, str) and said:
            return said[:MAX_MESSAGE], None
    items = detail.detail if isinstance(detail.detail, list) else []
    first = items[0] if items and isinstance(items[0], dict) else {}
    where = first.get("loc")
    if not isinstance(first.get("msg"), str) or not isinstance(where, list):
        return None, None
    return first["msg"][:MAX_MESSAGE], _path(where[1:])


def _path(where: list[Any]) -> str | None:
    """Return the path of a member as OpenAI writes it: `messages[0].role`."""
    steps = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in where)
    return steps.removeprefix(".") or None


def _phrase(status: int) -> str:
    try:
        return f"{HTTPStatus(status).phrase}."
    except ValueError:
        return f"The upstream answered with status {status}."
