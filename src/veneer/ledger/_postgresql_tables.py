"""The ledger's tables in PostgreSQL, and the statements about them.

What a statement takes many of comes as one JSON text: that is the cheapest for whoever sends it.
Each stands alone or within a transaction, whatever connection it comes by, so that any pooler in
between will do.
"""

from collections.abc import Mapping, Sequence

from veneer.ledger.columns import CLOSED, OPENED
from veneer.stores.migrations import Schema

# Amounts of a row are BIGINT. Totals are NUMERIC, for 64 bits end at nine million dollars. An
# account is unique by `digest`, which is that of its budget, partition and period: an index takes
# no text of any length. Accounts are written all the time, and by the same id: room is left in
# their pages for that. `limits` are what operators have set, NULL for none; whoever changes them
# counts `revision` up, in the same transaction. An owner's id is never given again; `token` tells
# it from that of another database. `alive_until` (since the epoch) is for those who read: who is
# over, is seen from `beats`.
SCHEMA = Schema(
    "ledger",
    (
        (
            """CREATE TABLE veneer_entries (
                id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
                call TEXT NOT NULL UNIQUE,
                owner BIGINT NOT NULL,
                state TEXT NOT NULL,
                at DOUBLE PRECISION NOT NULL,
                closed_at DOUBLE PRECISION,
                amount BIGINT NOT NULL,
                accounts BIGINT[] NOT NULL,
                request_id TEXT,
                key_id TEXT,
                team TEXT,
                user_id TEXT,
                tags TEXT NOT NULL,
                operation TEXT NOT NULL,
                model TEXT,
                stream INTEGER NOT NULL,
                total BIGINT NOT NULL DEFAULT 0,
                parts TEXT NOT NULL DEFAULT '{{}}',
                estimated INTEGER NOT NULL DEFAULT 0,
                price_version TEXT,
                priced_model TEXT,
                answered_model TEXT,
                target TEXT,
                status INTEGER,
                latency DOUBLE PRECISION,
                first_event DOUBLE PRECISION,
                input_tokens BIGINT,
                output_tokens BIGINT,
                total_tokens BIGINT,
                cached_input_tokens BIGINT,
                cache_write_tokens BIGINT,
                reasoning_tokens BIGINT,
                input_audio_tokens BIGINT,
                output_audio_tokens BIGINT,
                input_image_tokens BIGINT,
                output_image_tokens BIGINT,
                seconds DOUBLE PRECISION,
                malformed INTEGER
            )""",
            "CREATE INDEX veneer_entries_by_time ON veneer_entries (at)",
            "CREATE INDEX veneer_entries_held ON veneer_entries (owner) WHERE state = 'held'",
            """CREATE TABLE veneer_accounts (
                id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
                digest TEXT NOT NULL UNIQUE,
                budget TEXT NOT NULL,
                partition TEXT NOT NULL,
                starts BIGINT NOT NULL,
                ends BIGINT,
                spent NUMERIC NOT NULL DEFAULT 0,
                held NUMERIC NOT NULL DEFAULT 0
            ) WITH (fillfactor = 50)""",
            """CREATE TABLE veneer_limits (
                budget TEXT NOT NULL,
                partition TEXT NOT NULL,
                amount NUMERIC,
                PRIMARY KEY (budget, partition)
            )""",
            "CREATE TABLE veneer_revision (limits BIGINT NOT NULL)",
            "INSERT INTO veneer_revision VALUES (0)",
            """CREATE TABLE veneer_owners (
                id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
                token TEXT NOT NULL,
                name TEXT NOT NULL,
                beats BIGINT NOT NULL,
                alive_until DOUBLE PRECISION NOT NULL
            )""",
        ),
    ),
)

_WHOLE = "BIGINT"
_TYPES: Mapping[str, str] = {
    **dict.fromkeys((*OPENED, *CLOSED), _WHOLE),
    **dict.fromkeys(("at", "closed_at", "latency", "first_event", "seconds"), "DOUBLE PRECISION"),
    **dict.fromkeys(("call", "request_id", "key_id", "team", "user_id", "tags"), "TEXT"),
    **dict.fromkeys(("operation", "model", "state", "parts", "price_version"), "TEXT"),
    **dict.fromkeys(("priced_model", "answered_model", "target"), "TEXT"),
    **dict.fromkeys(("stream", "estimated", "status", "malformed"), "INTEGER"),
    "owner": _WHOLE,
    "accounts": "BIGINT[]",
    # The state that a row is known to have before it is closed.
    "before": "TEXT",
}

# What a row has that is made: as a hold, or closed already.
INSERTED = ("owner", "accounts", *OPENED, *CLOSED)


def _new(columns: Sequence[str]) -> str:
    """Return rows of these columns, out of JSON objects."""
    typed = ", ".join(f"{column} {_TYPES[column]}" for column in columns)
    return f"json_to_recordset(%s::json) AS new({typed})"


_COLUMNS = ", ".join(INSERTED)
_ASSIGNMENTS = ", ".join(f"{column} = new.{column}" for column in CLOSED)
_FOUND = "SELECT call, state, amount, total, accounts FROM veneer_entries"

# It locks accounts in the order of their ids, as everybody does, so that nobody waits in a circle.
# And our owner, which nobody removes then: what is ours stays so. It takes its id and token, and
# the ids of accounts.
LOOK = """
WITH owner AS MATERIALIZED (
    SELECT id FROM veneer_owners WHERE id = %s AND token = %s FOR KEY SHARE
), account AS MATERIALIZED (
    SELECT id, spent, held FROM veneer_accounts
    WHERE id = ANY(%s::bigint[]) ORDER BY id FOR UPDATE
)
SELECT (SELECT count(*) FROM owner), (SELECT limits FROM veneer_revision), (
    SELECT coalesce(json_agg(json_build_array(id, spent::text, held::text)), '[]')::text
    FROM account
)
"""

# It takes the rows that are made; those that are closed, with their calls; and the accounts that
# have changed, with their ids. It tells how many were closed: each that is still what it was.
WRITE = f"""
WITH made AS (
    INSERT INTO veneer_entries ({_COLUMNS}) SELECT {_COLUMNS} FROM {_new(INSERTED)}
), closed AS (
    UPDATE veneer_entries AS entry SET {_ASSIGNMENTS} FROM {_new(("call", "before", *CLOSED))}
    WHERE entry.call = new.call AND entry.state = new.before AND entry.call = ANY(%s::text[])
    RETURNING 1
), counted AS (
    UPDATE veneer_accounts AS account SET spent = new.spent, held = new.held
    FROM json_to_recordset(%s::json) AS new(id BIGINT, spent NUMERIC, held NUMERIC)
    WHERE account.id = new.id AND account.id = ANY(%s::bigint[])
)
SELECT count(*) FROM closed
"""  # noqa: S608 - names of ours

# Rows of calls, before their accounts, as those that are left are.
FIND_ROWS = f"{_FOUND} WHERE call = ANY(%s::text[]) ORDER BY id FOR UPDATE"
# It takes how many. What somebody else is closing is passed by.
FIND_LEFT = f"""
{_FOUND} WHERE state = 'held' AND owner NOT IN (SELECT id FROM veneer_owners)
LIMIT %s FOR UPDATE SKIP LOCKED
"""  # noqa: S608 - names of ours
FIND_CALLS = "SELECT call FROM veneer_entries WHERE call = ANY(%s::text[])"
FIND_ENTRY = f"SELECT accounts, {', '.join(OPENED + CLOSED)} FROM veneer_entries WHERE call = %s"  # noqa: S608 - names of ours

FIND_IDS = "SELECT digest, id FROM veneer_accounts WHERE digest = ANY(%s::text[])"
FIND_BALANCES = (
    "SELECT digest, spent::text, held::text FROM veneer_accounts WHERE digest = ANY(%s::text[])"
)
FIND_ACCOUNTS = (
    "SELECT budget, partition, starts, ends FROM unnest(%s::bigint[]) WITH ORDINALITY "
    "AS asked(id, place) JOIN veneer_accounts USING (id) ORDER BY place"
)
MAKE_ACCOUNTS = """
INSERT INTO veneer_accounts (digest, budget, partition, starts, ends)
SELECT digest, budget, partition, starts, ends FROM json_to_recordset(%s::json)
AS new(digest TEXT, budget TEXT, partition TEXT, starts BIGINT, ends BIGINT)
ORDER BY digest ON CONFLICT DO NOTHING
"""
# With the revision that they are of.
FIND_LIMITS = (
    "SELECT revision.limits, budget, partition, amount::text "
    "FROM veneer_revision AS revision LEFT JOIN veneer_limits ON true"
)

FIND_OWNERS = "SELECT id, beats FROM veneer_owners WHERE id <> %s"
MAKE_OWNER = (
    "INSERT INTO veneer_owners (token, name, beats, alive_until) VALUES (%s, %s, 0, %s) "
    "RETURNING id"
)
RENEW_OWNER = "UPDATE veneer_owners SET beats = beats + 1, alive_until = %s WHERE id = %s"
# It takes ids, and how often they have shown that they live, for they may do so now.
REMOVE_OWNERS = """
DELETE FROM veneer_owners WHERE id IN (
    SELECT owner.id FROM veneer_owners AS owner
    JOIN unnest(%s::bigint[], %s::bigint[]) AS over(id, beats) USING (id, beats)
    FOR UPDATE OF owner SKIP LOCKED
)
"""
REMOVE_OWNER = "DELETE FROM veneer_owners WHERE id = %s AND token = %s"
# It waits until every transaction of ours is over, also one that nobody hears of any more.
WAIT_FOR_OWNER = "SELECT id FROM veneer_owners WHERE id = %s AND token = %s FOR UPDATE"

# The text of other encodings has no room for everybody's names.
FIND_ENCODING = "SELECT current_setting('server_encoding')"
