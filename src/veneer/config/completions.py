"""Completions as they are configured: from `[completions]` to the layer that keeps them."""

from collections.abc import Mapping
from typing import Any

from veneer.config.blame import blame
from veneer.config.completions_tables import CompletionsTable
from veneer.config.operations import named
from veneer.config.store_url import MEMORY, read_store_url
from veneer.config.tables import Config
from veneer.dialects import Dialect
from veneer.idempotency.opening import open_recording_store
from veneer.idempotency.store import RecordingStore
from veneer.layers.completions import DEFAULT_MAX_BYTES, STORED
from veneer.store_urls import REDIS
from veneer.wiring import ConfigurationError


def build_completions(
    config: Config, dialect: Dialect, cost: Mapping[str, Any] | None, *, has_keys: bool
) -> dict[str, Any] | None:
    """Return the options of the layer, None where completions are not kept.

    `cost` are those of the layer that charges calls, `has_keys` is whether callers have keys of
    their own. Raises `ConfigurationError` that names the table where a value cannot be used.
    """
    table = config.completions
    if not _is_wanted(config, dialect, has_keys=has_keys):
        return None
    return {
        "store": _store(table, several=config.serve.workers > 1),
        "ttl": table.ttl,
        "content": table.content,
        "max_answer": table.max_answer,
        "credits": None if cost is None else cost["credits"],
    }


def _is_wanted(config: Config, dialect: Dialect, *, has_keys: bool) -> bool:
    """Whether they are kept: not where the upstream is asked for its own, or nobody is."""
    enabled, operations = config.completions.enabled, config.operations
    passed, denied = STORED in operations.allow, STORED in named(operations.deny or ())
    if enabled is None:
        return dialect.keeps_completions and has_keys and not (passed or denied)
    if enabled and not has_keys:
        raise ConfigurationError(
            "[completions] enabled is true, and callers are asked for no key: nobody knows whose a "
            "completion is. Have them asked, by [auth] or --store, or leave it out."
        )
    if enabled and passed:
        raise ConfigurationError(
            f"[completions] enabled is true, and [operations] allow has {STORED!r}, which asks the "
            "upstream for its own: leave one of them out."
        )
    if enabled and denied:
        raise ConfigurationError(
            f"[completions] enabled is true, and [operations] deny has {STORED!r}, by its name or "
            "its family: leave one of them out."
        )
    return enabled


def _store(table: CompletionsTable, *, several: bool) -> RecordingStore:
    url = MEMORY if table.store is None else read_store_url(table.store, "[completions] store")
    if url == MEMORY and several:
        raise ConfigurationError(
            "[completions] store: in memory, several workers would each know their own alone: "
            "give sqlite:///file or redis://host, or say enabled = false."
        )
    is_redis = url.partition("://")[0] in REDIS
    if table.max_total is not None and is_redis:
        raise ConfigurationError(
            "[completions] max_total: Redis bounds what it keeps by its own maxmemory: leave it "
            "out."
        )
    in_memory = DEFAULT_MAX_BYTES if url == MEMORY else None
    with blame("[completions] store:"):
        return open_recording_store(url, max_bytes=table.max_total or in_memory)
