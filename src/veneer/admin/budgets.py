"""The HTTP API of budgets: how they stand, limits set by hand, and what calls came to."""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, aclosing
from functools import partial
from typing import cast, get_args

import msgspec
from starlette.types import Receive, Scope

from veneer.admin.api import AdminApi, Handler, by, logger
from veneer.admin.documents import (
    Answer,
    Listing,
    budget_document,
    limit_document,
    usage_document,
)
from veneer.admin.inputs import read_count, read_object, read_query, shown
from veneer.books.books import MOST_BALANCES, MOST_LINES, Books, By
from veneer.books.overview import overview
from veneer.books.times import seconds_of
from veneer.budgets import notation
from veneer.budgets.policy import BudgetPolicy
from veneer.budgets.whose import COUNTED_BY, partition_of, whose
from veneer.dialects import Kind
from veneer.errors import Error
from veneer.keys.fields import FieldError
from veneer.ledger.entry import Limit

NO_BUDGET = Error(Kind.NOT_FOUND, "There is no budget with this name.")
NO_LIMIT = Error(Kind.NOT_FOUND, "There is no limit that was set by hand.")


class Setting(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A limit, in the notation of budgets, and for whom it is."""

    limit: str
    partition: dict[str, str] = {}


class AdminBudgets(AdminApi):
    """An ASGI app that shows `books` to principals with the scope `admin`, and has limits set.

    It closes the books with its lifespan. `policies` are the budgets that calls are held to, whose
    limits may be set; `clock` gives seconds since the epoch. Paths are below `root_path`:

    `GET /usage` adds up calls (`by` team, key, user, model or day, `since` and `until`, `limit`);
    `GET /budgets` lists how accounts stand (`limit`); `PUT /budgets/{name}` sets the `limit` of a
    `partition`, such as {"team": "acme"}, in place of the configured one, from the next call on;
    `DELETE /budgets/{name}?team=acme` takes that back. Every change is a line of the logger
    `veneer.audit`.
    """

    def __init__(
        self,
        books: Books,
        policies: Sequence[BudgetPolicy] = (),
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._books = books
        self._policies = {policy.name: policy for policy in policies}
        self._clock = clock

    def lifespan(self) -> AbstractAsyncContextManager[object]:
        """Return a context that closes the books when it is left."""
        return aclosing(self._books)

    def handlers(self, path: str) -> Mapping[str, Handler] | None:
        """Return what answers each method on a path."""
        match path.split("/", 2):
            case ["", "usage"]:
                return {"GET": self._usage}
            case ["", "budgets"]:
                return {"GET": self._list}
            case ["", "budgets", name]:
                return {"PUT": partial(self._set, name), "DELETE": partial(self._clear, name)}
            case _:
                return None

    async def _usage(self, scope: Scope, _receive: Receive) -> Answer | Error:
        query = read_query(scope, ("by", "since", "until", "limit"))
        if isinstance(query, Error):
            return query
        group = query.get("by", "team")
        if group not in get_args(By):
            raise FieldError("by", f"by must be one of {', '.join(get_args(By))}.")
        chosen = cast("By", group)
        since, until = _time(query, "since"), _time(query, "until")
        if since is not None and until is not None and since >= until:
            raise FieldError("since", "since must be before until.")
        limit = read_count(query, MOST_LINES, MOST_LINES)
        lines = await self._books.usage(chosen, since=since, until=until, limit=limit)
        return Answer(
            Listing(
                data=[usage_document(line, chosen) for line in lines], has_more=len(lines) > limit
            )
        )

    async def _list(self, scope: Scope, _receive: Receive) -> Answer | Error:
        query = read_query(scope, ("limit",))
        if isinstance(query, Error):
            return query
        limit = read_count(query, MOST_BALANCES, MOST_BALANCES)
        found = await overview(self._books, self._policies.values(), self._clock(), limit=limit)
        data = [budget_document(line) for line in found.lines]
        return Answer(Listing(data=data, has_more=found.more))

    async def _set(self, name: str, scope: Scope, receive: Receive) -> Answer | Error:
        policy = self._policies.get(name)
        if policy is None:
            return NO_BUDGET
        setting = await read_object(scope, receive, Setting)
        if isinstance(setting, Error):
            return setting
        partition = _partition(setting.partition, policy)
        try:
            amount = notation.parse(setting.limit)
        except ValueError as error:
            raise FieldError("limit", str(error)) from None
        try:
            await self._books.set_limit(Limit(name, partition, amount))
        except ValueError as error:
            raise FieldError("partition", str(error)) from None
        document = limit_document(name, partition, amount, by_hand=True)
        logger.info(
            "set the budget %s of %s to %s%s", name, _who(partition), document.limit, by(scope)
        )
        return Answer(document)

    async def _clear(self, name: str, scope: Scope, _receive: Receive) -> Answer | Error:
        policy = self._policies.get(name)
        if policy is None:
            return NO_BUDGET
        query = read_query(scope, tuple(COUNTED_BY))
        if isinstance(query, Error):
            return query
        partition = _partition(query, policy)
        if not await self._books.clear_limit(name, partition):
            return NO_LIMIT
        logger.info("cleared the budget %s of %s%s", name, _who(partition), by(scope))
        return Answer(limit_document(name, partition, policy.limit, by_hand=False))


def _partition(who: Mapping[str, str], policy: BudgetPolicy) -> tuple[str, ...]:
    try:
        return partition_of(who, policy.partition)
    except ValueError as error:
        raise FieldError("partition", f"partition: {error}") from None


def _who(partition: tuple[str, ...]) -> str:
    """Return whose account it is, for the audit log."""
    return shown(" ".join(f"{name}={value}" for name, value in whose(partition).items()))


def _time(query: Mapping[str, str], name: str) -> float | None:
    """Return a time in seconds since the epoch; a day is its beginning in UTC."""
    if name not in query:
        return None
    try:
        return seconds_of(query[name])
    except ValueError:
        raise FieldError(
            name, f"{name} must be a date, or one with a time, such as 2026-01-31T09:00:00Z."
        ) from None
