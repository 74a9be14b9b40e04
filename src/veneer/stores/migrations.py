"""Migrations: every component of the database has a version, and statements that lead to the next.

The table `veneer_schema` holds one row a component. Several processes may start at once: one of
them migrates, in one transaction, while the others wait.
"""

import msgspec
from sqlalchemy import inspect, text
from sqlalchemy.ext.asyncio import AsyncConnection

from veneer.stores.unavailable import StoreUnavailableError

# Any number will do that no other program uses for its advisory locks; these are letters.
_ADVISORY_LOCK = int.from_bytes(b"veneer", "big")

# How the words in braces of a statement are said in each dialect. `ordered` is text that sorts by
# its code points, whatever the database's locale.
_WORDS = {
    "sqlite": {"ordered": "TEXT", "time": "TEXT"},
    "postgresql": {"ordered": 'TEXT COLLATE "C"', "time": "TIMESTAMP WITH TIME ZONE"},
}


class Schema(msgspec.Struct, frozen=True):
    """The tables of one component, as the steps that lead to them.

    `versions[n]` are the statements that lead from version n to n + 1. A released step is never
    changed. `{ordered}` and `{time}` stand for the dialect's types.
    """

    component: str
    versions: tuple[tuple[str, ...], ...]


class SchemaTooNewError(StoreUnavailableError):
    """The tables were made by a later release than this one."""


async def migrate(connection: AsyncConnection, schema: Schema) -> None:
    """Bring one component up to date; the connection must be in no transaction.

    Raises `SchemaTooNewError` where a later release has been at work.
    """
    # Asked first without a lock: a role that may not create tables can use a finished database.
    if await _version(connection, schema) == len(schema.versions):
        return
    dialect = connection.dialect.name
    if dialect == "sqlite":
        await connection.exec_driver_sql("BEGIN IMMEDIATE")
    else:
        await connection.exec_driver_sql("BEGIN")
        # Held until the end of the transaction, which a pooler in between respects.
        await connection.execute(
            text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _ADVISORY_LOCK}
        )
    version = await _version(connection, schema)
    await _advance(connection, schema, version)
    await connection.exec_driver_sql("COMMIT")


async def _advance(connection: AsyncConnection, schema: Schema, version: int) -> None:
    words = _WORDS[connection.dialect.name]
    await connection.exec_driver_sql(
        "CREATE TABLE IF NOT EXISTS veneer_schema (component TEXT PRIMARY KEY, version INTEGER)"
    )
    for step in schema.versions[version:]:
        for statement in step:
            await connection.exec_driver_sql(statement.format_map(words))
    row = {"component": schema.component, "version": len(schema.versions)}
    await connection.execute(
        text("DELETE FROM veneer_schema WHERE component = :component"),
        {"component": row["component"]},
    )
    await connection.execute(text("INSERT INTO veneer_schema VALUES (:component, :version)"), row)


async def _version(connection: AsyncConnection, schema: Schema) -> int:
    if not await connection.run_sync(lambda sync: inspect(sync).has_table("veneer_schema")):
        return 0
    found = await connection.scalar(
        text("SELECT version FROM veneer_schema WHERE component = :component"),
        {"component": schema.component},
    )
    version = int(found or 0)
    if version > len(schema.versions):
        raise SchemaTooNewError(
            f"the tables of {schema.component} are of version {version}, which a later release of "
            f"veneer has made; this one knows {len(schema.versions)}: upgrade it"
        )
    return version
