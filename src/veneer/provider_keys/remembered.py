"""Provider keys, remembered for a while, and for longer while nobody can tell them."""

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, nullcontext

import msgspec

from veneer.breaker import Breaker
from veneer.facts import Principal
from veneer.provider_keys.source import ProviderKeys
from veneer.stores.unavailable import StoreUnavailableError
from veneer.tasks import retrieved

logger = logging.getLogger("veneer.keys")

# Whose keys they are: the caller's id, and its team.
Whose = tuple[str, str | None]


class _Entry(msgspec.Struct, frozen=True):
    keys: Mapping[str, str]
    asked: float


class RememberedProviderKeys:
    """Asks another `source`, and remembers what it says for `max_age` seconds.

    After that it is asked again; while it cannot tell, what it said last counts, for `grace`
    seconds from then. A question takes `timeout` seconds at most; of several about one caller, one
    is asked; after one that failed, nobody asks for a moment. `max_entries` bounds the callers that
    are remembered; those who have not called for longest go first. `clock` gives seconds. Where the
    source has a `lifespan`, it is used in that of this one.

    Raises ValueError for settings that cannot be.
    """

    def __init__(  # noqa: PLR0913 - a setting each
        self,
        source: ProviderKeys,
        *,
        max_age: float = 15.0,
        grace: float = 3600.0,
        timeout: float = 2.0,
        max_entries: int = 10_000,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        for name, value in (("timeout", timeout), ("max_entries", max_entries)):
            if not value > 0:
                raise ValueError(f"{name} must be more than 0, not {value:g}.")
        for name, value in (("max_age", max_age), ("grace", grace)):
            if not value >= 0:
                raise ValueError(f"{name} must be 0 or more, not {value:g}.")
        self._source = source
        self._max_age = max_age
        self._grace = grace
        self._timeout = timeout
        self._max_entries = max_entries
        self._clock = clock
        self._entries: OrderedDict[Whose, _Entry] = OrderedDict()
        self._tasks: dict[Whose, asyncio.Task[Mapping[str, str]]] = {}
        self._breaker = Breaker(
            "the store of provider keys",
            meanwhile="those known count, and who has none is served with the operator's",
            logger=logger,
            clock=clock,
        )

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        """Be in the lifespan of the source; at the end, wait for questions that are under way."""
        async with getattr(self._source, "lifespan", nullcontext)():
            try:
                yield
            finally:
                if self._tasks:
                    await asyncio.wait(list(self._tasks.values()))

    async def find(self, principal: Principal) -> Mapping[str, str]:
        """Return a caller's keys, from memory where that is enough.

        Raises `StoreUnavailableError` where they are not known, and nobody can tell.
        """
        whose = principal.id, principal.team
        entry = self._entries.get(whose)
        if entry is not None:
            self._entries.move_to_end(whose)
            if self._clock() - entry.asked < self._max_age:
                return entry.keys
        try:
            return await self._ask(whose, principal)
        except StoreUnavailableError:
            if entry is None or self._clock() - entry.asked >= self._grace:
                raise
            return entry.keys

    async def _ask(self, whose: Whose, principal: Principal) -> Mapping[str, str]:
        task = self._tasks.get(whose)
        if task is None:
            attempt = self._breaker.begin()
            if attempt is None:
                raise StoreUnavailableError("it did not answer a moment ago")
            task = asyncio.get_running_loop().create_task(self._fetch(whose, principal, attempt))
            self._tasks[whose] = task
            task.add_done_callback(retrieved)
        # Whoever leaves does not take the answer from the others.
        return await asyncio.shield(task)

    async def _fetch(self, whose: Whose, principal: Principal, attempt: int) -> Mapping[str, str]:
        asked = self._clock()
        try:
            async with asyncio.timeout(self._timeout):
                keys = await self._source.find(principal)
            self._breaker.succeeded(attempt)
        except TimeoutError:
            self._breaker.failed(attempt, f"no answer within {self._timeout:g} s")
            raise StoreUnavailableError(f"no answer within {self._timeout:g} s") from None
        except StoreUnavailableError as error:
            self._breaker.failed(attempt, str(error))
            raise
        finally:
            self._breaker.end(attempt)
            del self._tasks[whose]
        self._entries[whose] = _Entry(keys, asked)
        self._entries.move_to_end(whose)
        if len(self._entries) > self._max_entries:
            self._entries.popitem(last=False)
        return keys
