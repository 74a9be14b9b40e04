"""The tables of a ledger, as the toolkit names them."""

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Dialect,
    Double,
    Integer,
    Numeric,
    TableClause,
    Text,
    column,
    table,
)
from sqlalchemy.types import TypeDecorator, TypeEngine

from veneer.ledger.columns import CLOSED, OPENED
from veneer.stores.database import Database

_TEXTS = frozenset(
    ["call", "state", "key_id", "team", "user_id", "model", "priced_model", "answered_model"]
)
_TIMES = frozenset(["at", "closed_at"])


class WholeNumber(TypeDecorator[int]):
    """A whole number of any size: decimal text in SQLite, which has none of more than 64 bits."""

    impl = Numeric
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Return the type of the dialect."""
        return dialect.type_descriptor(Text() if dialect.name == "sqlite" else Numeric(scale=0))

    def process_bind_param(self, value: int | None, dialect: Dialect) -> Any:
        """Return what the database keeps."""
        return str(value) if value is not None and dialect.name == "sqlite" else value

    def process_result_value(self, value: Any, dialect: Dialect) -> int | None:  # noqa: ARG002 - the toolkit's signature
        """Return the number."""
        return None if value is None else int(value)


class Layout(msgspec.Struct, frozen=True, kw_only=True):
    """How one kind of database has a ledger.

    `check` raises `LedgerUnavailableError` where there is none; `snapshot` begins a transaction
    that only reads, and sees all as it is at one moment. `seconds` makes whole seconds, rounded
    down, of a time that is not negative.

    Columns that books only look at have no type here: whatever is in them is seen as it is.
    """

    entries: TableClause
    accounts: TableClause
    owners: TableClause
    limits: TableClause
    revision: TableClause
    snapshot: str
    seconds: Callable[[ColumnElement[float]], ColumnElement[int]]
    check: Callable[[Database], Awaitable[None]]


def named(prefix: str) -> dict[str, TableClause]:
    """Return the tables whose names begin so, by the names of a layout's members."""
    entries = [column(name, _type(name)) for name in ("id", "owner", *OPENED, *CLOSED)]
    return {
        "entries": table(f"{prefix}entries", *entries, column("accounts")),
        "accounts": table(
            f"{prefix}accounts",
            column("id", BigInteger),
            column("budget", Text),
            column("partition", Text),
            column("starts", BigInteger),
            column("ends", BigInteger),
            column("spent"),
            column("held"),
        ),
        "owners": table(
            f"{prefix}owners",
            column("id", BigInteger),
            column("name", Text),
            column("beats", BigInteger),
        ),
        "limits": table(
            f"{prefix}limits",
            column("budget", Text),
            column("partition", Text),
            column("amount", WholeNumber),
        ),
        "revision": table(f"{prefix}revision", column("limits", BigInteger)),
    }


def _type(name: str) -> TypeEngine[Any] | None:
    if name in _TEXTS:
        return Text()
    if name in _TIMES:
        return Double()
    if name in ("parts", "tags"):
        return None
    return Integer() if name == "estimated" else BigInteger()
