"""Documents: how the admin API shows what the stores keep."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
from starlette.types import Receive, Scope, Send

from veneer.answers import send_document
from veneer.books.books import By, UsageLine
from veneer.books.overview import Line
from veneer.budgets.notation import UNLIMITED
from veneer.budgets.whose import whose
from veneer.keys.record import KeyRecord
from veneer.prices import money

# Fields of a `UsageLine` that are amounts.
AMOUNTS = frozenset({"spent", "held"})


class KeyDocument(msgspec.Struct, frozen=True, kw_only=True):
    """A key as it is shown; see `KeyRecord` for each member.

    Neither digest nor pepper is among them. `key`, the secret, is there only in the answer to the
    request that made it.
    """

    object: str = "key"
    id: str
    key: str | msgspec.UnsetType = msgspec.UNSET
    shown: str
    name: str
    team: str | None
    user: str | None
    scopes: Sequence[str]
    operations: Sequence[str] | None
    models: Sequence[str] | None
    limits: Mapping[str, str]
    budgets: Mapping[str, str]
    tags: Sequence[str]
    created_at: datetime
    not_before: datetime | None
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None
    rotated_from: str | None


class BudgetDocument(msgspec.Struct, frozen=True, kw_only=True):
    """How an account of a budget stands; amounts are exact dollars, as text.

    `partition` says whose it is. `limit` is `unlimited` where nothing is refused, None where it is
    not known; `limit_set` is whether it was set by hand. A key's own limit is not known here.
    `period` and its ends are None where they are not known, and those of a total.
    """

    object: str = "budget"
    name: str
    partition: Mapping[str, str]
    period: str | None
    starts_at: datetime | None
    ends_at: datetime | None
    limit: str | None
    limit_set: bool
    spent: str
    held: str
    remaining: str | None


class LimitDocument(msgspec.Struct, frozen=True, kw_only=True):
    """The limit that counts for a partition of a budget, and whether it was set by hand."""

    object: str = "budget.limit"
    name: str
    partition: Mapping[str, str]
    limit: str
    limit_set: bool


class Listing(msgspec.Struct, frozen=True, kw_only=True):
    """A list of documents; `has_more` is whether there are more than were asked for.

    The next page of one that has pages begins after the id of the last.
    """

    object: str = "list"
    data: Sequence[Any]
    has_more: bool = False


class Answer(msgspec.Struct, frozen=True):
    """A successful response, as an ASGI app; nobody on its way may keep it."""

    document: msgspec.Struct
    status: int = 200

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        """Send the whole response."""
        await send_document(scope, send, msgspec.json.encode(self.document), status=self.status)


def document_of(record: KeyRecord, secret: str | None = None) -> KeyDocument:
    """Return a record as it is shown, with its secret if this is the once."""
    members = {
        name: getattr(record, name)
        for name in KeyDocument.__struct_fields__
        if name not in ("object", "key")
    }
    members["scopes"] = sorted(record.scopes)
    if record.operations is not None:
        members["operations"] = sorted(record.operations)
    return KeyDocument(**members, key=msgspec.UNSET if secret is None else secret)


def budget_document(line: Line) -> BudgetDocument:
    """Return an account as it is shown."""
    total = line.ends is None
    return BudgetDocument(
        name=line.budget,
        partition=whose(line.partition),
        period=line.period,
        starts_at=None if total or line.starts is None else _time(line.starts),
        ends_at=None if line.ends is None else _time(line.ends),
        limit=None if line.origin is None else _limit(line.limit),
        limit_set=line.origin == "set",
        spent=money.shown(line.spent),
        held=money.shown(line.held),
        remaining=None if line.remaining is None else money.shown(line.remaining),
    )


def limit_document(
    budget: str, partition: tuple[str, ...], limit: int | None, *, by_hand: bool
) -> LimitDocument:
    """Return a limit as it is shown."""
    return LimitDocument(
        name=budget, partition=whose(partition), limit=_limit(limit), limit_set=by_hand
    )


def usage_document(line: UsageLine, by: By) -> dict[str, Any]:
    """Return what calls came to as it is shown; the group is under what it is grouped by."""
    numbers = {name: getattr(line, name) for name in line.__struct_fields__ if name != "group"}
    amounts = {name: money.shown(numbers[name]) for name in AMOUNTS}
    return {by: line.group, **numbers, **amounts}


def _limit(limit: int | None) -> str:
    return UNLIMITED if limit is None else money.shown(limit)


def _time(at: int) -> datetime:
    return datetime.fromtimestamp(at, UTC)
