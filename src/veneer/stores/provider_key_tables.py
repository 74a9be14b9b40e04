"""The table of callers' keys for providers, and how a record lies in it."""

from typing import Any

from sqlalchemy import Column, MetaData, RowMapping, Table, Text

from veneer.provider_keys.record import Owner, ProviderKeyRecord
from veneer.stores.columns import UtcTime
from veneer.stores.migrations import Schema

_CREATE = """
CREATE TABLE veneer_provider_keys (
    owner_kind {ordered} NOT NULL,
    owner_id {ordered} NOT NULL,
    provider {ordered} NOT NULL,
    seal TEXT NOT NULL,
    sealed TEXT NOT NULL,
    shown TEXT NOT NULL,
    created_at {time} NOT NULL,
    PRIMARY KEY (owner_kind, owner_id, provider)
)"""

SCHEMA = Schema("provider_keys", ((_CREATE,),))

provider_keys = Table(
    "veneer_provider_keys",
    MetaData(),
    Column("owner_kind", Text, primary_key=True),
    Column("owner_id", Text, primary_key=True),
    Column("provider", Text, primary_key=True),
    Column("seal", Text),
    Column("sealed", Text),
    Column("shown", Text),
    Column("created_at", UtcTime),
)


def row_of(record: ProviderKeyRecord) -> dict[str, Any]:
    """Return the record as the table keeps it."""
    return {
        "owner_kind": record.owner.kind,
        "owner_id": record.owner.id,
        "provider": record.provider,
        "seal": record.seal,
        "sealed": record.sealed,
        "shown": record.shown,
        "created_at": record.created_at,
    }


def record_of(row: RowMapping) -> ProviderKeyRecord:
    """Return the record that a row is."""
    return ProviderKeyRecord(
        owner=Owner(row["owner_kind"], row["owner_id"]),
        provider=row["provider"],
        seal=row["seal"],
        sealed=row["sealed"],
        shown=row["shown"],
        created_at=row["created_at"],
    )
