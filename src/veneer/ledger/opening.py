"""Open a ledger by its URL."""

from veneer.ledger.ledger import Ledger
from veneer.ledger.memory import MemoryLedger
from veneer.store_urls import sqlite_file, unknown

_FORMS = "memory://, or sqlite:///file.db"


def open_ledger(url: str) -> Ledger:
    """Return the ledger at a URL; nothing is opened before it is first used.

    `memory://` is one process's own, new every time, and gone with it. `sqlite:///file.db` (or
    `sqlite:////absolute/file.db`) is for all processes of one machine, over restarts. Raises
    ValueError for a URL of no known form. No such sentence holds more of the URL than its scheme.
    """
    if url == "memory://":
        return MemoryLedger()
    scheme, separator, rest = url.partition("://")
    if separator and scheme == "sqlite":
        from veneer.ledger.sqlite import SqliteLedger  # noqa: PLC0415 - not all need a database

        return SqliteLedger(sqlite_file(rest))
    raise ValueError(unknown("ledger", url, ["memory", "sqlite"], _FORMS))
