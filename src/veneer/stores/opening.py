"""Open a store by its URL."""

from importlib import import_module
from typing import TYPE_CHECKING

from veneer.keys.store import KeyStore
from veneer.provider_keys.store import ProviderKeyStore
from veneer.stores.memory import MemoryKeyStore, MemoryProviderKeyStore

if TYPE_CHECKING:
    from veneer.stores.database import Database

DEFAULT_TIMEOUT = 2.0

# What a scheme needs, and the extra that brings it.
_EXTRAS = {
    "sqlite": ("sql", ("sqlalchemy", "greenlet", "aiosqlite")),
    "postgresql": ("postgres", ("sqlalchemy", "greenlet", "psycopg")),
}
_ALIASES = {"postgres": "postgresql"}
_FORMS = "memory://, sqlite:///file.db, sqlite:////absolute/file.db or postgresql://host/database"


def open_key_store(url: str, *, timeout: float = DEFAULT_TIMEOUT) -> KeyStore:
    """Return the store of keys at a URL; nothing is connected to before it is first used.

    `memory://` is one process's own and new every time. The tables of a database are made, or
    brought up to date, at its first use. No call takes longer than `timeout` seconds.

    Raises ValueError for a URL of no known form, or where the package's extra for it is missing.
    """
    if url == "memory://":
        return MemoryKeyStore()
    database = open_database(url, timeout=timeout)
    # Not before the extra is known to be there.
    from veneer.stores.keys import SqlKeyStore  # noqa: PLC0415 - the toolkit is an extra

    return SqlKeyStore(database)


def open_provider_key_store(url: str, *, timeout: float = DEFAULT_TIMEOUT) -> ProviderKeyStore:
    """Return the store of callers' keys for providers at a URL; all as for `open_key_store`."""
    if url == "memory://":
        return MemoryProviderKeyStore()
    database = open_database(url, timeout=timeout)
    from veneer.stores.provider_keys import SqlProviderKeyStore  # noqa: PLC0415 - as above

    return SqlProviderKeyStore(database)


def open_database(url: str, *, timeout: float = DEFAULT_TIMEOUT) -> "Database":
    """Return the database at a `sqlite:` or `postgresql:` URL; raises as `open_key_store` does."""
    given, separator, rest = url.partition("://")
    scheme = _ALIASES.get(given, given)
    if not separator or scheme not in _EXTRAS:
        raise ValueError(f"No store has a URL that begins {given.split(':')[0]!r}: give {_FORMS}.")
    if timeout <= 0:
        raise ValueError(f"A store's timeout is a positive number of seconds, not {timeout}.")
    require(scheme)
    if scheme == "sqlite":
        from veneer.stores.sqlite import sqlite  # noqa: PLC0415 - as above

        return sqlite(rest, timeout)
    from veneer.stores.postgresql import postgresql  # noqa: PLC0415 - as above

    return postgresql(f"{scheme}://{rest}", timeout)


def require(scheme: str) -> None:
    """Raise ValueError where what a `sqlite` or `postgresql` store needs is not installed."""
    extra, modules = _EXTRAS[scheme]
    for module in modules:
        try:
            import_module(module)
        except ModuleNotFoundError as error:
            raise ValueError(
                f"A {scheme} store needs the package {error.name}: install veneer[{extra}]."
            ) from error
