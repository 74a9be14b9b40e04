"""Things to verify keys with in tests: clocks, and a store that counts and fails when told to."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from datetime import datetime
from typing import Any

from tests.clock import Clock
from tests.stores.records import record
from veneer.auth.stored import StoredKeys
from veneer.keys.peppers import Peppers
from veneer.keys.record import KeyRecord
from veneer.keys.token import new_token
from veneer.stores.memory import MemoryKeyStore
from veneer.stores.unavailable import StoreUnavailableError

PEPPERS = Peppers({"1": b"1" * 32}, current="1")
NOW = 1_772_000_000.0


class Store(MemoryKeyStore):
    """A store in memory that counts lookups, fails while `down`, and waits while `held`."""

    def __init__(self) -> None:
        super().__init__()
        self.finds = 0
        self.touches: list[Mapping[str, datetime]] = []
        self.down = False
        self.asked = asyncio.Event()
        self.go = asyncio.Event()
        self.go.set()

    async def find(self, digests: Collection[str]) -> KeyRecord | None:
        """Look up as it was when asked, and answer when let go."""
        self.finds += 1
        found = await super().find(digests)
        self.asked.set()
        await self.go.wait()
        self._check()
        return found

    async def touch(self, used: Mapping[str, datetime]) -> None:
        """Note what was used."""
        self._check()
        self.touches.append(used)
        await super().touch(used)

    async def changed_since(self, mark: str | None) -> tuple[Collection[str] | None, str]:
        """Tell what has changed."""
        self._check()
        return await super().changed_since(mark)

    def _check(self) -> None:
        if self.down:
            raise StoreUnavailableError("down")


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Wait until a condition holds, for some seconds at most."""
    for _ in range(1000):
        if await condition():
            return
        await asyncio.sleep(0.005)
    raise TimeoutError("it has not come to hold")


class Bench:
    """Keys in a store, what verifies them, and its clocks."""

    def __init__(
        self,
        *,
        peppers: Peppers = PEPPERS,
        store: Store | None = None,
        grace: float = 60.0,
        max_entries: int = 20_000,
        timeout: float = 2.0,
    ) -> None:
        self.store = store or Store()
        self.clock = Clock(NOW)
        self.monotonic = Clock(1000.0)
        self.peppers = peppers
        self.keys = StoredKeys(
            self.store,
            peppers,
            grace=grace,
            max_entries=max_entries,
            timeout=timeout,
            clock=self.clock,
            monotonic=self.monotonic,
        )

    async def key(self, key_id: str = "key_1", token: str | None = None, **members: Any) -> str:
        """Add a key and return its token."""
        token = token or new_token()
        pepper_id, digest = self.peppers.digest(token)
        await self.store.add(record(key_id, digest=digest, pepper_id=pepper_id, **members))
        return token

    async def change(self, key_id: str = "key_1", **members: Any) -> None:
        """Change members of a key's record."""
        stored = await self.store.get(key_id)
        if stored is None:
            raise KeyError(key_id)
        given = {name: getattr(stored, name) for name in stored.__struct_fields__}
        if not await self.store.replace(KeyRecord(**{**given, **members})):
            raise RuntimeError("changed meanwhile")
