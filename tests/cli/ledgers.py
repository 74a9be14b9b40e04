"""Ledgers for commands that read them."""

import asyncio
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from tests.books.ledgers import Called, made
from veneer.ledger.sqlite import SqliteLedger


def ledger_of(path: Path, calls: Sequence[Called]) -> str:
    """Make a file with calls, in which nobody is left; return its URL."""

    async def main() -> None:
        ledger = SqliteLedger(path, timeout=20.0)
        async with ledger.lifespan():
            await ledger.find("nothing")
            await made(ledger, calls)

    asyncio.run(main())
    return f"sqlite:///{path}"


def altered(path: Path, statement: str) -> None:
    """Do a statement to a file."""
    with closing(sqlite3.connect(path, timeout=20.0)) as connection, connection:
        connection.execute(statement)
