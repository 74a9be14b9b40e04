"""The file of recordings: what it says of itself, and which tables it has."""

from veneer.stores.sqlite_file import Format

# `serial` is the order of age: a claim's is its token, a recording's comes with its commit.
# `lease` is how long a claim lasts, in seconds, and NULL once there is an answer. `expires` is when
# it is over. `status` is NULL where the answer was too large. `size` is what counts of it.
_TABLES = (
    """CREATE TABLE entries (
        serial INTEGER PRIMARY KEY,
        key BLOB NOT NULL UNIQUE,
        token INTEGER NOT NULL,
        fingerprint BLOB NOT NULL,
        lease REAL,
        expires REAL NOT NULL,
        size INTEGER NOT NULL,
        status INTEGER,
        headers BLOB,
        body BLOB
    )""",
    "CREATE INDEX entries_by_expiry ON entries (expires)",
    # The last serial or token that was given, and the sum of all sizes.
    "CREATE TABLE totals (last INTEGER NOT NULL, size INTEGER NOT NULL)",
    "INSERT INTO totals VALUES (0, 0)",
)

FORMAT = Format(
    holds="recordings",
    # "veRC".
    application=0x76655243,
    versions=(_TABLES,),
    # An answer is spread over fewer of them than of SQLite's own 4096.
    page=8192,
)
