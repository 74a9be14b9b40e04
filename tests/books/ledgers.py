"""Ledgers of each kind with their books, and ways to write what no ledger would."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, closing
from pathlib import Path

import msgspec
import psycopg

from veneer.books.books import Books
from veneer.ledger.entry import Account, Exhausted, Hold, Settlement
from veneer.ledger.ledger import Ledger

TEAM = Account("team", ("team", "a"), 0, None, None)
KEY = Account("key", ("key", "k"), 3600, 7200, None)


class Kept(msgspec.Struct):
    """A ledger, its books, and a function that changes its tables by hand.

    The names of tables in such a statement begin with `{t}`.
    """

    ledger: Ledger
    books: Books
    alter: Callable[[str], None]


def altering_sqlite(path: Path) -> Callable[[str], None]:
    """Return the function that does a statement to a file."""

    def alter(statement: str) -> None:
        with closing(sqlite3.connect(path, timeout=20.0)) as connection, connection:
            connection.execute(statement.format(t=""))

    return alter


def altering_postgresql(url: str) -> Callable[[str], None]:
    """Return the function that does a statement to a database."""

    def alter(statement: str) -> None:
        with psycopg.connect(url) as connection:
            connection.execute(statement.format(t="veneer_").encode())

    return alter


class Called(msgspec.Struct, frozen=True):
    """A call as a test has it made: `settlement` is None for one that is open."""

    hold: Hold
    settlement: Settlement | None


def call(
    name: str, *, amount: int = 10, total: int | None = 4, at: float = 1.0, **more: object
) -> Called:
    """Return a call that came to a total, or is open where that is None.

    `more` are members of its hold, or of its settlement.
    """
    held = {key: value for key, value in more.items() if key in Hold.__struct_fields__}
    begin: dict[str, object] = {"call": name, "amount": amount, "at": at, "accounts": (TEAM, KEY)}
    hold = msgspec.convert(begin | held, Hold)
    if total is None:
        return Called(hold, None)
    end: dict[str, object] = {"call": name, "state": "completed", "at": at + 1, "total": total}
    end["parts"] = {"input": total // 2, "output": total - total // 2}
    ended = {key: value for key, value in more.items() if key not in held}
    return Called(hold, msgspec.convert(end | ended, Settlement))


async def made(ledger: Ledger, calls: Sequence[Called]) -> None:
    """Have calls made, and wait until all that is over is in."""
    answers = await asyncio.gather(*(ledger.hold(each.hold) for each in calls))
    assert not any(isinstance(answer, Exhausted) for answer in answers)
    for each in calls:
        if each.settlement is not None:
            await ledger.settle(each.settlement)
    for each in calls:
        while each.settlement is not None:
            found = await ledger.find(each.hold.call)
            if found is not None and found.settlement is not None:
                break


@asynccontextmanager
async def kept(ledger: Ledger, books: Books, alter: Callable[[str], None]) -> AsyncIterator[Kept]:
    """Give a ledger that is open."""
    try:
        async with ledger.lifespan():
            yield Kept(ledger, books, alter)
    finally:
        await books.aclose()
