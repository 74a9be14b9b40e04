"""The tables of keys, and how a record lies in them."""

from typing import Any

import msgspec
from sqlalchemy import BigInteger, Column, MetaData, RowMapping, Table, Text

from veneer.keys.record import KeyRecord
from veneer.stores.columns import UtcTime
from veneer.stores.migrations import Schema

_CREATE_KEYS = """
CREATE TABLE veneer_keys (
    id {ordered} PRIMARY KEY,
    digest TEXT NOT NULL UNIQUE,
    pepper_id TEXT NOT NULL,
    shown TEXT NOT NULL,
    name TEXT NOT NULL,
    team TEXT,
    user_id TEXT,
    scopes TEXT NOT NULL,
    operations TEXT,
    models TEXT,
    limits TEXT NOT NULL,
    budgets TEXT NOT NULL,
    tags TEXT NOT NULL,
    created_at {time} NOT NULL,
    not_before {time},
    expires_at {time},
    revoked_at {time},
    last_used_at {time},
    rotated_from TEXT,
    revision BIGINT NOT NULL
)"""
# `token` is random: it tells a version from the one of the same number that a restored backup, or
# a replica that was promoted too early, goes on from.
_CREATE_CHANGES = """
CREATE TABLE veneer_key_changes (
    version BIGINT NOT NULL,
    digest TEXT NOT NULL,
    token TEXT NOT NULL,
    PRIMARY KEY (version, digest)
)"""

SCHEMA = Schema(
    "keys",
    (
        (
            _CREATE_KEYS,
            "CREATE INDEX veneer_keys_team ON veneer_keys (team, id)",
            # A writer holds this one row until it commits, so that versions are committed in their
            # order: whoever has seen one has missed none before it.
            "CREATE TABLE veneer_key_version (version BIGINT NOT NULL)",
            "INSERT INTO veneer_key_version VALUES (0)",
            _CREATE_CHANGES,
            "INSERT INTO veneer_key_changes VALUES (0, '', '')",
        ),
    ),
)

_TEXTS = ("id", "digest", "pepper_id", "shown", "name", "team", "user_id", "rotated_from")
_JSON = ("scopes", "operations", "models", "limits", "budgets", "tags")
_TIMES = ("created_at", "not_before", "expires_at", "revoked_at", "last_used_at")
_COLUMNS = (*_TEXTS, *_JSON, *_TIMES, "revision")

_metadata = MetaData()
keys = Table(
    "veneer_keys",
    _metadata,
    *(Column(name, Text) for name in (*_TEXTS, *_JSON)),
    *(Column(name, UtcTime) for name in _TIMES),
    Column("revision", BigInteger),
)
version = Table("veneer_key_version", _metadata, Column("version", BigInteger))
changes = Table(
    "veneer_key_changes",
    _metadata,
    Column("version", BigInteger),
    Column("digest", Text),
    Column("token", Text),
)


def row_of(record: KeyRecord) -> dict[str, Any]:
    """Return the record as the table keeps it."""
    row = msgspec.structs.asdict(record)
    # `user` is a function in SQL: who forgets to quote it gets another answer, not an error.
    row["user_id"] = row.pop("user")
    for name in _JSON:
        if row[name] is not None:
            row[name] = msgspec.json.encode(row[name], order="deterministic").decode()
    return row


def record_of(row: RowMapping) -> KeyRecord:
    """Return the record that a row is."""
    members = {name: row[name] for name in _COLUMNS}
    members["user"] = members.pop("user_id")
    for name in _JSON:
        if members[name] is not None:
            members[name] = msgspec.json.decode(members[name])
    return msgspec.convert(members, KeyRecord)
