"""Lint: an ASGI app around another that checks that both sides keep the protocol's rules."""

from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send


class LintError(AssertionError):
    """A rule of ASGI that one side broke."""


class Lint:
    """Checks the messages of HTTP exchanges (asgiref, HTTP sub-specification 2.5)."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Call the app, and raise `LintError` for the first rule that is broken."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        check(isinstance(scope["path"], str), "path is text")
        check_headers(scope["headers"])
        exchange = _Exchange(scope["method"])

        async def receive_linted() -> Message:
            message = await receive()
            exchange.received(message)
            return message

        async def send_linted(message: Message) -> None:
            exchange.sending(message)
            await send(message)

        await self.app(scope, receive_linted, send_linted)


class _Exchange:
    def __init__(self, method: str) -> None:
        self._method = method
        self._body_read = False
        self._started = False
        self._ended = False
        self._trailers = False
        self._length: int | None = None
        self._sent = 0

    def received(self, message: Message) -> None:
        """Check a message on its way in."""
        if message["type"] == "http.request":
            check(not self._body_read, "no http.request after the last one")
            check(isinstance(message.get("body", b""), bytes), "a request body is bytes")
            self._body_read = not message.get("more_body", False)
        else:
            check(message["type"] == "http.disconnect", f"unknown message {message['type']}")

    def sending(self, message: Message) -> None:
        """Check a message on its way out."""
        if message["type"] == "http.response.trailers":
            check(self._ended and self._trailers, "trailers come after a body that announced them")
            self._trailers = message.get("more_trailers", False)
            return
        check(not self._ended, f"nothing after the end of the response, not {message['type']}")
        if message["type"] == "http.response.start":
            check(not self._started, "a response starts once")
            self._started = True
            self._trailers = message.get("trailers", False)
            check(isinstance(message["status"], int), "a status is a number")
            check_headers(message.get("headers", ()))
            lengths = [v for n, v in message.get("headers", ()) if n == b"content-length"]
            check(len(lengths) <= 1, "one content-length")
            self._length = int(lengths[0]) if lengths and self._method != "HEAD" else None
        elif message["type"] == "http.response.body":
            check(self._started, "a response starts before its body")
            check(isinstance(message.get("body", b""), bytes), "a response body is bytes")
            self._sent += len(message.get("body", b""))
            self._ended = not message.get("more_body", False)
            if self._length is not None:
                check(self._sent <= self._length, "not more bytes than announced")
                check(not self._ended or self._sent == self._length, "as many bytes as announced")
        else:
            check(message["type"].startswith("http.response."), f"unknown {message['type']}")


def check(rule: bool, what: str) -> None:  # noqa: FBT001 - it reads like the assertion that it is
    """Raise `LintError` unless the rule holds."""
    if not rule:
        raise LintError(what)


def check_headers(headers: Any) -> None:
    """Check that fields are pairs of bytes, with names in lower case and values on one line."""
    for name, value in headers:
        check(isinstance(name, bytes) and isinstance(value, bytes), "fields are bytes")
        check(name == name.lower() and name != b"", f"{name!r} is in lower case")
        check(not set(value) & {0, 10, 13}, f"the value of {name!r} stands on one line")
