"""Questions to the store about single keys: one at a time for each key, a few at a time for all."""

import asyncio
import hmac
from collections.abc import Callable, Collection, Sequence

from veneer.auth._cache import Entry, KeyCache
from veneer.keys.peppers import Peppers
from veneer.keys.record import KeyRecord
from veneer.keys.store import KeyStore
from veneer.stores.unavailable import StoreUnavailableError
from veneer.tasks import retrieved

# At once. The store has more connections than that, so that guesses never keep the poll waiting.
_SLOTS = 3
_MAX_WAITING = 1000


class _Lookup:
    """One question under way; `stale` once its answer may be older than a change already seen."""

    def __init__(self, digests: Sequence[str]) -> None:
        self.digests = digests
        self.stale = False


class Lookups:
    """Fetches keys from the store into the cache.

    Whoever asks for a key that is being asked for waits for the same answer. What is found stays
    fresh for `max_age` seconds, what is not found is remembered for `negative_ttl`.
    """

    def __init__(  # noqa: PLR0913 - a setting each
        self,
        store: KeyStore,
        peppers: Peppers,
        cache: KeyCache,
        *,
        timeout: float,
        max_age: float,
        negative_ttl: float,
        monotonic: Callable[[], float],
    ) -> None:
        self._store = store
        self._peppers = peppers
        self._cache = cache
        self._timeout = timeout
        self._max_age = max_age
        self._negative_ttl = negative_ttl
        self._monotonic = monotonic
        self._slots = asyncio.Semaphore(_SLOTS)
        self._lookups: dict[bytes, _Lookup] = {}
        self._tasks: dict[bytes, asyncio.Task[Entry | None]] = {}

    async def find(self, token: str, fingerprint: bytes) -> Entry | None:
        """Return what the store says of a token, or None where it knows none such.

        Raises `StoreUnavailableError`, also where too many wait already.
        """
        task = self._tasks.get(fingerprint)
        if task is None:
            if len(self._tasks) >= _MAX_WAITING:
                raise StoreUnavailableError(f"{_MAX_WAITING} keys are being looked up already")
            lookup = _Lookup([digest for _, digest in self._peppers.digests(token)])
            task = asyncio.get_running_loop().create_task(self._fetch(fingerprint, lookup))
            self._lookups[fingerprint] = lookup
            self._tasks[fingerprint] = task
            task.add_done_callback(retrieved)
        # Whoever leaves does not take the answer from the others.
        return await asyncio.shield(task)

    def distrust(self, digests: Collection[str] | None) -> None:
        """Ask again about keys that have changed while they were asked for; None for all."""
        for lookup in self._lookups.values():
            if digests is None or not set(digests).isdisjoint(lookup.digests):
                lookup.stale = True

    async def finish(self) -> None:
        """Wait until nothing is under way."""
        if self._tasks:
            await asyncio.wait(list(self._tasks.values()))

    async def _fetch(self, fingerprint: bytes, lookup: _Lookup) -> Entry | None:
        try:
            async with asyncio.timeout(self._timeout), self._slots:
                asked, record = await self._ask(lookup)
        except TimeoutError as error:
            raise StoreUnavailableError("no answer in time") from error
        finally:
            del self._lookups[fingerprint], self._tasks[fingerprint]
        # From the last look at `stale` to here nothing is awaited: no change can come between.
        if record is None:
            until = self._monotonic() + self._negative_ttl
            self._cache.put_unknown(fingerprint, lookup.digests, until)
            return None
        entry = Entry(record, lookup.digests, asked + self._max_age)
        self._cache.put(fingerprint, entry)
        return entry

    async def _ask(self, lookup: _Lookup) -> tuple[float, KeyRecord | None]:
        while True:
            lookup.stale = False
            asked = self._monotonic()
            record = await self._store.find(lookup.digests)
            if not lookup.stale:
                break
        if record is None:
            return asked, None
        # The database compared them already, though in a time that may depend on them.
        matches = [hmac.compare_digest(record.digest, digest) for digest in lookup.digests]
        return asked, record if any(matches) else None
