"""Targets that do what a test tells them to, in process."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from starlette.types import Message, Receive, Scope, Send

from tests.asgi import read_body
from veneer import facts
from veneer.errors import BrokenResponseError
from veneer.facts import Unreached
from veneer.routing.target import Target
from veneer.upstream.failures import UNREACHABLE
from veneer.upstream.router import Router

Deed = Callable[[Scope, Receive, Send], Awaitable[None]]

EVENT = b'data: {"choices":[{"delta":{"content":"%b"}}]}\n\n'
USAGE = b'data: {"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":20}}\n\n'
DONE = b"data: [DONE]\n\n"
SSE = [(b"content-type", b"text/event-stream")]
JSON = [(b"content-type", b"application/json")]


def start(status: int = 200, headers: Iterable[tuple[bytes, bytes]] = JSON) -> Message:
    """Return the message that begins a response."""
    return {"type": "http.response.start", "status": status, "headers": list(headers)}


def part(body: bytes, *, more: bool = True) -> Message:
    """Return a part of a body."""
    return {"type": "http.response.body", "body": body, "more_body": more}


class Scripted:
    """A target's app that does one deed after the other, and then the last of them for ever."""

    def __init__(self, *deeds: Deed) -> None:
        self.deeds = list(deeds)
        self.bodies: list[bytes] = []
        self.scopes: list[Scope] = []
        self.running = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Read the request, then do what is next."""
        if scope["type"] != "http":
            return
        self.running += 1
        try:
            self.scopes.append(scope)
            self.bodies.append(await read_body(receive))
            deed = self.deeds.pop(0) if len(self.deeds) > 1 else self.deeds[0]
            await deed(scope, receive, send)
        finally:
            self.running -= 1


def answers(body: bytes = b'{"ok":true}', status: int = 200, **headers: str) -> Deed:
    """Return a deed: a plain answer."""
    fields = [(n.replace("_", "-").encode(), v.encode()) for n, v in headers.items()]

    async def deed(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send(start(status, [*JSON, *fields]))
        await send(part(body, more=False))

    return deed


def streams(*parts: bytes, ends: bool = True, wait: float = 0.0) -> Deed:
    """Return a deed: a stream of these parts, which breaks off unless it `ends`."""

    async def deed(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send(start(200, SSE))
        for each in parts:
            await asyncio.sleep(wait)
            await send(part(each))
        if not ends:
            raise BrokenResponseError("it broke off")
        await send(part(b"", more=False))

    return deed


async def refuses(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer as an upstream does that cannot connect."""
    facts.put(scope, Unreached())
    await UNREACHABLE(scope, receive, send)


async def hangs(_scope: Scope, _receive: Receive, _send: Send) -> None:
    """Never answer."""
    await asyncio.Event().wait()


async def stays_away(_scope: Scope, _receive: Receive, _send: Send) -> None:
    """Return without an answer."""


def routed(*apps: Any, **options: Any) -> Router:
    """Return a router to targets called a, b, c, ... that are tried in this order."""
    targets = [
        Target(name=name, app=app, weight=1000.0**-number)
        for number, (name, app) in enumerate(zip("abcdef", apps, strict=False))
    ]
    return Router(targets, **{"random": lambda: 0.25, "affinity": False, **options})
