"""What is in a ledger's database, read by plain SQL, and triggers that see all of its moments."""

import json
import sqlite3
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Any

import msgspec
import psycopg

from veneer.store_urls import sqlite_file

# What the triggers write down: the most that was ever spent and held on an account, and who has
# ever owned rows. They are part of what is committed, and of nothing else.
_TABLES = """
CREATE TABLE seen_peaks (account BIGINT PRIMARY KEY, most NUMERIC NOT NULL);
CREATE TABLE seen_owners (id BIGINT NOT NULL, name TEXT NOT NULL);
"""
_PEAK = """INSERT INTO seen_peaks
VALUES (new.id, CAST(new.spent AS NUMERIC) + CAST(new.held AS NUMERIC))
ON CONFLICT (account) DO UPDATE SET most = excluded.most WHERE excluded.most > seen_peaks.most;"""
_OWNER = "INSERT INTO seen_owners VALUES (new.id, new.name);"

_SQLITE = f"""{_TABLES}
CREATE TRIGGER see_peaks AFTER UPDATE ON accounts BEGIN {_PEAK} END;
CREATE TRIGGER see_owners AFTER INSERT ON owners BEGIN {_OWNER} END;
"""
_POSTGRESQL = f"""{_TABLES}
CREATE FUNCTION see_peak() RETURNS trigger LANGUAGE plpgsql
AS $$ BEGIN {_PEAK} RETURN NULL; END $$;
CREATE FUNCTION see_owner() RETURNS trigger LANGUAGE plpgsql
AS $$ BEGIN {_OWNER} RETURN NULL; END $$;
CREATE TRIGGER see_peaks AFTER INSERT OR UPDATE ON veneer_accounts
FOR EACH ROW EXECUTE FUNCTION see_peak();
CREATE TRIGGER see_owners AFTER INSERT ON veneer_owners
FOR EACH ROW EXECUTE FUNCTION see_owner();
"""

_ROWS = """SELECT call, model, owner, state, amount, total, parts, estimated, accounts,
input_tokens, cached_input_tokens, output_tokens FROM {}entries"""
_ACCOUNTS = """SELECT id, partition, spent, held, most
FROM {}accounts LEFT JOIN seen_peaks ON account = id"""


class Row(msgspec.Struct, frozen=True):
    """A row; `name` is its model's, and `usage` the tokens read, of these cached, and written."""

    call: str
    name: str
    owner: int
    state: str
    amount: int
    total: int
    parts: dict[str, int]
    estimated: bool
    accounts: tuple[int, ...]
    usage: tuple[int, int, int] | None


class Counters(msgspec.Struct, frozen=True):
    """An account: whose, what is spent and held, and the most that ever was."""

    id: int
    key: str
    spent: int
    held: int
    most: int


class Evidence(msgspec.Struct, frozen=True):
    """All there is; `owners` are the processes that rows ever belonged to, by their ids."""

    rows: list[Row]
    accounts: list[Counters]
    owners: dict[int, int]
    damage: list[str] = []

    @property
    def mistaken(self) -> set[int]:
        """Return the processes that were taken for dead, and have gone on as somebody else."""
        return {pid for pid, count in Counter(self.owners.values()).items() if count > 1}


class Inspector:
    """Looks into the database at a ledger's URL."""

    def __init__(self, url: str) -> None:
        scheme, _, rest = url.partition("://")
        self._url = url
        self._file = sqlite_file(rest) if scheme == "sqlite" else None
        self._prefix = "veneer_" if self._file is None else ""

    def watch(self) -> None:
        """Begin to see every moment; the ledger's tables are there."""
        if self._file is not None:
            with closing(sqlite3.connect(self._file, timeout=60)) as connection:
                connection.executescript(_SQLITE)
            return
        with psycopg.connect(self._url, autocommit=True) as connection:
            connection.execute(_POSTGRESQL.encode())

    def open(self) -> int:
        """Return how many rows are open."""
        with self._reading() as read:
            [(count,)] = read(f"SELECT count(*) FROM {self._prefix}entries WHERE state = 'held'")  # noqa: S608 - a prefix of ours
            return int(count)

    def evidence(self) -> Evidence:
        """Return what is there."""
        with self._reading() as read:
            rows = [_row(found) for found in read(_ROWS.format(self._prefix))]
            accounts = [
                Counters(number, json.loads(key)[1], int(spent), int(held), int(most or 0))
                for number, key, spent, held, most in read(_ACCOUNTS.format(self._prefix))
            ]
            owners = {
                number: int(name.rpartition(":")[2])
                for number, name in read("SELECT id, name FROM seen_owners")
            }
            damage = []
            if self._file is not None:
                damage = [str(line) for (line,) in read("PRAGMA integrity_check") if line != "ok"]
            return Evidence(rows, accounts, owners, damage)

    @contextmanager
    def _reading(self) -> Iterator[Any]:
        """Give a function from a statement to the rows that it finds."""
        if self._file is not None:
            with closing(sqlite3.connect(self._file, timeout=60)) as file:
                yield lambda statement: file.execute(statement).fetchall()
            return
        with psycopg.connect(self._url) as connection:
            yield lambda statement: connection.execute(statement.encode()).fetchall()


def _row(found: Sequence[Any]) -> Row:
    """Return a row of either database: one of them has no objects and no arrays."""
    call, name, owner, state, amount, total, parts, estimated, accounts, *usage = found
    return Row(
        call,
        name,
        owner,
        state,
        amount,
        total,
        json.loads(parts) if isinstance(parts, str) else parts,
        bool(estimated),
        tuple(json.loads(accounts) if isinstance(accounts, str) else accounts),
        None if usage[0] is None else (usage[0], usage[1], usage[2]),
    )
