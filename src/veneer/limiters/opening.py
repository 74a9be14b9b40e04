"""Open a limiter by its URL."""

import re
from difflib import get_close_matches
from types import MappingProxyType

from veneer.limiters.guarded import DEFAULT_TIMEOUT, Guarded
from veneer.limiters.memory import MemoryLimiter
from veneer.quotas.limiter import Limiter

_FORMS = "memory://, shared:///absolute/file, redis://host:port/0, rediss://host or unix:///socket"
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*")
# Valkey speaks Redis' protocol, and the client knows it by that name only.
_REDIS = MappingProxyType(
    {
        "redis": "redis",
        "rediss": "rediss",
        "redis+cluster": "redis+cluster",
        "rediss+cluster": "rediss+cluster",
        "unix": "unix",
        "valkey": "redis",
        "valkeys": "rediss",
    }
)


def open_limiter(url: str, *, timeout: float = DEFAULT_TIMEOUT) -> Limiter:
    """Return the limiter at a URL; nothing is connected to before it is first used.

    `memory://` is one process's own and new every time. `shared:///file` is for the workers of one
    machine. `redis://`, `rediss://` (TLS) and `unix://` (as redis-py has them), `valkey://` and
    `valkeys://` are a server's, `redis+cluster://` and `rediss+cluster://` a cluster's. All but the
    first are guarded: no take is waited for longer than `timeout` seconds, and then the quotas'
    `on_failure` decides.

    Raises ValueError for a URL of no known form, or where the package's extra for it is missing.
    No such sentence holds more of the URL than its scheme.
    """
    if url == "memory://":
        return MemoryLimiter()
    scheme, separator, rest = url.partition("://")
    if separator and scheme == "shared":
        return Guarded(_shared(rest), timeout=timeout)
    if separator and scheme in _REDIS:
        from veneer.limiters.redis import RedisLimiter  # noqa: PLC0415 - few need all that it imports

        return Guarded(RedisLimiter(f"{_REDIS[scheme]}://{rest}"), timeout=timeout)
    raise ValueError(_unknown(url))


def _shared(path: str) -> Limiter:
    if not path.startswith("/") or path.endswith("/"):
        raise ValueError(
            "The limiter of one machine's workers needs the absolute path of a file: "
            "shared:///absolute/file."
        )
    try:
        from veneer.limiters.shared import SharedLimiter  # noqa: PLC0415 - not all systems have it
    except ModuleNotFoundError as error:
        raise ValueError(
            "This system has no flock, by which the workers of one machine share a file: "
            "use a redis:// limiter."
        ) from error

    return SharedLimiter(path)


def _unknown(url: str) -> str:
    scheme, separator, _ = url.partition("://")
    near = get_close_matches(
        scheme.partition(":")[0][:16].lower(), ["memory", "shared", *_REDIS], n=1
    )
    # What is followed by no :// may be a password.
    begins = (
        f" that begins {scheme}://" if separator and _SCHEME.fullmatch(scheme) else " like this"
    )
    meant = f" (is {near[0]}:// meant?)" if near else ""
    return f"No limiter has a URL{begins}{meant}: give {_FORMS}."
