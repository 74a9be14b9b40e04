"""Errors: every failure below leaves as one well-formed error of the dialect.

An exception becomes a 500 that tells nothing of itself (and is raised on, for the server's log); an
error response that is not in OpenAI's envelope (a proxy's HTML page, a framework's
`{"detail": ...}`) is put into it. Well-formed errors of an upstream pass untouched. Reads and
writes nothing; stands right below what stamps headers.
"""

import logging
from collections.abc import Awaitable
from http import HTTPStatus
from types import MappingProxyType
from typing import Any, cast

import msgspec
from starlette.types import Message, Receive, Scope, Send

from veneer.client import BodyTimeoutError, ClientDisconnectedError, client_of
from veneer.dialects import Kind
from veneer.errors import BODY_LATE, INTERNAL, BrokenResponseError, Error
from veneer.layer import Layer
from veneer.operations import endpoint_of
from veneer.quotas.fields import quota_fields
from veneer.wire import fields

logger = logging.getLogger("veneer")

# An error body beyond this is no envelope; it passes as it is, unread.
MAX_ERROR_BODY = 64 * 1024
MAX_MESSAGE = 1000

KINDS = MappingProxyType(
    {
        400: Kind.INVALID_REQUEST,
        401: Kind.AUTHENTICATION,
        403: Kind.PERMISSION,
        404: Kind.NOT_FOUND,
        405: Kind.METHOD_NOT_ALLOWED,
        408: Kind.REQUEST_TIMEOUT,
        409: Kind.CONFLICT,
        413: Kind.BODY_TOO_LARGE,
        415: Kind.UNSUPPORTED_MEDIA_TYPE,
        422: Kind.UNPROCESSABLE,
        429: Kind.REQUESTS_LIMITED,
        500: Kind.INTERNAL,
        502: Kind.UPSTREAM_INVALID,
        503: Kind.UPSTREAM_BUSY,
        504: Kind.UPSTREAM_TIMEOUT,
    }
)


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


class ErrorMiddleware(Layer):
    """Turns every failure below into one well-formed error of the dialect.

    Only operations are touched: elsewhere in a host app, errors are the host's.
    """

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, mend the error that comes back, answer for an app that fails."""
        response = _Response(scope, receive, send)
        try:
            await self.app(scope, receive, response.send)
        except ClientDisconnectedError:
            raise
        except BodyTimeoutError:
            if not await response.answer(BODY_LATE):
                raise
        except BrokenResponseError:
            # An error that broke off is answered whole all the same: its status is known.
            if not await response.answer(response.error_so_far()):
                raise
        except Exception:
            await response.answer(INTERNAL)
            raise
        else:
            if client_of(scope, receive).disconnected:
                return
            if await response.answer(response.error_so_far()):
                logger.error("the app below returned without a whole response")


class _Response:
    """One response on its way out; an error is held until it can be judged."""

    __slots__ = ("_answered", "_held", "_parts", "_receive", "_scope", "_send", "_size", "_started")

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._scope = scope
        self._receive = receive
        self._send = send
        self._held: Message | None = None
        self._parts: list[bytes] = []
        self._size = 0
        # Whether the app's response has begun to leave, and whether one of ours has.
        self._started = False
        self._answered = False

    def send(self, message: Message) -> Awaitable[None]:
        """Pass a message on, or keep it while an error body is being read.

        It is no coroutine of its own, for most messages only pass, and streams have many.
        """
        if self._started and self._held is None and not self._answered:
            return self._send(message)
        return self._judge(message)

    async def _judge(self, message: Message) -> None:
        if self._answered:
            return
        if self._held is not None:
            await self._collect(message)
        elif message["type"] == "http.response.start":
            if self._to_be_judged(message):
                self._held = message
            else:
                self._started = True
                await self._send(message)
        else:
            await self._send(message)

    async def answer(self, error: Error) -> bool:
        """Answer in the app's place; return False where it has answered, or is none of ours."""
        if self._started or self._answered or endpoint_of(self._scope) is None:
            return False
        self._answered = True
        if self._held is None:
            error = msgspec.structs.replace(
                error, headers=(*error.headers, *quota_fields(self._scope))
            )
        await error(self._scope, self._receive, self._send)
        return True

    def error_so_far(self) -> Error:
        """Return the error that the app has begun to send, without its body, or our own."""
        return INTERNAL if self._held is None else _without_envelope(self._held, Detail())

    def _to_be_judged(self, start: Message) -> bool:
        return (
            start["status"] >= HTTPStatus.BAD_REQUEST
            and self._scope["method"] != "HEAD"
            and fields.get(start.get("headers", ()), b"content-encoding") in (None, b"identity")
            and endpoint_of(self._scope) is not None
        )

    async def _collect(self, message: Message) -> None:
        body = message.get("body", b"")
        self._parts.append(body)
        self._size += len(body)
        if self._size > MAX_ERROR_BODY:
            await self._release(more_body=message.get("more_body", False))
        elif not message.get("more_body", False):
            error = _mended(cast("Message", self._held), b"".join(self._parts))
            if error is None:
                await self._release(more_body=False)
            else:
                await self.answer(error)

    async def _release(self, *, more_body: bool) -> None:
        start, self._held = cast("Message", self._held), None
        self._started = True
        await self._send(start)
        body = b"".join(self._parts)
        await self._send({"type": "http.response.body", "body": body, "more_body": more_body})


def _mended(start: Message, body: bytes) -> Error | None:
    """Return the error to send in place of this response, or None where it is well-formed."""
    try:
        detail = _detail.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        detail = Detail()
    if isinstance(detail.error, dict) and isinstance(detail.error.get("message"), str):
        return None
    return _without_envelope(start, detail)


def _without_envelope(start: Message, detail: Detail) -> Error:
    """Return the error of a status and of what is known about it."""
    status: int = start["status"]
    message, param = _said(detail)
    kept = tuple(pair for pair in start.get("headers", ()) if pair[0] not in REPLACED)
    kind = KINDS.get(status) or (
        Kind.INTERNAL if status >= HTTPStatus.INTERNAL_SERVER_ERROR else Kind.INVALID_REQUEST
    )
    return Error(kind, message or _phrase(status), param, kept, status)


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
