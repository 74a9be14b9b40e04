"""The list of models of a router: those of its targets, under the names that the catalog has."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import unquote

import msgspec
from starlette.types import Receive, Scope, Send

from veneer.answers import send_document
from veneer.catalog.asking import asking
from veneer.catalog.catalog import stands_for_many
from veneer.catalog.discovery import MOST, UnlistedError
from veneer.operations import Endpoint
from veneer.routing.target import Target
from veneer.upstream._refusals import unknown

logger = logging.getLogger("veneer.router")

# Seconds for which a list is good, and for which a target is waited for.
FRESH = 5.0
PATIENCE = 5.0

PREFIX = b"models/"

Row = dict[str, Any]


class _Rows(msgspec.Struct):
    data: list[Row]


_decode = msgspec.json.Decoder(_Rows).decode


class Listing:
    """Answers `GET /models` and `/models/{name}`.

    All targets are asked at once, and no more often than every few seconds; of one that does not
    answer, what it listed last counts. What it calls otherwise than the catalog is listed by the
    catalog's name, and what is configured by an exact name is listed in any case.
    """

    def __init__(self, targets: Sequence[Target], clock: Callable[[], float]) -> None:
        self._targets = targets
        self._clock = clock
        self._known: dict[str, list[Row]] = {}
        self._listed_at: float | None = None
        self._lock = asyncio.Lock()

    async def answer(self, endpoint: Endpoint, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer with all models, or with the one that the path names."""
        rows = await self._rows()
        if not endpoint.path.startswith(PREFIX):
            document: object = {"object": "list", "data": list(rows.values())}
        else:
            name = unquote(endpoint.path[len(PREFIX) :].decode("ascii"))
            document = rows.get(name)
            if document is None:
                await unknown([name])(scope, receive, send)
                return
        await send_document(scope, send, msgspec.json.encode(document), headers=())

    async def _rows(self) -> dict[str, Row]:
        """Return the rows by their names; where several targets have one, the first one's."""
        async with self._lock:
            if self._listed_at is None or self._clock() - self._listed_at >= FRESH:
                async with asyncio.TaskGroup() as asked:
                    for target in self._targets:
                        asked.create_task(self._ask(target))
                self._listed_at = self._clock()
        found: dict[str, Row] = {}
        for target in self._targets:
            for name, row in named(target, self._known.get(target.name, ())):
                found.setdefault(name, row)
        return found

    async def _ask(self, target: Target) -> None:
        try:
            async with asyncio.timeout(PATIENCE):
                rows = _decode(await asking(target.app)()).data
        except (UnlistedError, TimeoutError, ValueError, RecursionError) as error:
            reason = str(error) or f"no answer within {PATIENCE:g} s"
            logger.warning("%s has not listed its models: %s", target.name, reason)
        else:
            self._known[target.name] = rows[:MOST]


def named(target: Target, rows: Sequence[Row]) -> list[tuple[str, Row]]:
    """Return what a target lists by the names of the catalog; what has none there is left out."""
    by_name = {row["id"]: row for row in rows if isinstance(row.get("id"), str)}
    found = []
    for model in target.models:
        if not stands_for_many(model):
            bare = {"id": model, "object": "model", "created": 0, "owned_by": target.name}
            found.append((model, {**by_name.get(target.own_name(model) or "", bare), "id": model}))
    exact = {model for model, _ in found}
    return found + [
        (name, row)
        for name, row in by_name.items()
        if name not in exact and target.own_name(name) == name
    ]
