"""Keys in a store, with a cache in front of it.

A known key costs no I/O. What other processes write is learned by polling the store for changes;
while a poll is late, every key is asked for again when it is used, so that a revocation is felt
within five seconds wherever the store is shared. While the store is silent, known keys go on for a
grace, and nothing is said of unknown ones.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from veneer.auth._cache import Entry, KeyCache
from veneer.auth._errands import Errands
from veneer.auth._lookups import Lookups
from veneer.auth.verifier import Denial
from veneer.facts import Principal
from veneer.keys.peppers import Peppers
from veneer.keys.store import KeyStore
from veneer.keys.token import DEFAULT_PREFIX, checked_prefix, is_possible
from veneer.stores.unavailable import StoreUnavailableError
from veneer.tasks import telling

logger = logging.getLogger("veneer")

# How long what was read from the store may be relied upon; with the time that a query may take, a
# revocation is felt within five seconds.
MAX_AGE = 4.0
# After a poll that failed the next one comes sooner, so that one lost answer makes nothing late.
_RETRY = 0.5


class StoredKeys:
    """Verifies credentials against a key store; hold its `lifespan` open while it is used.

    `prefix` is that of our own tokens: one that bears it and has a wrong checksum is malformed.
    Every `poll` seconds (at most 4) the store is asked for changes, every `flush` seconds it is
    told when keys were last used. `grace` seconds after the store was last heard, known keys are
    no longer accepted. An unknown key is remembered for `negative_ttl` seconds; `max_entries`
    bounds how many known and how many unknown ones are. No answer takes longer than `timeout`.
    `clock` gives Unix seconds, by which keys become valid and expire; `monotonic` measures the
    rest.

    Without its lifespan it works too, and asks for every key again after 4 seconds.

    Raises ValueError for settings that contradict each other.
    """

    def __init__(  # noqa: PLR0913 - a setting each
        self,
        store: KeyStore,
        peppers: Peppers,
        *,
        prefix: str = DEFAULT_PREFIX,
        poll: float = 2.0,
        flush: float = 30.0,
        grace: float = 60.0,
        negative_ttl: float = 5.0,
        max_entries: int = 20_000,
        timeout: float = 2.0,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        if not 0 < poll <= MAX_AGE:
            raise ValueError(f"poll must be more than 0 and at most {MAX_AGE:g} s, not {poll:g}.")
        for name, value in (("flush", flush), ("timeout", timeout), ("max_entries", max_entries)):
            if value <= 0:
                raise ValueError(f"{name} must be more than 0, not {value:g}.")
        for name, value in (("grace", grace), ("negative_ttl", negative_ttl)):
            if value < 0:
                raise ValueError(f"{name} must be 0 or more, not {value:g}.")
        self._store = store
        self._prefix = checked_prefix(prefix)
        self._poll = poll
        self._flush = flush
        self._grace = grace
        self._timeout = timeout
        self._clock = clock
        self._monotonic = monotonic
        self._cache = KeyCache(max_entries)
        self._lookups = Lookups(
            store,
            peppers,
            self._cache,
            timeout=timeout,
            max_age=MAX_AGE,
            negative_ttl=negative_ttl,
            monotonic=monotonic,
        )
        self._errands = Errands(store, peppers)
        self._mark: str | None = None
        self._fresh_until = float("-inf")
        self._silent = False

    def recall(self, credential: str) -> Principal | None:
        """Return who shows this key, where that is in memory and may be relied upon."""
        entry = self._cache.get(self._cache.fingerprint(credential))
        if entry is None:
            return None
        now = self._monotonic()
        if now >= self._fresh_until and now >= entry.fresh_until:
            return None
        answer = self._judge(entry)
        return answer if isinstance(answer, Principal) else None

    async def verify(self, credential: str) -> Principal | Denial:
        """Return who shows this key, or why it is not accepted; from memory where that is enough.

        A cancelled call does not disturb others that wait for the same key.
        """
        if not credential.isascii():
            return Denial.MALFORMED
        fingerprint = self._cache.fingerprint(credential)
        entry = self._cache.get(fingerprint)
        if entry is None:
            return await self._verify_unknown(credential, fingerprint)
        now = self._monotonic()
        if now < self._fresh_until or now < entry.fresh_until:
            return self._judge(entry)
        return await self._ask(credential, fingerprint, entry)

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        """Poll and flush while this is open; at the end tell the store what it has not been told.

        A store that does not answer delays neither the beginning nor the end for longer than
        `timeout`.
        """
        await self.refresh()
        tasks = [
            asyncio.create_task(self._keep_polling()),
            asyncio.create_task(self._keep_flushing()),
        ]
        for task in tasks:
            task.add_done_callback(telling(logger, "keys are no longer polled, only asked for"))
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            # Nobody polls any more: what is asked from now on is asked of the store.
            self._fresh_until = float("-inf")
            self._silent = False
            await self._lookups.finish()
            await self.flush()

    async def refresh(self) -> None:
        """Ask the store what has changed, and forget it."""
        asked = self._monotonic()
        try:
            async with asyncio.timeout(self._timeout):
                changed, mark = await self._store.changed_since(self._mark)
        except (StoreUnavailableError, TimeoutError) as error:
            if not self._silent:
                logger.warning("the key store does not answer: %r", error)
            self._silent = True
            return
        if self._silent:
            logger.warning("the key store answers again")
        self._silent = False
        if changed is None or self._mark is None:
            self._cache.clear()
            self._lookups.distrust(None)
        elif changed:
            self._cache.evict(changed)
            self._lookups.distrust(changed)
        self._mark = mark
        self._fresh_until = asked + MAX_AGE

    async def flush(self) -> None:
        """Tell the store when keys were last used, and renew digests under outdated peppers.

        What a store that does not answer was not told is kept for the next time.
        """
        try:
            async with asyncio.timeout(self._timeout):
                await self._errands.run()
        except (StoreUnavailableError, TimeoutError) as error:
            logger.info("the key store was not told which keys were used: %r", error)

    async def _keep_polling(self) -> None:
        while True:
            await asyncio.sleep(min(self._poll, _RETRY) if self._silent else self._poll)
            await self.refresh()

    async def _keep_flushing(self) -> None:
        while True:
            await asyncio.sleep(self._flush)
            await self.flush()

    async def _verify_unknown(self, credential: str, fingerprint: bytes) -> Principal | Denial:
        """Decide about a key that is not in the cache."""
        if self._cache.is_unknown(fingerprint, self._monotonic()):
            return Denial.UNKNOWN
        if not is_possible(credential, self._prefix):
            return Denial.MALFORMED
        return await self._ask(credential, fingerprint, None)

    async def _ask(
        self, credential: str, fingerprint: bytes, known: Entry | None
    ) -> Principal | Denial:
        """Decide by what the store says, or by what was known while it says nothing."""
        if self._silent and self._monotonic() >= self._fresh_until:
            # The next poll finds out whether it answers again; nobody else need wait for that.
            return self._without_store(known)
        try:
            entry = await self._lookups.find(credential, fingerprint)
        except StoreUnavailableError:
            return self._without_store(known)
        if entry is None:
            return Denial.UNKNOWN
        self._errands.renew(entry)
        return self._judge(entry)

    def _without_store(self, known: Entry | None) -> Principal | Denial:
        if known is None:
            return Denial.UNAVAILABLE
        heard = max(self._fresh_until, known.fresh_until) - MAX_AGE
        if self._monotonic() - heard > self._grace:
            return Denial.UNAVAILABLE
        return self._judge(known)

    def _judge(self, entry: Entry) -> Principal | Denial:
        now = self._clock()
        if entry.begins <= now < entry.ends:
            self._errands.used[entry.id] = now
            return entry.principal
        return entry.denial(now)
