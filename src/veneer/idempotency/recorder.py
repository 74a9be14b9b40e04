"""The recorder: takes the answer of a call, and holds back its last part until it is kept."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from starlette.types import Message

from veneer.errors import BrokenResponseError
from veneer.facts import Relayed
from veneer.idempotency.tape import Tape
from veneer.wire import fields

# How long the end of a stream is waited for after its last event, in seconds.
LAST_WAIT = 1.0


class Landing(msgspec.Struct, frozen=True):
    """A whole answer, of which nobody has the last part yet; no body if that was too large."""

    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes | None


Land = Callable[[Landing], Awaitable[bool]]


class Recorder:
    """Gives an answer to those who read `tape` as it comes, its last part only after `land`.

    `land` gets the whole answer, and returns whether the last part may be given. `known` are the
    facts of the call, by which the last event of a stream is known: what comes after it is waited
    for `LAST_WAIT` seconds at most. Bodies are kept up to `limit` bytes. An answer that cannot be
    changed any more is begun with its first part only, so that one which fails before can still be
    answered for.
    """

    def __init__(self, tape: Tape, known: dict[type, Any], land: Land, *, limit: int) -> None:
        self._tape = tape
        self._facts = known
        self._land = land
        self._limit = limit
        self._start: Message = {}
        self._parts: list[bytes] = []
        self._size = 0
        self._held: list[Message] = []
        self._begun = False
        self._landed = False
        self._refused = False
        self._timer: asyncio.TimerHandle | None = None
        self._landing: asyncio.Task[None] | None = None

    async def send(self, message: Message) -> None:
        """Take a message from the app; what comes after the end is dropped."""
        if self._landed:
            return
        self._held.append(message)
        if message["type"] == "http.response.start":
            self._start = message
            kind = fields.get(message.get("headers", ()), b"content-type")
            if kind is not None and fields.is_event_stream(fields.media_type(kind)):
                self._give()
            return
        self._keep(message.get("body", b""))
        if not message.get("more_body", False):
            await self._land_now()
        elif self._has_ended():
            self._wait_for_the_end()
        else:
            self._give()
            if self._tape.torn:
                await self._tape.room()

    async def close(self) -> None:
        """Take the return of the app; raise `BrokenResponseError` where its answer is not whole."""
        if self._landing is not None:
            await self._landing
        if not self._landed:
            raise BrokenResponseError("the app below ended its response before it was whole")
        if self._refused and self._begun:
            raise BrokenResponseError("another has answered this call in the meantime")

    def stop(self) -> None:
        """Forget what was to come."""
        if self._timer is not None:
            self._timer.cancel()
        if self._landing is not None:
            self._landing.cancel()

    def _keep(self, body: bytes) -> None:
        self._size += len(body)
        if self._size > self._limit:
            self._parts.clear()
        else:
            self._parts.append(body)

    def _give(self) -> None:
        self._begun = True
        held, self._held = self._held, []
        for message in held:
            self._tape.put(message)

    def _has_ended(self) -> bool:
        """Whether a stream has had its last event, though its end is still to come."""
        relayed = self._facts.get(Relayed)
        return relayed is not None and relayed.complete

    def _wait_for_the_end(self) -> None:
        if self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(LAST_WAIT, self._stop_waiting)

    def _stop_waiting(self) -> None:
        if not self._landed:
            self._landing = asyncio.get_running_loop().create_task(self._land_now())

    async def _land_now(self) -> None:
        self._landed = True
        if self._timer is not None:
            self._timer.cancel()
        self._held[-1] = {**self._held[-1], "more_body": False}
        body = None if self._size > self._limit else b"".join(self._parts)
        headers = tuple(self._start.get("headers", ()))
        if await self._land(Landing(self._start.get("status", 0), headers, body)):
            self._give()
        else:
            self._refused = True
            self._held.clear()
