"""The register: whose completions there are, those that run and those that are over."""

import asyncio
import hashlib
import logging
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Literal

import msgspec

from veneer.client import Client
from veneer.completions.documents import Head
from veneer.completions.run import Run
from veneer.facts import Principal
from veneer.idempotency.lease import Lease
from veneer.idempotency.memory import MemoryRecordingStore
from veneer.idempotency.store import Claim, Done, InFlight, RecordingStore, StoreUnavailableError
from veneer.wire.ids import completion_id

logger = logging.getLogger("veneer.completions")

# After how many seconds the call of a process that died is no longer said to run.
LEASE = 30.0
# Seconds that whoever cancels waits until the call has ended, and between two looks.
PATIENCE = 10.0
PAUSE = 0.1
# Seconds for which another process may find that its call is to end.
MARKED = 60.0

Why = Literal["unknown", "over", "stuck"]


class Register:
    """Keeps the completions of each owner in `store` for `ttl` seconds, and knows those that run.

    The store may be one of recordings, also one that holds such: what is here has keys of its own.
    Owners are teams, and keys that have none. `clock` gives seconds since the epoch.
    """

    def __init__(
        self, store: RecordingStore, *, ttl: float, clock: Callable[[], float] = time.time
    ) -> None:
        self._store = store
        self._ttl = ttl
        self._clock = clock
        # Of a store that no other process sees, all calls run here.
        self._alone = isinstance(store, MemoryRecordingStore)
        self._runs: dict[bytes, Run] = {}

    @property
    def running(self) -> Mapping[bytes, Run]:
        """The calls that run in this process."""
        return self._runs

    def lifespan(self) -> AbstractAsyncContextManager[object]:
        """Return the store's own lifespan."""
        return self._store.lifespan()

    async def enter(self, owner: Principal, client: Client, model: str) -> Run:
        """Enter a call that is about to be made; `Run.close` takes it out."""
        head = Head(completion_id(), int(self._clock()), model)
        document = head.running()
        key = _key("completion", owner, head.id)
        lease = await self._claim(key, document)
        wanted = None if self._alone else partial(self._is_wanted, _key("cancel", owner, head.id))
        forget = partial(self._runs.pop, key, None)
        run = self._runs[key] = Run(
            head, document, client, lease, ttl=self._ttl, wanted=wanted, forget=forget
        )
        return run

    async def find(self, owner: Principal, name: str) -> bytes | None:
        """Return the document of a completion, None where its owner has none of this id.

        Raises `StoreUnavailableError` where nobody can tell.
        """
        key = _key("completion", owner, name)
        run = self._runs.get(key)
        if run is not None:
            return run.document
        return _document(await self._store.look(key))

    async def cancel(self, owner: Principal, name: str) -> bytes | Why:
        """End a call; return its document when that is done, or why it cannot be.

        Raises `StoreUnavailableError` where nobody can tell.
        """
        key = _key("completion", owner, name)
        run = self._runs.get(key)
        if run is None:
            return await self._cancel_elsewhere(key, _key("cancel", owner, name))
        if not run.cancel():
            return "over"
        return run.document if await run.wait(PATIENCE) and run.cancelled else "stuck"

    async def _cancel_elsewhere(self, key: bytes, mark: bytes) -> bytes | Why:
        """Ask the process that runs a call to end it."""
        found = await self._store.look(key)
        if not isinstance(found, InFlight):
            return "unknown" if found is None else "over"
        await self._store.claim(mark, b"cancel", MARKED)
        until = asyncio.get_running_loop().time() + PATIENCE
        while isinstance(found, InFlight) and asyncio.get_running_loop().time() < until:
            await asyncio.sleep(PAUSE)
            found = await self._store.look(key)
        document = _document(found) if isinstance(found, Done) else None
        if document is None:
            return "stuck"
        return document if b'"status":"cancelled"' in document else "over"

    async def _claim(self, key: bytes, document: bytes) -> Lease | None:
        lease = Lease(self._store, key, document, seconds=LEASE, lost=_let_go)
        try:
            outcome = await lease.claim()
        except StoreUnavailableError as error:
            logger.warning("a completion will not be kept: %s", error)
            return None
        if not isinstance(outcome, Claim):
            return None
        lease.start()
        return lease

    async def _is_wanted(self, mark: bytes) -> bool:
        try:
            return await self._store.look(mark) is not None
        except StoreUnavailableError:
            return False


def _document(found: Done | InFlight | None) -> bytes | None:
    if isinstance(found, InFlight):
        return found.fingerprint
    return None if found is None or found.recording is None else found.recording.body


def _key(use: str, owner: Principal, name: str) -> bytes:
    """Return what stands for a completion among those of all owners; parts cannot be mistaken."""
    whose = ("key", owner.id) if owner.team is None else ("team", owner.team)
    parts = msgspec.msgpack.encode((use, *whose, name.encode("utf-8", "surrogatepass")))
    return hashlib.blake2b(parts, digest_size=20, person=b"completions").digest()


def _let_go() -> None:
    """Nobody else runs a call of this id: what was lost is only kept no more."""
