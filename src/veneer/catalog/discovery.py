"""Discovery: the models that an upstream lists, beside and below those that are configured."""

import asyncio
import logging
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from veneer.catalog.catalog import Catalog, stands_for_many
from veneer.catalog.model import Model
from veneer.tasks import telling

logger = logging.getLogger("veneer.models")

DEFAULT_REFRESH = 300.0
DEFAULT_TIMEOUT = 5.0
# Seconds between two questions that calls have for a name that nobody knows.
PATIENCE = 5.0
FAILED = "models are no longer asked for, but when a name is not known"
# Models of an upstream; more is no list of models.
MOST = 10_000

# Asks the upstream for its list of models, and returns the JSON text. Raises `UnlistedError`.
Ask = Callable[[], Awaitable[bytes]]


class UnlistedError(Exception):
    """The upstream has not listed its models; the text is for the operator's log."""


class _Row(msgspec.Struct):
    """A model as servers list it; vLLM has the context window besides."""

    id: str
    created: int | float = 0
    owned_by: str | None = None
    max_model_len: int | None = None
    context_window: int | None = None


class _Rows(msgspec.Struct):
    data: list[Any]


_decode = msgspec.json.Decoder(_Rows).decode


class Discovery:
    """Keeps a catalog of what is configured and what the upstream lists; the last good one counts.

    `ask` asks the upstream, for `timeout` seconds at most, every `refresh` seconds, and when a name
    is not known, though not more often than every 5 seconds. What `models` says of a model goes
    before what its upstream says. `clock` gives seconds, `wall` those since the epoch. Raises
    ValueError for numbers that cannot be.
    """

    def __init__(  # noqa: PLR0913 - each is a setting with a name, and most have a default
        self,
        ask: Ask,
        models: Sequence[Model] = (),
        *,
        refresh: float = DEFAULT_REFRESH,
        timeout: float = DEFAULT_TIMEOUT,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        if refresh <= 0 or timeout <= 0:
            raise ValueError(f"refresh is {refresh}, timeout {timeout}: give seconds, above 0.")
        self._ask = ask
        self._models = tuple(models)
        self._own = Catalog(models)
        self._refresh = refresh
        self._timeout = timeout
        self._clock = clock
        self._wall = wall
        self._asked_at: float | None = None
        self._asking = asyncio.Lock()
        self.catalog = self._own
        self.is_complete = False

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        """Ask at once and then regularly, for as long as it is open; a failure keeps what is."""
        task = asyncio.get_running_loop().create_task(self._keep_asking())
        task.add_done_callback(telling(logger, FAILED))
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait((task,))

    async def find(self, name: str) -> Model | None:
        """Return the model that goes by a name, after another look at the upstream for it."""
        found = self.catalog.find(name)
        if found is None and self._may_ask():
            await self._look()
            found = self.catalog.find(name)
        return found

    async def refreshed(self) -> None:
        """Ask the upstream, if its list is older than it may be, or there is none."""
        age = math.inf if self._asked_at is None else self._clock() - self._asked_at
        if age >= (self._refresh if self.is_complete else PATIENCE):
            await self._look()

    def _may_ask(self) -> bool:
        return self._asked_at is None or self._clock() - self._asked_at >= PATIENCE

    async def _keep_asking(self) -> None:
        while True:
            await self._look()
            await asyncio.sleep(self._refresh if self.is_complete else min(PATIENCE, self._refresh))

    async def _look(self) -> None:
        """Ask the upstream, unless somebody has just done so."""
        before = self._asked_at
        async with self._asking:
            if self._asked_at != before:
                return
            self._asked_at = self._clock()
            try:
                async with asyncio.timeout(self._timeout):
                    listed = read_models(await self._ask())
            except (UnlistedError, TimeoutError) as error:
                reason = str(error) or f"no answer within {self._timeout:g} s"
                kept = "the last list counts" if self.is_complete else "only those configured count"
                logger.warning("the upstream has not listed its models, %s: %s", kept, reason)
                return
        self.catalog = Catalog(
            [*self._models, *filter(None, map(self._completed, listed))], made=self._wall()
        )
        self.is_complete = True

    def _completed(self, listed: Model) -> Model | None:
        """Return a model of the upstream's with what is configured for it; None for a known one."""
        if stands_for_many(listed.id):
            return None
        own = self._own.find(listed.id)
        if own is None:
            return listed
        if self._own.is_exact(listed.id) or own.id != listed.id:
            return None
        return msgspec.structs.replace(
            own,
            listed=True,
            context_window=own.context_window or listed.context_window,
            owned_by=own.owned_by or listed.owned_by,
            created=own.created or listed.created,
        )


def read_models(text: bytes) -> list[Model]:
    """Return the models of a list as servers give it; rows that are none are left out.

    Raises `UnlistedError` for what is no such list.
    """
    try:
        rows = _decode(text).data
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UnlistedError(f"its answer is no list of models: {error}") from error
    found: dict[str, Model] = {}
    for row in rows[:MOST]:
        try:
            read = msgspec.convert(row, _Row)
        except msgspec.ValidationError:
            continue
        window = read.context_window or read.max_model_len
        found.setdefault(
            read.id,
            Model(
                id=read.id,
                context_window=window if window and window > 0 else None,
                owned_by=read.owned_by or "",
                created=int(read.created),
            ),
        )
    return list(found.values())
