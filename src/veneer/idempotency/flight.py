"""The flight: one call under an idempotency key, and all who follow it."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from veneer.client import Client, ClientDisconnectedError
from veneer.dialects import Kind
from veneer.errors import BrokenResponseError, Error
from veneer.idempotency.recorder import Land, Recorder
from veneer.idempotency.tape import Tape

logger = logging.getLogger("veneer.idempotency")

# Seconds that an app may take to end a call once it was told that its client has left.
FAREWELL = 5.0

SHUTTING_DOWN = Error(Kind.SHUTTING_DOWN, "The server is shutting down.")


class Flight:
    """A call that runs in a task of its own.

    `fingerprint` is what was asked. The app below is asked by `client` (the one that came first may
    leave) and has facts of its own, `facts`, which begin as those of the request that came first.
    `limit` (bytes) bounds the body that is kept, `detach` (seconds) how long the call goes on when
    nobody follows; `alone` is called whenever that begins. Those who follow a flight without an
    answer get `answer`. `recorded` is whether the answer can be kept at all.
    """

    def __init__(
        self,
        fingerprint: bytes,
        known: dict[type, Any],
        *,
        limit: int,
        detach: float,
        alone: Callable[["Flight"], None],
    ) -> None:
        self.fingerprint = fingerprint
        # Nothing here refers to the flight: what it holds is to go when it is over.
        self._abandoned = asyncio.Event()
        self.client = Client(partial(_disconnect_after, self._abandoned))
        self.facts = {**known, Client: self.client}
        self.answer: ASGIApp | None = None
        self.recorded = True
        self._detach = detach
        self._alone = alone
        self._tape = Tape(limit)
        self._task: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._failed = False
        self._failure: BaseException | None = None

    @property
    def has_followers(self) -> bool:
        """Whether anybody follows."""
        return self._tape.readers > 0

    @property
    def begun(self) -> bool:
        """Whether any of an answer has been given."""
        return self._tape.begun

    @property
    def can_be_found(self) -> bool:
        """Whether it is still to be answered: afterwards the store says what becomes of its key."""
        return not (self._tape.whole or self._abandoned.is_set())

    @property
    def can_be_joined(self) -> bool:
        """Whether its answer is still here from the beginning."""
        return not self._tape.torn

    def begin(self, call: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        """Run the call in a task, which is returned."""
        self._task = asyncio.get_running_loop().create_task(call)
        self._task.add_done_callback(self._over)
        return self._task

    def abandon(self) -> None:
        """Tell the app below that its client has left; if it goes on all the same, cancel it."""
        self._abandoned.set()
        if self._task is not None:
            self._in(FAREWELL, self._task.cancel)

    async def record(self, app: ASGIApp, scope: Scope, land: Land) -> None:
        """Call the app, and give its answer to those who follow; see `Recorder` for `land`."""
        recorder = Recorder(self._tape, self.facts, land, late=self.abandon)
        try:
            try:
                await app(scope, self.client.receive, recorder.send)
            except ClientDisconnectedError:
                if not recorder.landed:
                    raise
            await recorder.close()
        finally:
            recorder.stop()
            self.client.close()

    async def follow(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request with what the call is answered, from the beginning, as it comes.

        What the call raises is raised here in one of those who follow; in all others, and wherever
        an answer has begun that cannot be completed, that is `BrokenResponseError`.
        """
        if self._timer is not None and not self._abandoned.is_set():
            self._timer.cancel()
        try:
            await self._tape.play(send)
        finally:
            if self.can_be_found and not (self.has_followers or self._task is None):
                self._in(self._detach, self.abandon)
                self._alone(self)
        if self._failed:
            failure, self._failure = self._failure, None
            raise failure or BrokenResponseError("the call that was waited for has failed")
        if self._tape.whole:
            return
        if self.begun or self.answer is None:
            raise BrokenResponseError("the call was ended before it was answered")
        await self.answer(scope, receive, send)

    def _over(self, task: "asyncio.Task[None]") -> None:
        self._task = None
        if self._timer is not None:
            self._timer.cancel()
        failure = None if task.cancelled() else task.exception()
        if isinstance(failure, ClientDisconnectedError):
            # It says that the flight was abandoned, not that those who follow now have left.
            failure = None
        if failure is None:
            self.answer = self.answer or SHUTTING_DOWN
        elif self.has_followers:
            self._failed, self._failure = True, failure
        elif not (self._abandoned.is_set() and isinstance(failure, BrokenResponseError)):
            logger.error("a call that nobody waits for any more has failed", exc_info=failure)
        self._tape.close()

    def _in(self, seconds: float, callback: Callable[[], object]) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(seconds, callback)


async def _disconnect_after(abandoned: asyncio.Event) -> Message:
    await abandoned.wait()
    return {"type": "http.disconnect"}
