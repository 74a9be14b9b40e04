"""The flight: one call under an idempotency key, and all who follow it."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from veneer.client import Client
from veneer.errors import BrokenResponseError
from veneer.idempotency.recorder import Land, Recorder
from veneer.idempotency.tape import Tape


class Flight:
    """A call that runs in a task of its own.

    `fingerprint` is what was asked. The app below is asked by `client` (the one that came first may
    leave) and has facts of its own, `facts`, which begin as those of the request that came first.
    `limit` (bytes) bounds the body that is kept. `alone` is called whenever nobody follows any
    more. Where no call is run, those who follow get `answer`. `recorded` is whether the answer can
    be kept at all.
    """

    def __init__(
        self,
        fingerprint: bytes,
        known: dict[type, Any],
        *,
        limit: int,
        alone: Callable[["Flight"], None],
    ) -> None:
        self.fingerprint = fingerprint
        self.client = Client(self._until_abandoned)
        self.facts = {**known, Client: self.client}
        self.answer: ASGIApp | None = None
        self.recorded = True
        self._limit = limit
        self._alone = alone
        self._abandoned = asyncio.Event()
        self._tape = Tape(limit)
        self._task: asyncio.Task[None] | None = None

    @property
    def has_followers(self) -> bool:
        """Whether anybody follows."""
        return self._tape.readers > 0

    @property
    def can_be_joined(self) -> bool:
        """Whether its answer is still here from the beginning."""
        return not self._tape.torn

    @property
    def task(self) -> "asyncio.Task[None]":
        """The task in which it runs; RuntimeError before `begin`."""
        if self._task is None:
            raise RuntimeError("the flight has not begun")
        return self._task

    def begin(self, call: Coroutine[Any, Any, None]) -> None:
        """Run the call."""
        self._task = asyncio.get_running_loop().create_task(call)
        self._task.add_done_callback(self._over)

    def abandon(self) -> None:
        """Tell the app below that its client has left."""
        self._abandoned.set()

    async def record(self, app: ASGIApp, scope: Scope, land: Land) -> None:
        """Call the app, and give its answer to those who follow; see `Recorder` for `land`."""
        recorder = Recorder(self._tape, self.facts, land, limit=self._limit)
        try:
            await app(scope, self.client.receive, recorder.send)
            await recorder.close()
        finally:
            recorder.stop()
            self.client.close()

    async def follow(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request with what the call is answered, from the beginning, as it comes.

        What the call raises is raised here, too.
        """
        try:
            await self._tape.play(send)
        finally:
            if not (self.has_followers or self.task.done()):
                self._alone(self)
        if self.task.cancelled():
            raise BrokenResponseError("the call was ended before it was answered")
        self.task.result()
        if self.answer is not None:
            await self.answer(scope, receive, send)

    def _over(self, task: "asyncio.Task[None]") -> None:
        self._tape.close()
        if not task.cancelled():
            # Raised in those who follow: where nobody does, it was told by whoever ran the call.
            task.exception()

    async def _until_abandoned(self) -> Message:
        await self._abandoned.wait()
        return {"type": "http.disconnect"}
