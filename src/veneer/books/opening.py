"""Open the books of a ledger by its URL."""

from veneer.books.books import Books
from veneer.store_urls import sqlite_file, unknown
from veneer.stores.opening import open_database, require

# Seconds that a question may take: a person waits longer than a call does.
DEFAULT_TIMEOUT = 15.0

_FORMS = "sqlite:///file.db, sqlite:////absolute/file.db or postgresql://host/database"
_POSTGRESQL = ("postgresql", "postgres")


def open_books(url: str, *, timeout: float = DEFAULT_TIMEOUT) -> Books:
    """Return the books of the ledger at a URL; nothing is opened before they are first used.

    No question takes longer than `timeout` seconds. A ledger that is not there then is not made: it
    is `LedgerUnavailableError`. That of `memory://` has no books but `MemoryBooks`, in its own
    process. Raises ValueError for a URL of no known form, or where the package's extra for it is
    missing.
    """
    scheme, separator, rest = url.partition("://")
    if separator and scheme == "memory":
        raise ValueError(
            "A ledger in memory can be read in its own process only: give the URL of one that "
            f"lasts, {_FORMS}."
        )
    if not separator or scheme not in ("sqlite", *_POSTGRESQL):
        raise ValueError(unknown("ledger", url, ["sqlite", *_POSTGRESQL], _FORMS))
    if timeout <= 0:
        raise ValueError(f"A timeout is a positive number of seconds, not {timeout}.")
    if scheme == "sqlite":
        file = sqlite_file(rest)
        require(scheme)
        # Not before the extra is known to be there.
        from veneer.books import sqlite  # noqa: PLC0415 - the toolkit is an extra
        from veneer.books.sql import SqlBooks  # noqa: PLC0415 - as above

        return SqlBooks(sqlite.database(file, timeout), sqlite.layout(file))
    database = open_database(url, timeout=timeout)
    from veneer.books.postgresql import LAYOUT  # noqa: PLC0415 - as above
    from veneer.books.sql import SqlBooks  # noqa: PLC0415 - as above

    return SqlBooks(database, LAYOUT)
