"""The file of a ledger: what it says of itself, its tables, and statements about many rows."""

import sqlite3
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import chain

import msgspec

from veneer.ledger.columns import CLOSED, OPENED
from veneer.stores.sqlite_file import Format

# Amounts of a row are integers. Totals are decimal text, for 64 bits end at nine million dollars.
# `accounts` is a JSON array of ids, each once. `limits` are what operators have set, as decimal
# text, NULL for none; whoever changes them counts `revision` up, in the same transaction. An
# owner's id is never given again; `token` tells it from that of another file. `alive_until` (since
# the epoch) is for those who read: who is over, is seen from `beats`.
_TABLES = (
    """CREATE TABLE entries (
        id INTEGER PRIMARY KEY,
        call TEXT NOT NULL UNIQUE,
        owner INTEGER NOT NULL,
        state TEXT NOT NULL,
        at REAL NOT NULL,
        closed_at REAL,
        amount INTEGER NOT NULL,
        accounts TEXT NOT NULL,
        request_id TEXT,
        key_id TEXT,
        team TEXT,
        user_id TEXT,
        tags TEXT NOT NULL,
        operation TEXT NOT NULL,
        model TEXT,
        stream INTEGER NOT NULL,
        total INTEGER NOT NULL DEFAULT 0,
        parts TEXT NOT NULL DEFAULT '{}',
        estimated INTEGER NOT NULL DEFAULT 0,
        price_version TEXT,
        priced_model TEXT,
        answered_model TEXT,
        target TEXT,
        status INTEGER,
        latency REAL,
        first_event REAL,
        input_tokens INTEGER,
        output_tokens INTEGER,
        total_tokens INTEGER,
        cached_input_tokens INTEGER,
        cache_write_tokens INTEGER,
        reasoning_tokens INTEGER,
        input_audio_tokens INTEGER,
        output_audio_tokens INTEGER,
        input_image_tokens INTEGER,
        output_image_tokens INTEGER,
        seconds REAL,
        malformed INTEGER
    )""",
    "CREATE INDEX entries_by_time ON entries (at)",
    "CREATE INDEX entries_held ON entries (owner) WHERE state = 'held'",
    """CREATE TABLE accounts (
        id INTEGER PRIMARY KEY,
        budget TEXT NOT NULL,
        partition TEXT NOT NULL,
        starts INTEGER NOT NULL,
        ends INTEGER,
        spent TEXT NOT NULL DEFAULT '0',
        held TEXT NOT NULL DEFAULT '0',
        UNIQUE (budget, partition, starts)
    )""",
    """CREATE TABLE limits (
        budget TEXT NOT NULL,
        partition TEXT NOT NULL,
        amount TEXT,
        PRIMARY KEY (budget, partition)
    )""",
    "CREATE TABLE revision (limits INTEGER NOT NULL)",
    "INSERT INTO revision VALUES (0)",
    """CREATE TABLE owners (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        token TEXT NOT NULL,
        name TEXT NOT NULL,
        beats INTEGER NOT NULL,
        alive_until REAL NOT NULL
    )""",
)

FORMAT = Format(
    holds="the ledger's rows",
    # "veLE".
    application=0x76654C45,
    versions=(_TABLES,),
)

# Rows of one statement, at the most; and those of which any number is at once.
_MOST = 64
_FEW = 7


class Bulk(msgspec.Struct, frozen=True):
    """A statement about many rows of values at once: `before`, the rows, `after`.

    While a row is written the interpreter lets other threads run, and has to wait for them then:
    one statement for many rows waits once.
    """

    before: str
    row: str
    after: str = ""

    def run(self, connection: sqlite3.Connection, rows: Sequence[Sequence[object]]) -> None:
        """Do it, for so many rows at a time that the statements are few and can be kept."""
        for part in _parted(rows):
            connection.execute(_statement(self, len(part)), tuple(chain.from_iterable(part)))


@cache
def _statement(bulk: Bulk, count: int) -> str:
    return f"{bulk.before} VALUES {', '.join([f'({bulk.row})'] * count)} {bulk.after}"


def _parted(rows: Sequence[Sequence[object]]) -> Iterator[Sequence[Sequence[object]]]:
    """Part rows into powers of two, the greatest first, and a few that are left."""
    done = 0
    while left := len(rows) - done:
        size = left if left <= _FEW else min(_MOST, 1 << (left.bit_length() - 1))
        yield rows[done : done + size]
        done += size


def _marks(count: int) -> str:
    return ", ".join("?" * count)


_INSERTED = ("id", "owner", "accounts", *OPENED)

INSERT_ENTRIES = Bulk(
    f"INSERT INTO entries ({', '.join(_INSERTED)}, state)", f"{_marks(len(_INSERTED))}, 'held'"
)
# It takes the id, the call and the values of `CLOSED`, of rows that are there. The rest has to be
# given, but is written only where somebody has removed the row. An update from values would be
# slower: SQLite writes them into a table of its own first.
CLOSE_ENTRIES = Bulk(
    f"INSERT INTO entries (id, call, {', '.join(CLOSED)}, "
    "owner, at, amount, accounts, tags, operation, stream)",
    f"{_marks(2 + len(CLOSED))}, 0, 0, 0, '[]', '[]', '', 0",
    "ON CONFLICT (id) DO UPDATE SET "
    + ", ".join(f"{column} = excluded.{column}" for column in CLOSED),
)
UPDATE_ACCOUNTS = Bulk(
    "WITH new (row, spent, held) AS (",
    "?, ?, ?",
    ") UPDATE accounts SET spent = new.spent, held = new.held FROM new WHERE accounts.id = new.row",
)

# What follows tells of many rows in one: see `Bulk`. They take a JSON array of what is asked for.
FIND_ROWS = (
    "SELECT json_group_array(json_array(call, id, state, amount, total, json(accounts))) "
    "FROM entries WHERE call IN (SELECT value FROM json_each(?))"
)
# It takes the number of rows; those come first whose owner is over.
FIND_LEFT = (
    "SELECT json_group_array(json_array(call, id, state, amount, total, json(accounts))) FROM "
    "(SELECT * FROM entries WHERE state = 'held' AND owner NOT IN (SELECT id FROM owners) LIMIT ?)"
)
FIND_TOTALS = (
    "SELECT json_group_array(json_array(id, spent, held)) "
    "FROM accounts WHERE id IN (SELECT value FROM json_each(?))"
)
FIND_ENTRY = f"SELECT accounts, {', '.join(OPENED + CLOSED)} FROM entries WHERE call = ?"  # noqa: S608 - names of ours
FIND_ACCOUNTS = (
    "SELECT budget, partition, starts, ends FROM json_each(?) "
    "JOIN accounts ON accounts.id = value ORDER BY key"
)
FIND_LIMITS = "SELECT budget, partition, amount FROM limits"
FIND_OWNERS = "SELECT id, beats FROM owners WHERE id != ?"
MAKE_OWNER = "INSERT INTO owners (token, name, beats, alive_until) VALUES (?, ?, 0, ?)"
RENEW_OWNER = "UPDATE owners SET beats = beats + 1, alive_until = ? WHERE id = ?"
REMOVE_OWNER = "DELETE FROM owners WHERE id = ?"
RESIGN = "DELETE FROM owners WHERE id = ? AND token = ?"
FIND_ACCOUNT = "SELECT id FROM accounts WHERE budget = ? AND partition = ? AND starts = ?"
MAKE_ACCOUNT = "INSERT INTO accounts (budget, partition, starts, ends) VALUES (?, ?, ?, ?)"
