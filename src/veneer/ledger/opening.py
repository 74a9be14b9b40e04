"""Open a ledger by its URL."""

from veneer.ledger.ledger import Ledger
from veneer.ledger.memory import MemoryLedger
from veneer.store_urls import sqlite_file, unknown
from veneer.stores.opening import open_database

_FORMS = "memory://, sqlite:///file.db, or postgresql://host/database"


def open_ledger(url: str) -> Ledger:
    """Return the ledger at a URL; nothing is opened before it is first used.

    `memory://` is one process's own, new every time, and gone with it. `sqlite:///file.db` (or
    `sqlite:////absolute/file.db`) is for all processes of one machine, over restarts, and
    `postgresql://host/database`, as libpq reads it, for those of many. Raises ValueError for a URL
    of no known form, and where the package's extra for it is missing. No such sentence holds more
    of the URL than its scheme.
    """
    if url == "memory://":
        return MemoryLedger()
    scheme, separator, rest = url.partition("://")
    if separator and scheme == "sqlite":
        from veneer.ledger.sqlite import SqliteLedger  # noqa: PLC0415 - not all need a database

        return SqliteLedger(sqlite_file(rest))
    if separator and scheme in ("postgresql", "postgres"):
        # It says which package is missing, before anything needs that.
        open_database(url)
        from veneer.ledger.postgresql import PostgresqlLedger  # noqa: PLC0415 - as above

        return PostgresqlLedger(url)
    raise ValueError(unknown("ledger", url, ["memory", "sqlite", "postgresql"], _FORMS))
