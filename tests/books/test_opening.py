"""Books by URL: what is opened, and what is refused."""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.books.ledgers import altering_postgresql
from veneer.books.books import Books
from veneer.books.opening import open_books
from veneer.ledger._sqlite_tables import FORMAT
from veneer.ledger.entry import Limit
from veneer.ledger.ledger import LedgerUnavailableError
from veneer.ledger.postgresql import PostgresqlLedger
from veneer.ledger.sqlite import SqliteLedger
from veneer.stores.sqlite_file import open_file


async def refused(books: Books, sentence: str) -> None:
    """See every question refused."""
    for question in (
        books.usage("team"),
        books.budgets(1.0),
        books.limits(),
        books.set_limit(Limit("a", (), 1)),
        books.clear_limit("a", ()),
        books.verify(),
    ):
        with pytest.raises(LedgerUnavailableError, match=sentence):
            await question
    await books.aclose()


def contents(folder: Path) -> dict[str, bytes]:
    """Return all files of a folder."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}


async def test_a_file_that_is_not_there_is_not_made(path: Path) -> None:
    await refused(open_books(f"sqlite:///{path}"), "^there is no file .*ledger.db$")
    assert contents(path.parent) == {}


async def test_a_file_of_something_else_is_refused_and_left_as_it_is(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE entries (id INTEGER)")
    before = contents(path.parent)
    await refused(open_books(f"sqlite:///{path}"), "is no ledger")
    assert contents(path.parent) == before


@pytest.fixture
def noted(path: Path) -> Path:
    path.write_bytes(b"what somebody has noted " * 99)
    return path


async def test_a_file_that_is_no_database_is_refused(noted: Path) -> None:
    await refused(open_books(f"sqlite:///{noted}"), "not a database")


async def test_a_ledger_of_another_version_is_refused(path: Path) -> None:
    async with SqliteLedger(path, timeout=20.0).lifespan():
        pass
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("PRAGMA user_version = 99")
    await refused(open_books(f"sqlite:///{path}"), "is of version 99")


async def test_a_file_that_comes_later_is_opened_then(path: Path) -> None:
    books = open_books(f"sqlite:///{path}", timeout=20.0)
    with pytest.raises(LedgerUnavailableError):
        await books.limits()
    ledger = SqliteLedger(path, timeout=20.0)
    async with ledger.lifespan():
        await ledger.find("nothing")
        assert await books.limits() == []
    await books.aclose()


async def test_a_name_with_signs_of_urls_is_a_name(tmp_path: Path) -> None:
    path = tmp_path / "a b%20#c&d.db"
    ledger = SqliteLedger(path, timeout=20.0)
    books = open_books(f"sqlite:///{path}", timeout=20.0)
    async with ledger.lifespan():
        await ledger.find("nothing")
        assert await books.limits() == []
    await books.aclose()
    assert contents(tmp_path).keys() == {path.name}


async def test_a_database_without_a_ledger_is_left_as_it_is(postgresql_url: str) -> None:
    await refused(open_books(postgresql_url, timeout=20.0), "there is no ledger in this database")
    ledger = PostgresqlLedger(postgresql_url, timeout=20.0)
    books = open_books(postgresql_url, timeout=20.0)
    with pytest.raises(LedgerUnavailableError):
        await books.limits()
    async with ledger.lifespan():
        await ledger.find("nothing")
        assert await books.limits() == []
    await books.aclose()


async def test_a_database_with_a_newer_ledger_is_refused(postgresql_url: str) -> None:
    ledger = PostgresqlLedger(postgresql_url, timeout=20.0)
    async with ledger.lifespan():
        await ledger.find("nothing")
    altering_postgresql(postgresql_url)("UPDATE {t}schema SET version = 99")
    await refused(open_books(postgresql_url, timeout=20.0), "is of version 99")


async def test_a_server_that_is_not_there_is_told_of() -> None:
    books = open_books("postgresql://nobody@127.0.0.1:9/none", timeout=5.0)
    await refused(books, "Error")


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("memory://", "in its own process only"),
        ("redis://h", "that begins redis://"),
        ("sqlit:///a.db", "is sqlite:// meant"),
        ("postgresql:secret", "like this"),
        ("sqlite://", "needs the path of a file"),
        ("sqlite:///no/such/folder/a.db", "does not exist"),
        ("postgresql://[", "cannot be read"),
    ],
)
def test_a_url_that_cannot_be_is_refused(url: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence) as caught:
        open_books(url)
    assert "secret" not in str(caught.value)


def test_a_timeout_is_positive(path: Path) -> None:
    with pytest.raises(ValueError, match="positive"):
        open_books(f"sqlite:///{path}", timeout=0)


@pytest.fixture
def slow(path: Path) -> Path:
    """Give a ledger whose question takes a minute."""
    with closing(open_file(path, FORMAT)) as connection:
        connection.execute("DROP TABLE limits")
        connection.execute(
            "CREATE VIEW limits AS WITH RECURSIVE n (i) AS "
            "(SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000000000) "
            "SELECT 'a' AS budget, '[]' AS partition, max(i) AS amount FROM n"
        )
    return path


async def asked(books: Books) -> asyncio.Task[list[Limit]]:
    task = asyncio.create_task(books.limits())
    await asyncio.sleep(0.1)
    assert not task.done()
    return task


async def test_a_question_that_nobody_waits_for_any_more_ends(slow: Path) -> None:
    books = open_books(f"sqlite:///{slow}", timeout=60.0)
    task = await asked(books)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await books.aclose()


async def test_books_are_closed_while_a_question_is_asked(slow: Path) -> None:
    books = open_books(f"sqlite:///{slow}", timeout=60.0)
    task = await asked(books)
    await books.aclose()
    with pytest.raises(LedgerUnavailableError, match="interrupted"):
        await task


async def test_a_question_that_takes_too_long_is_told_and_ends(slow: Path) -> None:
    books = open_books(f"sqlite:///{slow}", timeout=0.2)
    with pytest.raises(LedgerUnavailableError, match=r"not answered within 0\.2 s"):
        await books.limits()
    await books.aclose()
