"""The query that adds up calls by group.

Sums are exact, whatever the calls cost: SQLite adds up to 64 bits, and fails beyond. So each number
is added up in two halves, which are put together outside. Neither comes to 64 bits before there are
thousands of millions of rows.
"""

from collections.abc import Sequence
from types import MappingProxyType
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Label,
    Select,
    Subquery,
    and_,
    case,
    cast,
    func,
    literal,
    null,
    select,
)

from veneer.books.books import By, UsageLine
from veneer.books.grouping import DAY, LAST, day_of, in_order
from veneer.books.tables import Layout

_HALF = 2**31

_COLUMNS = MappingProxyType({"team": "team", "key": "key_id", "user": "user_id"})
_COUNTS = ("calls", "failed", "estimated", "abandoned", "open")
_SUMS = (
    "input_tokens",
    "cached_input_tokens",
    "output_tokens",
    "reasoning_tokens",
    "spent",
    "held",
)


def usage_query(
    layout: Layout, by: By, since: float | None, until: float | None, limit: int
) -> Select[Any]:
    """Return the query: a row for each line, in the order of their places."""
    calls = _calls(layout, by, since, until)
    groups = _groups(calls)
    ranked = _ranked(groups, by)
    place = case((ranked.c.place <= limit, ranked.c.place), else_=limit + 1).label("line")
    names = [column.name for column in groups.c if column.name != "name"]
    placed = select(place, *ranked.c).subquery("placed")
    return (
        select(
            placed.c.line,
            func.count().label("groups"),
            func.max(placed.c.name).label("name"),
            *(func.sum(placed.c[name]).label(name) for name in names),
        )
        .group_by(placed.c.line)
        .order_by(placed.c.line)
    )


def lines(rows: Sequence[Any], by: By) -> list[UsageLine]:
    """Return the lines that the rows of the query are, in the order that the books promise."""
    told = [_line(row, by) for row in rows]
    rest = [line for line in told if line.groups > 1]
    return in_order([line for line in told if line.groups == 1], by) + rest


def _calls(layout: Layout, by: By, since: float | None, until: float | None) -> Subquery:
    entries = layout.entries.c
    is_open = entries.state == "held"
    query = select(
        _group(layout, by).label("name"),
        _flag("failed", and_(~is_open, entries.state != "completed")),
        _flag("estimated", entries.estimated != 0),
        _flag("abandoned", entries.state == "abandoned"),
        _flag("open", is_open),
        entries.input_tokens,
        entries.cached_input_tokens,
        entries.output_tokens,
        entries.reasoning_tokens,
        entries.total.label("spent"),
        case((is_open, entries.amount), else_=literal(0, BigInteger)).label("held"),
    )
    if since is not None:
        query = query.where(entries.at >= since)
    if until is not None:
        query = query.where(entries.at < until)
    return query.subquery("calls")


def _group(layout: Layout, by: By) -> ColumnElement[Any]:
    entries = layout.entries.c
    if by == "day":
        at = entries.at
        day = layout.seconds(at) // DAY
        return case((and_(at >= 0, at < LAST), day), else_=null())
    if by == "model":
        return func.coalesce(entries.priced_model, entries.answered_model, entries.model)
    return entries[_COLUMNS[by]]


def _flag(name: str, is_so: ColumnElement[bool]) -> Label[int]:
    return case((is_so, literal(1, BigInteger)), else_=literal(0, BigInteger)).label(name)


def _groups(calls: Subquery) -> Subquery:
    flags = [func.sum(calls.c[name]).label(name) for name in _COUNTS[1:]]
    halves = [half for name in _SUMS for half in _halves(name, calls.c[name])]
    columns = [calls.c.name, func.count().label("calls"), *flags, *halves]
    return select(*columns).group_by(calls.c.name).subquery("groups")


def _halves(name: str, number: ColumnElement[int]) -> tuple[Label[int], Label[int]]:
    # PostgreSQL's sums are NUMERIC, of which a quotient would not be whole.
    return (
        cast(func.sum(number // _HALF), BigInteger).label(f"{name}_high"),
        cast(func.sum(number % _HALF), BigInteger).label(f"{name}_low"),
    )


def _ranked(groups: Subquery, by: By) -> Subquery:
    """Give groups their places: the first to those that cost most, and to the latest days."""
    name = groups.c.name
    high, low = groups.c.spent_high, groups.c.spent_low
    most = [(high + low // _HALF).desc(), (low % _HALF).desc(), name.is_(None), name]
    latest = [name.is_(None), name.desc()]
    order = latest if by == "day" else most
    return select(groups, func.row_number().over(order_by=order).label("place")).subquery("ranked")


def _line(row: Any, by: By) -> UsageLine:
    found = row._mapping  # noqa: SLF001 - the toolkit's public name for a row by its columns
    counts = {name: int(found[name]) for name in _COUNTS}
    sums = {
        name: int(found[f"{name}_high"] or 0) * _HALF + int(found[f"{name}_low"] or 0)
        for name in _SUMS
    }
    # The one group that there is no room for needs no more of it than the line of several.
    name = row.name if row.groups == 1 else None
    if by == "day" and name is not None:
        name = day_of(name)
    return UsageLine(group=name, groups=int(row.groups), **counts, **sums)
