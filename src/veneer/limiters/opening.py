"""Open a limiter by its URL."""

from pathlib import Path

from veneer.limiters.guarded import DEFAULT_TIMEOUT, Guarded
from veneer.limiters.memory import MemoryLimiter
from veneer.quotas.limiter import Limiter
from veneer.store_urls import REDIS, check_folder, unknown

_FORMS = "memory://, shared:///absolute/file, redis://host:port/0, rediss://host or unix:///socket"


def open_limiter(url: str, *, timeout: float = DEFAULT_TIMEOUT) -> Limiter:
    """Return the limiter at a URL; nothing is connected to before it is first used.

    `memory://` is one process's own and new every time. `shared:///file` is for the workers of one
    machine. `redis://`, `rediss://` (TLS) and `unix://` (as redis-py has them), `valkey://` and
    `valkeys://` are a server's, `redis+cluster://` and `rediss+cluster://` a cluster's. All but the
    first are guarded: no take is waited for longer than `timeout` seconds, and then the quotas'
    `on_failure` decides.

    Raises ValueError for a URL of no known form, for a file without a folder, or where the
    package's extra for it is missing. No such sentence holds a password.
    """
    if url == "memory://":
        return MemoryLimiter()
    scheme, separator, rest = url.partition("://")
    if separator and scheme == "shared":
        return Guarded(_shared(rest), timeout=timeout)
    if separator and scheme in REDIS:
        from veneer.limiters.redis import RedisLimiter  # noqa: PLC0415 - few need all that it imports

        return Guarded(RedisLimiter(f"{REDIS[scheme]}://{rest}"), timeout=timeout)
    raise ValueError(unknown("limiter", url, ["memory", "shared", *REDIS], _FORMS))


def _shared(path: str) -> Limiter:
    if not path.startswith("/") or path.endswith("/"):
        raise ValueError(
            "The limiter of one machine's workers needs the absolute path of a file: "
            "shared:///absolute/file."
        )
    check_folder(Path(path), "the file of limits")
    try:
        from veneer.limiters.shared import SharedLimiter  # noqa: PLC0415 - not all systems have it
    except ModuleNotFoundError as error:
        raise ValueError(
            "This system has no flock, by which the workers of one machine share a file: "
            "use a redis:// limiter."
        ) from error

    return SharedLimiter(path)
