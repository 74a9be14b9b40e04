"""Records of keys for tests."""

from datetime import UTC, datetime
from typing import Any

from veneer.keys.record import KeyRecord

CREATED = datetime(2026, 3, 1, 12, 30, 15, 123456, tzinfo=UTC)


def record(key_id: str = "key_1", **members: Any) -> KeyRecord:
    """Return a record; its digest is made from its id unless given."""
    given = {"digest": f"digest of {key_id}", "pepper_id": "1", "shown": "vnr_…abcd", "name": "n"}
    return KeyRecord(id=key_id, created_at=CREATED, **{**given, **members})
