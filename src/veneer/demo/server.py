"""The ASGI application around the demo model."""

import math
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Iterator
from typing import Final

import anyio
import msgspec
from starlette.types import Receive, Scope, Send

from .error import DemoError
from .exchange import Reply, Request
from .models import DEFAULT_MODELS, Catalogue, DemoModel
from .prompt_cache import PromptCache
from .routes import route
from .stream import send_stream

MAX_BODY_BYTES: Final = 32 * 1024 * 1024
"""The longest request body that is read."""

_JSON: Final = b"application/json"
_EVENTS: Final = b"text/event-stream; charset=utf-8"


class DemoServer:
    """A small model server that speaks like OpenAI's API and always answers alike.

    An ASGI application. `models` are those on offer, at least one. `event_interval` is the time
    in seconds between the events of a stream, 0 for none. With `prompt_cache` it tells how many
    tokens at the beginning of a prompt it has read before. `prefill_tps` is how many others it
    reads a second, one prompt after the other, before it answers; None takes no time. `sleep` and
    `clock` (seconds since 1970) stand in for time in tests. Raises ValueError for a setting out of
    range.
    """

    def __init__(  # noqa: PLR0913 - each is a setting with a name and a default
        self,
        *,
        models: Iterable[DemoModel] = DEFAULT_MODELS,
        event_interval: float = 0.0,
        prompt_cache: bool = False,
        prefill_tps: float | None = None,
        sleep: Callable[[float], Awaitable[None]] = anyio.sleep,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if not (math.isfinite(event_interval) and event_interval >= 0):
            raise ValueError("event_interval is the seconds between two events: give 0 or more")
        if prefill_tps is not None and not prefill_tps > 0:
            raise ValueError("prefill_tps is the tokens read a second: give more than 0, or none")
        self._cache = PromptCache() if prompt_cache else None
        self._prefill_tps = prefill_tps
        self._prefill = anyio.Lock()
        self._catalogue = Catalogue(models)
        self._event_interval = event_interval
        self._sleep = sleep
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request; take part in the lifespan; refuse web sockets."""
        if scope["type"] == "lifespan":
            await _live(receive, send)
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1000, "reason": ""})
        else:
            await self._respond(scope, receive, send)

    async def _respond(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            endpoint = route(scope["method"], _path(scope))
            body = await _read_body(scope, receive)
            if body is None:
                return
            request = Request(body, self._catalogue, int(self._clock()), self._cache)
            reply: Reply = endpoint(request)
            await self._read_prompt(request.unread)
        except DemoError as error:
            await _send_error(error, scope, send)
            return
        request_id = request.identify("req_").encode()
        if isinstance(reply, dict):
            content = msgspec.json.encode(reply)
            await _send_document(200, content, [(b"x-request-id", request_id)], scope, send)
        else:
            start = {
                "type": "http.response.start",
                "status": 200,
                "headers": [
                    (b"content-type", _EVENTS),
                    (b"cache-control", b"no-cache"),
                    (b"x-request-id", request_id),
                ],
            }
            await send_stream(start, self._paced(reply), receive, send)

    async def _read_prompt(self, tokens: int) -> None:
        if self._prefill_tps is not None and tokens:
            async with self._prefill:
                await self._sleep(tokens / self._prefill_tps)

    async def _paced(self, events: Iterator[bytes]) -> AsyncGenerator[bytes]:
        # The pause is taken even if it is none, so that a long stream lets other tasks run.
        yield next(events)
        for event in events:
            await self._sleep(self._event_interval)
            yield event


async def _live(receive: Receive, send: Send) -> None:
    while True:
        kind = (await receive())["type"]
        await send({"type": f"{kind}.complete"})
        if kind == "lifespan.shutdown":
            return


def _path(scope: Scope) -> str:
    """Return the path below the root path (ASGI: the root path is part of the path)."""
    path: str = scope["path"]
    root: str = scope.get("root_path", "").rstrip("/")
    return path.removeprefix(root) if path.startswith(f"{root}/") else path


async def _read_body(scope: Scope, receive: Receive) -> bytes | None:
    """Return the body, or None if the client left; raise DemoError (413) if it is too long."""
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit() and int(value) > MAX_BODY_BYTES:
            raise _too_long()
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        body += message.get("body", b"")
        if len(body) > MAX_BODY_BYTES:
            raise _too_long()
        if not message.get("more_body", False):
            return bytes(body)


def _too_long() -> DemoError:
    return DemoError(f"The request body is longer than {MAX_BODY_BYTES} bytes.", status=413)


async def _send_error(error: DemoError, scope: Scope, send: Send) -> None:
    headers = [(b"allow", ", ".join(error.allow).encode())] if error.allow else []
    content = msgspec.json.encode(error.document())
    await _send_document(error.status, content, headers, scope, send)


async def _send_document(
    status: int, content: bytes, headers: list[tuple[bytes, bytes]], scope: Scope, send: Send
) -> None:
    length = str(len(content)).encode()
    headers = [(b"content-type", _JSON), (b"content-length", length), *headers]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    body = b"" if scope["method"] == "HEAD" else content
    await send({"type": "http.response.body", "body": body, "more_body": False})
