"""Idempotency as it is configured: from `[idempotency]` to the layer that it describes."""

from typing import Any

import msgspec

from veneer.config.blame import blame
from veneer.config.idempotency_tables import IdempotencyTable
from veneer.config.store_url import MEMORY, read_store_url
from veneer.dialects import Dialect
from veneer.idempotency.opening import open_recording_store
from veneer.idempotency.store import RecordingStore
from veneer.store_urls import REDIS
from veneer.wiring import ConfigurationError


def build_idempotency(
    table: IdempotencyTable, dialect: Dialect, *, has_keys: bool, several: bool
) -> dict[str, Any] | None:
    """Return the options of the layer, None if there is to be none; its store is opened when used.

    `dialect` is the API's way of speaking, `has_keys` is whether callers have keys of their own,
    `several` whether more than one process serves. Raises `ConfigurationError` that names the table
    where a value cannot be used.
    """
    if not table.enabled:
        return None
    options = msgspec.structs.asdict(table)
    for name in ("enabled", "timeout", "max_total"):
        del options[name]
    if table.names is None:
        options["names"] = dialect.idempotency_names
    if not has_keys:
        options["share"] = "all"
    return {**options, "store": _store(table, several=several)}


def _store(table: IdempotencyTable, *, several: bool) -> RecordingStore:
    url = MEMORY if table.store is None else read_store_url(table.store, "[idempotency] store")
    if url == MEMORY and several:
        raise ConfigurationError(
            "[idempotency] store: in memory, several workers would each keep their own answers: "
            "give sqlite:///file or redis://host."
        )
    if table.max_total is not None and url.partition("://")[0] in REDIS:
        raise ConfigurationError(
            "[idempotency] max_total: Redis bounds what it keeps by its own maxmemory: leave it "
            "out."
        )
    with blame("[idempotency] store:"):
        return open_recording_store(url, timeout=table.timeout, max_bytes=table.max_total)
