"""Asking: the list of models of an app, fetched in process as a client would."""

import asyncio
from functools import partial
from http import HTTPStatus

from starlette.types import ASGIApp, Message, Scope

from veneer.catalog.discovery import Ask, UnlistedError
from veneer.errors import BrokenResponseError

PATH = "/v1/models"
# Bytes of a list of models; more is none.
MOST = 8 * 1024 * 1024


def asking(app: ASGIApp) -> Ask:
    """Return what asks an app for its models."""
    return partial(_fetch, app)


async def _fetch(app: ASGIApp) -> bytes:
    """Return the body of the app's list; raises `UnlistedError`."""
    answer = _Answer()
    try:
        await app(_scope(), _NoBody().receive, answer.send)
    except (BrokenResponseError, OSError) as error:
        raise UnlistedError(f"its answer broke off: {error}") from error
    if answer.status != HTTPStatus.OK:
        raise UnlistedError(f"it answers with status {answer.status}")
    return b"".join(answer.parts)


class _Answer:
    def __init__(self) -> None:
        self.status = 0
        self.parts: list[bytes] = []
        self._size = 0

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            return
        part = message.get("body", b"")
        self._size += len(part)
        if self._size > MOST:
            raise UnlistedError(f"its answer is longer than {MOST} bytes")
        self.parts.append(part)


class _NoBody:
    """What a client sends that has nothing to send, and stays: whoever watches for it waits."""

    def __init__(self) -> None:
        self._given = False

    async def receive(self) -> Message:
        if self._given:
            await asyncio.Event().wait()
        self._given = True
        return {"type": "http.request", "body": b"", "more_body": False}


def _scope() -> Scope:
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": PATH,
        "raw_path": PATH.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", b"localhost"), (b"accept-encoding", b"identity")],
        "client": None,
        "server": None,
    }
