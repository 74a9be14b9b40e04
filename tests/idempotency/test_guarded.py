"""Who asks a store that is away, and what everybody else gets meanwhile."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Literal

import pytest

from tests.clock import Clock
from tests.idempotency.stores import ANSWER, FIRST
from tests.limiters.scripted import begun, cancelled
from veneer.idempotency.guarded import GuardedStore
from veneer.idempotency.store import (
    Claim,
    Done,
    InFlight,
    Recording,
    StoreUnavailableError,
    UnreadableRecordingError,
)

KEY = b"k" * 20
TIMEOUT = 2.0
MEANWHILE = "until it is back, on_failure decides"


class Scripted:
    """Does its present `deed` whenever it is asked: `time out` takes two seconds."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.deed: Literal["answer", "fail", "time out", "unreadable", "wait"] = "answer"
        self.found: Claim | InFlight | Done = Claim(7)
        self.go = asyncio.Event()
        self.asked: list[tuple[Any, ...]] = []
        self.entered = 0

    async def claim(
        self, key: bytes, fingerprint: bytes, lease: float, /
    ) -> Claim | InFlight | Done:
        """Answer what is to be found."""
        await self._do("claim", key, fingerprint, lease)
        return self.found

    async def look(self, key: bytes, /) -> InFlight | Done | None:
        """Answer that there is something."""
        await self._do("look", key)
        return Done(FIRST, ANSWER)

    async def renew(self, key: bytes, token: int, lease: float, /) -> bool:
        """Answer that it is held no more."""
        await self._do("renew", key, token, lease)
        return False

    async def commit(
        self, key: bytes, token: int, recording: Recording | None, ttl: float, /
    ) -> bool:
        """Answer that it is kept."""
        await self._do("commit", key, token, recording, ttl)
        return True

    async def release(self, key: bytes, token: int, /) -> None:
        """Answer nothing."""
        await self._do("release", key, token)

    def lifespan(self) -> AbstractAsyncContextManager[object]:
        """Count who is inside."""
        return self._lifespan()

    @asynccontextmanager
    async def _lifespan(self) -> AsyncIterator[None]:
        self.entered += 1
        yield
        self.entered -= 1

    async def _do(self, *asked: Any) -> None:
        self.asked.append(asked)
        if self.deed == "time out":
            self.clock.now += TIMEOUT
        if self.deed in ("fail", "time out"):
            raise StoreUnavailableError("no answer")
        if self.deed == "unreadable":
            raise UnreadableRecordingError("of another version")
        if self.deed == "wait":
            await self.go.wait()


class Room:
    """A guard, its store and its clock."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.store = Scripted(self.clock)
        self.guard = GuardedStore(self.store, clock=self.clock)

    async def fail(self, call: "Call", times: int = 1) -> None:
        """See calls fail."""
        for _ in range(times):
            with pytest.raises(StoreUnavailableError):
                await call(self.guard)


Call = Callable[[GuardedStore], Awaitable[Any]]
CALLS: dict[str, tuple[Call, Any]] = {
    "claim": (lambda store: store.claim(KEY, FIRST, 30.0), Claim(7)),
    "look": (lambda store: store.look(KEY), Done(FIRST, ANSWER)),
    "renew": (lambda store: store.renew(KEY, 7, 30.0), False),
    "commit": (lambda store: store.commit(KEY, 7, ANSWER, 60.0), True),
    "release": (lambda store: store.release(KEY, 7), None),
}
ASKED = [
    ("claim", KEY, FIRST, 30.0),
    ("look", KEY),
    ("renew", KEY, 7, 30.0),
    ("commit", KEY, 7, ANSWER, 60.0),
    ("release", KEY, 7),
]
LOOK, CLAIM, COMMIT = CALLS["look"][0], CALLS["claim"][0], CALLS["commit"][0]
each = pytest.mark.parametrize("name", CALLS)


async def test_what_is_asked_and_answered_passes_as_it_is() -> None:
    room = Room()
    for call, answer in CALLS.values():
        assert await call(room.guard) == answer
    assert room.store.asked == ASKED
    async with room.guard.lifespan(), room.guard.lifespan():
        assert room.store.entered == 2
    assert room.store.entered == 0


@each
async def test_a_dead_store_costs_its_timeout_twice_and_then_nothing(name: str) -> None:
    room = Room()
    call, answer = CALLS[name]
    room.store.deed = "time out"
    began = room.clock.now
    await room.fail(call, 100)
    assert room.clock.now == began + 2 * TIMEOUT
    assert len(room.store.asked) == 2
    room.store.deed = "answer"
    room.clock.now += 0.5
    for _ in range(2):
        assert await call(room.guard) == answer


@each
async def test_only_one_tries_while_all_others_fail_at_once(name: str) -> None:
    room = Room()
    call, answer = CALLS[name]
    room.store.deed = "time out"
    await room.fail(call, 2)
    room.clock.now += 0.5
    room.store.deed = "wait"
    (trial,) = await begun(call(room.guard))
    await room.fail(call, 20)
    assert len(room.store.asked) == 3
    room.store.go.set()
    assert await trial == answer
    assert await call(room.guard) == answer


@each
async def test_a_trial_that_is_cancelled_is_made_by_the_next(name: str) -> None:
    room = Room()
    call, answer = CALLS[name]
    room.store.deed = "time out"
    await room.fail(call, 2)
    room.clock.now += 0.5
    room.store.deed = "wait"
    (trial,) = await begun(call(room.guard))
    await cancelled(trial)
    room.store.go.set()
    assert await call(room.guard) == answer


async def test_what_failed_while_we_were_stopped_says_nothing_of_the_next_call() -> None:
    room = Room()
    room.store.deed = "fail"
    await room.fail(COMMIT, 50)
    room.clock.now += 60.0
    room.store.deed = "answer"
    assert await COMMIT(room.guard) is True


async def test_a_store_that_can_be_read_alone_is_read_while_nobody_writes() -> None:
    room = Room()
    for _ in range(2):
        room.store.deed = "time out"
        await room.fail(CLAIM)
        room.store.deed = "answer"
        assert await LOOK(room.guard) == Done(FIRST, ANSWER)
    await room.fail(COMMIT)
    assert await LOOK(room.guard) == Done(FIRST, ANSWER)


@pytest.mark.parametrize("found", [InFlight(FIRST, 1.0), Done(FIRST, None)])
async def test_a_claim_that_only_read_does_not_tell_that_writing_goes_again(
    found: InFlight | Done,
) -> None:
    room = Room()
    room.store.deed = "time out"
    await room.fail(CLAIM, 2)
    room.clock.now += 0.5
    room.store.deed, room.store.found = "answer", found
    assert await CLAIM(room.guard) == found
    room.store.deed = "time out"
    await room.fail(COMMIT, 10)
    assert len(room.store.asked) == 4


async def test_one_recording_that_cannot_be_read_is_no_outage() -> None:
    room = Room()
    room.store.deed = "unreadable"
    for _ in range(10):
        await room.fail(LOOK)
        room.clock.now += 1.0
    assert len(room.store.asked) == 10


async def test_each_change_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "veneer.idempotency")
    room = Room()
    room.store.deed = "fail"
    for _ in range(5):
        await room.fail(COMMIT, 3)
        room.clock.now += 0.25
    room.store.deed = "answer"
    room.clock.now += 10.0
    await COMMIT(room.guard)
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        (
            "WARNING",
            f"the store Scripted (to write) is away (no answer): {MEANWHILE}",
        ),
        ("INFO", "the store Scripted (to write) is back after 11.0 s"),
    ]
