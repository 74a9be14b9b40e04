"""Errors: every failure below leaves as one well-formed error of the dialect.

An exception becomes a 500 that tells nothing of itself (and is raised on, for the server's log); an
error response that is not in OpenAI's envelope (a proxy's HTML page, a framework's
`{"detail": ...}`) is put into it. Well-formed errors of an upstream pass untouched where OpenAI's
way is spoken, and are said anew in another dialect. Reads and writes nothing; stands right below
what stamps headers.
"""

import logging
from collections.abc import Awaitable
from typing import cast

import msgspec
from starlette.types import Message, Receive, Scope, Send

from veneer import facts
from veneer.client import BodyTimeoutError, ClientDisconnectedError, client_of
from veneer.dialects import OPENAI, Dialect
from veneer.edits import edits_of
from veneer.errors import BODY_LATE, INTERNAL, BrokenResponseError, Error
from veneer.layer import Layer
from veneer.layers._mended import Detail, mended, said_anew, without_envelope
from veneer.operations import endpoint_of
from veneer.quotas.fields import quota_fields
from veneer.wire import fields

logger = logging.getLogger("veneer")

# The first status that says that something went wrong.
LEAST_ERROR = 400

# An error body beyond this is no envelope; it passes as it is, unread.
MAX_ERROR_BODY = 64 * 1024


class ErrorMiddleware(Layer):
    """Turns every failure below into one well-formed error of the dialect.

    Only operations are touched: elsewhere in a host app, errors are the host's.
    """

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, mend the error that comes back, answer for an app that fails."""
        dialect = scope[facts.SCOPE_KEY].get(Dialect)
        if dialect is not None and not dialect.keeps_foreign:
            # Errors in streams are said in the request's dialect, too.
            edits_of(scope).error = said_anew
        response = _Response(scope, receive, send)
        try:
            await self.below(scope, receive, response.send)
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
            over = response.started or client_of(scope, receive).disconnected
            if not over and await response.answer(response.error_so_far()):
                logger.error("the app below returned without a whole response")


class _Response:
    """One response on its way out; an error is held until it can be judged."""

    __slots__ = ("_answered", "_held", "_parts", "_receive", "_scope", "_send", "_size", "started")

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._scope = scope
        self._receive = receive
        self._send = send
        self._held: Message | None = None
        self._parts: list[bytes] = []
        self._size = 0
        # Whether the app's response has begun to leave, and whether one of ours has.
        self.started = False
        self._answered = False

    def send(self, message: Message) -> Awaitable[None]:
        """Pass a message on, or keep it while an error body is being read.

        It is no coroutine of its own, for most messages only pass, and streams have many.
        """
        if self.started:
            return self._send(message)
        if (
            message["type"] == "http.response.start"
            and message["status"] < LEAST_ERROR
            and self._held is None
            and not self._answered
        ):
            self.started = True
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
                self.started = True
                await self._send(message)
        else:
            await self._send(message)

    async def answer(self, error: Error) -> bool:
        """Answer in the app's place; return False where it has answered, or is none of ours."""
        if self.started or self._answered or endpoint_of(self._scope) is None:
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
        return INTERNAL if self._held is None else without_envelope(self._held, Detail())

    def _to_be_judged(self, start: Message) -> bool:
        return (
            start["status"] >= LEAST_ERROR
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
            start = cast("Message", self._held)
            error = mended(start, b"".join(self._parts), facts.get(self._scope, Dialect) or OPENAI)
            if error is None:
                await self._release(more_body=False)
            else:
                await self.answer(error)

    async def _release(self, *, more_body: bool) -> None:
        start, self._held = cast("Message", self._held), None
        self.started = True
        await self._send(start)
        body = b"".join(self._parts)
        await self._send({"type": "http.response.body", "body": body, "more_body": more_body})
