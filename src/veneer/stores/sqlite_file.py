"""SQLite files of ours: how they are made, opened, recognised and brought up to date.

For those who work on a file in a thread of their own with SQLite's own driver, where a toolkit's
pools and tasks would cost more than the work. Nothing here knows a table.
"""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import msgspec

# Seconds in which SQLite itself tries again for a lock. Short, so that those who only read do not
# wait behind those who write.
_BUSY = 0.005
# Bytes to which the log of what was written is cut back when it was longer.
_LOG_LIMIT = 64 * 1024 * 1024

# SQLite's codes for a lock that somebody else has; the upper bytes of a code say more of it.
_LOCKED = frozenset([sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED])


class FileUnusableError(Exception):
    """The file is something else, or of a newer version; the text is for the operator's log."""


class Format(msgspec.Struct, frozen=True):
    """What a file holds, in a word (`recordings`), and what it says of itself.

    `application` is the number in its header that tells its kind. `versions[n]` are the statements
    that lead from version n to n + 1; a released step is never changed. `page` is the size of a new
    file's pages, in bytes.
    """

    holds: str
    application: int
    versions: tuple[tuple[str, ...], ...]
    page: int = 4096


def open_file(path: Path, form: Format) -> sqlite3.Connection:
    """Return a connection, of which one thread at a time makes use; it begins no transactions.

    The file is made where there is none, for its owner only, and brought up to date. What is
    committed survives any death of ours; a power cut may take the last of it. Raises
    `FileUnusableError`, and what SQLite raises.
    """
    _create(path)
    connection = sqlite3.connect(path, timeout=_BUSY, isolation_level=None, check_same_thread=False)
    try:
        _set_up(connection, form)
    except BaseException:
        connection.close()
        raise
    return connection


@contextmanager
def writing(connection: sqlite3.Connection) -> Iterator[None]:
    """Hold the lock of those who write, and commit what is written inside; all or nothing."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


@contextmanager
def _reading(connection: sqlite3.Connection) -> Iterator[None]:
    """See all as it is at one moment, whatever others write meanwhile."""
    connection.execute("BEGIN")
    try:
        yield
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def is_locked(error: sqlite3.Error) -> bool:
    """Whether somebody else has a lock on the file: the same will work a little later."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in _LOCKED


def absolute(path: str | os.PathLike[str], *, instead: str) -> Path:
    """Return the path of a file; `instead` tells what to take where none is wanted.

    Raises ValueError for one that no file can have.
    """
    name = os.fspath(path)
    if not name or name == ":memory:" or "\0" in name:
        raise ValueError(f"A SQLite store needs the path of a file; {instead}.")
    return Path(name).absolute()


def _create(path: Path) -> None:
    """Make an empty file for its owner only; SQLite's own beside it get its permissions.

    One that is there is not touched: to close it would undo every lock that we hold on it.
    """
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))


def _set_up(connection: sqlite3.Connection, form: Format) -> None:
    with _reading(connection):
        version = _version(connection, form)
    if version == 0:
        # Only before there is anything in the file.
        connection.execute(f"PRAGMA page_size = {form.page}")
        connection.execute("PRAGMA journal_mode = WAL")
    if version < len(form.versions):
        _advance(connection, form)
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute(f"PRAGMA journal_size_limit = {_LOG_LIMIT}")


def _advance(connection: sqlite3.Connection, form: Format) -> None:
    with writing(connection):
        # Another process may have done it meanwhile.
        for step in form.versions[_version(connection, form) :]:
            for statement in step:
                connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {form.application}")
        connection.execute(f"PRAGMA user_version = {len(form.versions)}")


def _version(connection: sqlite3.Connection, form: Format) -> int:
    """Return the version of the tables that are there, 0 for a new file."""
    application = _number(connection, "PRAGMA application_id")
    version = _number(connection, "PRAGMA user_version")
    if application == form.application:
        if version > len(form.versions):
            raise FileUnusableError(
                f"the file was made by a newer version (its tables are of version {version}, we "
                f"know {len(form.versions)}): give another file, or go back to that version"
            )
        return version
    if application or version or _number(connection, "SELECT count(*) FROM sqlite_master"):
        raise FileUnusableError(
            f"the file holds something else: {form.holds} need a file of their own"
        )
    return 0


def _number(connection: sqlite3.Connection, statement: str) -> int:
    with closing(connection.execute(statement)) as cursor:
        number: int = cursor.fetchone()[0]
    return number
