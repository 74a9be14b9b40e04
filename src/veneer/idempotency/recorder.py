"""The recorder: takes the answer of a call, and holds back its last part until it is kept."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from starlette.types import Message, Scope

from veneer.errors import BrokenResponseError
from veneer.facts import Relayed
from veneer.idempotency.tape import Tape
from veneer.wire import fields

# How long the end of an answer is waited for after its last part, in seconds.
LAST_WAIT = 1.0

# Ways of answering that extensions of ASGI offer, with which a body is not all that is sent: files
# and sockets that the server reads itself, trailers.
EXTENSIONS = "http.response."

_DONE = re.compile(rb"(?:\A|[\r\n])data: ?\[DONE\]\s*\Z")


class Landing(msgspec.Struct, frozen=True, kw_only=True):
    """A whole answer, of which nobody has the last part yet; no body if that was too large."""

    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes | None
    stream: bool


def recordable(scope: Scope) -> Scope:
    """Return the scope of a request whose answer comes as plain bytes, in body messages alone."""
    headers = [pair for pair in scope["headers"] if pair[0] != b"accept-encoding"]
    headers.append((b"accept-encoding", b"identity"))
    extensions = scope.get("extensions") or {}
    kept = {name: value for name, value in extensions.items() if not name.startswith(EXTENSIONS)}
    return {**scope, "headers": headers, "extensions": kept}


Land = Callable[[Landing], Awaitable[bool]]


class Recorder:
    """Gives an answer to those who read `tape` as it comes, its last part only after `land`.

    `land` gets the whole answer, and returns whether the last part may be given. JSON is given when
    it is whole, so that one which is not can still be answered for. `known` are the facts of the
    call, by which the last event of a stream is known; without a relay that is `[DONE]`. What comes
    after it, or after as many bytes as were announced, is waited for `LAST_WAIT` seconds at most;
    then `late` is called, for the app has not returned.
    """

    def __init__(
        self, tape: Tape, known: dict[type, Any], land: Land, *, late: Callable[[], None]
    ) -> None:
        self._tape = tape
        self._facts = known
        self._land = land
        self._late = late
        self._status = 0
        self._headers: tuple[tuple[bytes, bytes], ...] = ()
        self._length: int | None = None
        self._stream = False
        # Whether all of it waits for its end, or only its last part.
        self._holds = False
        self._ended = False
        self._refused = False
        self._timer: asyncio.TimerHandle | None = None
        self._landing: asyncio.Task[None] | None = None
        self.landed = False

    async def send(self, message: Message) -> None:
        """Take a message from the app; what comes after the end is dropped."""
        if self.landed:
            return
        if message["type"] != "http.response.body":
            if message["type"] == "http.response.start":
                self._begin(message)
            return
        tape, body = self._tape, message.get("body", b"")
        tape.put(body)
        self._ended = self._ended or self._is_last(body)
        if not message.get("more_body", False):
            await self._land_now()
            return
        if self._ended:
            self._wait_for_the_end()
        elif tape.torn or not self._holds:
            tape.give()
        if tape.torn:
            await tape.room()

    async def close(self) -> None:
        """Take the return of the app; raise `BrokenResponseError` where its answer is not whole."""
        if self._landing is not None:
            await self._landing
        if not self.landed:
            raise BrokenResponseError("the app below ended its response before it was whole")
        if self._refused and self._tape.begun:
            raise BrokenResponseError("another has answered this call in the meantime")

    def stop(self) -> None:
        """Forget what was to come."""
        if self._timer is not None:
            self._timer.cancel()
        if self._landing is not None:
            self._landing.cancel()

    def _begin(self, start: Message) -> None:
        self._status = start["status"]
        self._headers = tuple(start.get("headers", ()))
        kind = fields.media_type(fields.get(self._headers, b"content-type") or b"")
        length = fields.get(self._headers, b"content-length") or b""
        self._length = int(length) if length.isdigit() else None
        self._stream = fields.is_event_stream(kind)
        self._holds = fields.is_json(kind) or not kind
        self._tape.begin(self._status, self._headers)
        if self._stream:
            self._tape.give()

    def _is_last(self, body: bytes) -> bool:
        """Whether what a client needs has come, though the end of the response may not have."""
        if self._length is not None and self._tape.size >= self._length:
            return True
        if not self._stream:
            return False
        relayed = self._facts.get(Relayed)
        if relayed is not None:
            return bool(relayed.complete)
        # Not `in`: for bytes, that raises and drops an exception first.
        return body.find(b"[DONE]") >= 0 and _DONE.search(body) is not None

    def _wait_for_the_end(self) -> None:
        if self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(LAST_WAIT, self._stop_waiting)

    def _stop_waiting(self) -> None:
        if not self.landed:
            self._landing = asyncio.get_running_loop().create_task(self._land_late())

    async def _land_late(self) -> None:
        await self._land_now()
        self._tape.close()
        self._late()

    async def _land_now(self) -> None:
        self.landed = True
        if self._timer is not None:
            self._timer.cancel()
        landing = Landing(
            status=self._status, headers=self._headers, body=self._tape.body, stream=self._stream
        )
        if await self._land(landing):
            self._tape.end()
        else:
            self._refused = True
