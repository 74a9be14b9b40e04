"""The file of recordings: how it is made, opened and recognised."""

import os
import sqlite3
from contextlib import closing, suppress
from pathlib import Path

from veneer.idempotency.store import StoreUnavailableError

# What a file of ours says of itself: its kind ("veRC"), and which tables it has.
APPLICATION = 0x76655243
VERSION = 1

# Seconds in which SQLite itself tries again for a lock. Short, so that those who only read do not
# wait behind those who write.
_BUSY = 0.005
# Pages of this many bytes: an answer is spread over fewer of them than of SQLite's own 4096.
_PAGE = 8192
# Bytes to which the log of what was written is cut back when it was longer.
_LOG_LIMIT = 64 * 1024 * 1024

# `serial` is the order of age: a claim's is its token, a recording's comes with its commit.
# `lease` is how long a claim lasts, in seconds, and NULL once there is an answer. `expires` is when
# it is over. `status` is NULL where the answer was too large. `size` is what counts of it.
_TABLES = (
    """CREATE TABLE entries (
        serial INTEGER PRIMARY KEY,
        key BLOB NOT NULL UNIQUE,
        token INTEGER NOT NULL,
        fingerprint BLOB NOT NULL,
        lease REAL,
        expires REAL NOT NULL,
        size INTEGER NOT NULL,
        status INTEGER,
        headers BLOB,
        body BLOB
    )""",
    "CREATE INDEX entries_by_expiry ON entries (expires)",
    # The last serial or token that was given, and the sum of all sizes.
    "CREATE TABLE totals (last INTEGER NOT NULL, size INTEGER NOT NULL)",
    "INSERT INTO totals VALUES (0, 0)",
    f"PRAGMA application_id = {APPLICATION}",
    f"PRAGMA user_version = {VERSION}",
)


def open_file(path: Path) -> sqlite3.Connection:
    """Return a connection, of which one thread at a time makes use; it begins no transactions.

    Raises `StoreUnavailableError` for a file that is something else or newer than we know, and what
    SQLite raises.
    """
    _create(path)
    connection = sqlite3.connect(path, timeout=_BUSY, isolation_level=None, check_same_thread=False)
    try:
        _set_up(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _create(path: Path) -> None:
    """Make an empty file for its owner only; SQLite's own beside it get its permissions.

    One that is there is not touched: to close it would undo every lock that we hold on it.
    """
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))


def _set_up(connection: sqlite3.Connection) -> None:
    if not _is_ours(connection):
        # Only before there is anything in the file.
        connection.execute(f"PRAGMA page_size = {_PAGE}")
        connection.execute("PRAGMA journal_mode = WAL")
        _make_tables(connection)
    # What was committed survives any death of ours; a power cut may take the last of it.
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute(f"PRAGMA journal_size_limit = {_LOG_LIMIT}")


def _make_tables(connection: sqlite3.Connection) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        # Another process may have made them meanwhile.
        if not _is_ours(connection):
            for statement in _TABLES:
                connection.execute(statement)
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def _is_ours(connection: sqlite3.Connection) -> bool:
    """Whether the tables are there; False for a new file."""
    application = _number(connection, "PRAGMA application_id")
    version = _number(connection, "PRAGMA user_version")
    if application == APPLICATION:
        if version > VERSION:
            raise StoreUnavailableError(
                f"the file was made by a newer version (its tables are of version {version}, we "
                f"know {VERSION}): give another file, or go back to that version"
            )
        return True
    if application or version or _number(connection, "SELECT count(*) FROM sqlite_master"):
        raise StoreUnavailableError(
            "the file holds something else: recordings need a file of their own"
        )
    return False


def _number(connection: sqlite3.Connection, statement: str) -> int:
    with closing(connection.execute(statement)) as cursor:
        number: int = cursor.fetchone()[0]
    return number
