"""Open a store of recordings by its URL."""

from veneer.idempotency.guarded import GuardedStore
from veneer.idempotency.memory import DEFAULT_MAX_BYTES as IN_MEMORY
from veneer.idempotency.memory import MemoryRecordingStore
from veneer.idempotency.store import RecordingStore
from veneer.store_urls import REDIS, sqlite_file, unknown

DEFAULT_TIMEOUT = 2.0

_FORMS = (
    "memory://, sqlite:///file.db, sqlite:////absolute/file.db, redis://host:port/0, "
    "rediss://host or unix:///socket"
)


def open_recording_store(
    url: str, *, timeout: float = DEFAULT_TIMEOUT, max_bytes: int | None = None
) -> RecordingStore:
    """Return the store of recordings at a URL; nothing is opened before it is first used.

    `memory://` is one process's own and new every time. `sqlite:///file` is for the processes of
    one machine, and outlasts them. `redis://`, `rediss://` (TLS) and `unix://` (as redis-py has
    them), `valkey://` and `valkeys://` are a server's, `redis+cluster://` and `rediss+cluster://` a
    cluster's, for many machines. No call of these takes longer than `timeout` seconds, and while
    they are away, most fail at once (`GuardedStore`).

    All recordings together have `max_bytes` at most: the oldest leave first. If none is given, it
    is 256 MiB in memory and 1 GiB in a file. Redis has its own bound (`maxmemory`), and takes none.

    Raises ValueError for a URL of no known form, a timeout or a bound that cannot be, or where the
    package's extra for it is missing. No such sentence holds a password.
    """
    if timeout <= 0:
        raise ValueError(f"A store's timeout is a positive number of seconds, not {timeout}.")
    if url == "memory://":
        return MemoryRecordingStore(max_bytes=IN_MEMORY if max_bytes is None else max_bytes)
    scheme, separator, rest = url.partition("://")
    if separator and scheme == "sqlite":
        from veneer.idempotency.sqlite import (  # noqa: PLC0415 - few need all that it imports
            DEFAULT_MAX_BYTES,
            SqliteRecordingStore,
        )

        if max_bytes is None:
            max_bytes = DEFAULT_MAX_BYTES
        file = sqlite_file(rest)
        return GuardedStore(SqliteRecordingStore(file, max_bytes=max_bytes, timeout=timeout))
    if separator and scheme in REDIS:
        if max_bytes is not None:
            raise ValueError(
                "Redis bounds by its own maxmemory what all recordings have: leave max_bytes out."
            )
        from veneer.idempotency.redis import (  # noqa: PLC0415 - as above
            RedisRecordingStore,
        )

        return GuardedStore(RedisRecordingStore(f"{REDIS[scheme]}://{rest}", timeout=timeout))
    raise ValueError(unknown("store of recordings", url, ["memory", "sqlite", *REDIS], _FORMS))
