"""A batch of embeddings, asked for one by one: each part is a call of its own to the app below."""

import asyncio
from collections.abc import Callable, Iterable, MutableMapping, Sequence
from http import HTTPStatus
from typing import Any

import msgspec
from starlette.types import ASGIApp, Message, Scope

from veneer import facts
from veneer.client import Client
from veneer.dialects import Kind
from veneer.embeddings.encoding import in_base64
from veneer.embeddings.joining import Embedded, embedded, joined
from veneer.errors import BrokenResponseError, Error
from veneer.facts import Route, Unreached
from veneer.wire import fields

# One embedding is far below this, in bytes.
MAX_PART = 4 * 1024 * 1024

UNREACHED = Unreached()
INVALID = Error(
    Kind.UPSTREAM_INVALID, "The model server did not answer one input with one embedding."
)


class Part(msgspec.Struct):
    """One part of a batch: what the app below answered, and which facts it left."""

    known: dict[type, Any]
    status: int = 0
    headers: Sequence[tuple[bytes, bytes]] = ()
    body: bytearray = msgspec.field(default_factory=bytearray)
    ended: bool = False

    async def send(self, message: Message) -> None:
        """Take a message from the app below; raises `_FailedError` beyond the bound."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = list(message.get("headers", ()))
        elif message["type"] == "http.response.body":
            self.body += message.get("body", b"")
            self.ended = not message.get("more_body", False)
            if len(self.body) > MAX_PART:
                raise _FailedError(self, INVALID)

    @property
    def is_plain(self) -> bool:
        """Whether it is an answer that can be read."""
        coded = fields.get(self.headers, b"content-encoding") not in (None, b"identity")
        return self.status == HTTPStatus.OK and not coded


class _FailedError(Exception):
    """A part failed, which ends all; `error` is what is answered, None for the part's own words."""

    def __init__(self, part: Part, error: Error | None = None) -> None:
        super().__init__("a part of the batch failed")
        self.part = part
        self.error = error


class FanOut:
    """Asks the app below for each part of a batch, at most `parallel` at a time.

    `run` returns the head and the body of the joined answer, or that of the first part that failed,
    or an error; the other parts are cancelled then. Whoever waits for it and is cancelled ends all.
    """

    def __init__(self, app: ASGIApp, scope: Scope, *, parallel: int, base64: bool) -> None:
        self._app = app
        self._scope = scope
        self._parallel = parallel
        self._base64 = base64
        self._asked: list[Part] = []
        self._first: Part | None = None
        self._found: dict[int, Embedded] = {}

    async def run(self, body_of: Callable[[int], bytes], size: int) -> Part | Error:
        """Ask for so many parts, and return what is to be answered; see the class."""
        places = iter(range(size))
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(self._parallel, size)):
                    group.create_task(self._work(places, body_of))
        except BaseExceptionGroup as failures:
            first = failures.exceptions[0]
            if not isinstance(first, _FailedError):
                raise first from None
            # What is told of the call is what became of this part.
            self._asked.insert(0, first.part)
            return first.error or first.part
        finally:
            leave_facts(self._scope[facts.SCOPE_KEY], self._asked)
        return self._joined(size)

    async def _work(self, places: Iterable[int], body_of: Callable[[int], bytes]) -> None:
        for place in places:
            part = await self._ask(body_of(place))
            if part.status != HTTPStatus.OK:
                raise _FailedError(part)
            text = bytes(part.body)
            try:
                if not part.is_plain:
                    raise _FailedError(part, INVALID)
                if self._base64:
                    text = b"".join(in_base64(text))
                self._found[place] = embedded(text, place)
            except ValueError:
                raise _FailedError(part, INVALID) from None
            part.body.clear()
            if place == 0:
                part.body += text
                self._first = part

    async def _ask(self, body: bytes) -> Part:
        """Ask for one part; it has facts and a client of its own, who stays as long as we do."""
        client = Client(_forever)
        known = {**self._scope[facts.SCOPE_KEY], Client: client}
        part = Part(known)
        self._asked.append(part)
        scope = client.replace_body({**self._scope, facts.SCOPE_KEY: known}, body)
        try:
            await self._app(scope, client.receive, part.send)
        finally:
            client.close()
        if not part.ended:
            raise BrokenResponseError("the app below ended its response before it was whole")
        return part

    def _joined(self, size: int) -> Part | Error:
        first = self._first
        if first is None:
            return INVALID
        try:
            body = joined(bytes(first.body), [self._found[place] for place in range(size)])
        except ValueError:
            return INVALID
        first.body[:] = body
        return first


def leave_facts(known: MutableMapping[type, Any], asked: Iterable[Part]) -> None:
    """Say of the whole call where its parts went, the first of them if they went anywhere.

    Where some were made with the caller's own key and some were not, it is one of the latter: what
    the operator pays for is not free. The tries that failed are those of all parts.
    """
    routes = [part.known[Route] for part in asked if Route in part.known]
    if routes:
        first = routes[0]
        if first.own_key and first.status == HTTPStatus.OK:
            first = next((route for route in routes if not route.own_key), first)
        tried = tuple(each for route in routes for each in route.tried)
        known[Route] = msgspec.structs.replace(first, tried=tried) if tried else first
    elif all(Unreached in part.known for part in asked):
        known[Unreached] = UNREACHED


async def _forever() -> Message:
    await asyncio.Event().wait()
    return {"type": "http.disconnect"}
