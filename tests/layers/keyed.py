"""What stands around the idempotency layer in its tests: a watched store, callers with keys."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import msgspec
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tests.asgi import Exchange
from tests.layers.limits import Known
from tests.layers.probe import Script, call
from tests.lint import Lint
from veneer.facts import Principal
from veneer.idempotency.memory import MemoryRecordingStore
from veneer.idempotency.store import (
    Claim,
    Done,
    InFlight,
    Recording,
    StoreUnavailableError,
)
from veneer.layers.idempotency import IdempotencyMiddleware
from veneer.layers.relay import RelayMiddleware
from veneer.wiring import chain

ALICE = Principal(id="alice", team="red")
KEY = (b"idempotency-key", b"k-1")


class Watched:
    """A store in memory that notes what it is asked.

    With `slow`, each answer takes two steps of the loop. What is named in `away` fails. `gate` is
    waited for before a commit.
    """

    def __init__(self, *, slow: bool = False, **options: Any) -> None:
        self.store = MemoryRecordingStore(**options)
        self.slow = slow
        self.away: set[str] = set()
        self.asked: list[str] = []
        self.committing = asyncio.Event()
        self.gate = asyncio.Event()
        self.gate.set()
        self.recordings: list[Recording | None] = []
        self.void = False

    async def _step(self, name: str) -> None:
        self.asked.append(name)
        if self.slow:
            await asyncio.sleep(0)
        if name in self.away:
            raise StoreUnavailableError("no route to the store")

    async def _rest(self) -> None:
        if self.slow:
            await asyncio.sleep(0)

    async def claim(
        self, key: bytes, fingerprint: bytes, lease: float, /
    ) -> Claim | InFlight | Done:
        """Claim."""
        await self._step("claim")
        outcome = await self.store.claim(key, fingerprint, lease)
        await self._rest()
        return outcome

    async def look(self, key: bytes, /) -> InFlight | Done | None:
        """Look."""
        await self._step("look")
        return await self.store.look(key)

    async def renew(self, key: bytes, token: int, lease: float, /) -> bool:
        """Renew."""
        await self._step("renew")
        return not self.void and await self.store.renew(key, token, lease)

    async def commit(
        self, key: bytes, token: int, recording: Recording | None, ttl: float, /
    ) -> bool:
        """Commit, when the gate is open."""
        await self._step("commit")
        self.committing.set()
        await self.gate.wait()
        if self.void or not await self.store.commit(key, token, recording, ttl):
            return False
        self.recordings.append(recording)
        await self._rest()
        return True

    async def release(self, key: bytes, token: int, /) -> None:
        """Release."""
        await self._step("release")
        await self.store.release(key, token)

    def lifespan(self) -> AbstractAsyncContextManager[object]:
        """Return the inner one's."""
        return self.store.lifespan()

    @property
    def claims(self) -> int:
        """How many keys are claimed, and not answered."""
        return len(self.store._held)


class Steps(Exchange):
    """An exchange of which every message takes a step of the loop, either way."""

    async def receive(self) -> Message:
        """Deliver."""
        await asyncio.sleep(0)
        return await super().receive()

    async def send(self, message: Message) -> None:
        """Take."""
        await asyncio.sleep(0)
        await super().send(message)


class Counted:
    """An app that counts the calls to the one that it makes for each."""

    def __init__(self, make: Callable[[], ASGIApp]) -> None:
        self.make = make
        self.calls = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer as a new app does."""
        self.calls += 1
        await self.make()(scope, receive, send)


def layer(
    app: ASGIApp, *, relay: bool = True, principal: Principal | None = ALICE, **options: Any
) -> ASGIApp:
    """Return the layer around the relay around an app, asked by this principal."""

    async def http(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await app(scope, receive, send)

    below: ASGIApp = Lint(RelayMiddleware(Lint(http)) if relay else http)
    if principal is None:
        return IdempotencyMiddleware(below, share="all", **options)
    return Known(Lint(IdempotencyMiddleware(below, **options)), principal)


def flights_of(app: ASGIApp) -> Any:
    """Return the flights of a layer."""
    [found] = [part for part in chain(app) if isinstance(part, IdempotencyMiddleware)]
    return found._flights


def keyed(
    *, key: tuple[bytes, bytes] = KEY, path: str = "/v1/chat/completions", **more: Any
) -> Exchange:
    """Return a call with a key."""
    exchange = call(path, **more)
    exchange.scope["headers"] += [key]
    return exchange


def stepping(**more: Any) -> Steps:
    """Return a call with a key of which every message takes a step."""
    asked = keyed(**more)
    exchange = Steps(asked.scope)
    exchange._inbox = asked._inbox
    return exchange


async def pause(count: int = 20) -> None:
    """Let everybody else go on."""
    for _ in range(count):
        await asyncio.sleep(0)


class Stage(msgspec.Struct):
    """A script that stops where the test wants: `reached` is set there, `go` lets it on."""

    reached: asyncio.Event = msgspec.field(default_factory=asyncio.Event)
    go: asyncio.Event = msgspec.field(default_factory=asyncio.Event)

    async def __call__(self) -> None:
        """Stop."""
        self.reached.set()
        await self.go.wait()


def whole(*parts: bytes, status: int = 200, kind: bytes = b"application/json") -> Script:
    """Return an app that answers so."""
    return Script(*parts, status=status, headers=[(b"content-type", kind)])


def nothing_left() -> bool:
    """Whether no task of ours runs but those that hold lifespans open."""
    running = [task.get_coro() for task in asyncio.all_tasks()]
    ours = [coro for coro in running if "/src/veneer/" in coro.cr_code.co_filename]  # type: ignore[union-attr]  # all are coroutines
    return all("_hold" in repr(coro) for coro in ours)
