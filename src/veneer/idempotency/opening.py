"""Open a store of recordings by its URL."""

from veneer.idempotency.memory import MemoryRecordingStore
from veneer.idempotency.store import RecordingStore
from veneer.store_urls import REDIS, sqlite_file, unknown

DEFAULT_TIMEOUT = 2.0

_FORMS = (
    "memory://, sqlite:///file.db, sqlite:////absolute/file.db, redis://host:port/0, "
    "rediss://host or unix:///socket"
)


def open_recording_store(url: str, *, timeout: float = DEFAULT_TIMEOUT) -> RecordingStore:
    """Return the store of recordings at a URL; nothing is opened before it is first used.

    `memory://` is one process's own and new every time. `sqlite:///file` is for the processes of
    one machine, and outlasts them. `redis://`, `rediss://` (TLS) and `unix://` (as redis-py has
    them), `valkey://` and `valkeys://` are a server's, `redis+cluster://` and `rediss+cluster://` a
    cluster's, for many machines. No call of these takes longer than `timeout` seconds.

    Raises ValueError for a URL of no known form, a timeout that is not positive, or where the
    package's extra for it is missing. No such sentence holds a password.
    """
    if timeout <= 0:
        raise ValueError(f"A store's timeout is a positive number of seconds, not {timeout}.")
    if url == "memory://":
        return MemoryRecordingStore()
    scheme, separator, rest = url.partition("://")
    if separator and scheme == "sqlite":
        from veneer.idempotency.sqlite import (  # noqa: PLC0415 - few need all that it imports
            SqliteRecordingStore,
        )

        return SqliteRecordingStore(sqlite_file(rest), timeout=timeout)
    if separator and scheme in REDIS:
        from veneer.idempotency.redis import (  # noqa: PLC0415 - as above
            RedisRecordingStore,
        )

        return RedisRecordingStore(f"{REDIS[scheme]}://{rest}", timeout=timeout)
    raise ValueError(unknown("store of recordings", url, ["memory", "sqlite", *REDIS], _FORMS))
