"""The ledgers that tests of books run on."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.books.ledgers import Kept, altering_postgresql, altering_sqlite, kept
from tests.stores.databases import postgresql_schema
from veneer.books.memory import MemoryBooks
from veneer.books.opening import open_books
from veneer.ledger.memory import MemoryLedger
from veneer.ledger.postgresql import PostgresqlLedger
from veneer.ledger.sqlite import SqliteLedger

# Seconds; no test waits for it.
TIMEOUT = 20.0


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Give the path of a file that does not exist yet."""
    return tmp_path / "ledger.db"


@pytest.fixture
async def in_sqlite(path: Path) -> AsyncIterator[Kept]:
    """Give a ledger in a file."""
    books = open_books(f"sqlite:///{path}", timeout=TIMEOUT)
    async with kept(SqliteLedger(path, timeout=TIMEOUT), books, altering_sqlite(path)) as each:
        yield each


@pytest.fixture
def postgresql_url() -> Iterator[str]:
    """Give the URL of an empty schema."""
    with postgresql_schema() as url:
        yield url


@pytest.fixture
async def in_postgresql(postgresql_url: str) -> AsyncIterator[Kept]:
    """Give a ledger in PostgreSQL."""
    books = open_books(postgresql_url, timeout=TIMEOUT)
    ledger = PostgresqlLedger(postgresql_url, timeout=TIMEOUT)
    async with kept(ledger, books, altering_postgresql(postgresql_url)) as each:
        yield each


@pytest.fixture
async def in_memory() -> AsyncIterator[Kept]:
    """Give a ledger in memory, which nobody alters."""
    ledger = MemoryLedger()
    async with kept(ledger, MemoryBooks(ledger), pytest.fail) as each:
        yield each
