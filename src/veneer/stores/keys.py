"""The keys in a SQL database: one implementation for SQLite and PostgreSQL."""

import secrets
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, delete, insert, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from veneer.keys.record import KeyRecord
from veneer.stores.database import Database, T, Work
from veneer.stores.key_tables import SCHEMA, changes, keys, record_of, row_of, version

# The log of changes: who asks with a mark older than this many writes is told that all changed.
KEPT_CHANGES = 10_000

_TOUCH = (
    update(keys)
    .where(
        keys.c.id == bindparam("key"),
        or_(keys.c.last_used_at.is_(None), keys.c.last_used_at < bindparam("used")),
    )
    .values(last_used_at=bindparam("used"))
)


class SqlKeyStore:
    """Keeps the records of keys in a database; see `KeyStore` for what its methods promise."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(self, digests: Collection[str]) -> KeyRecord | None:
        """Return the record that has one of these digests: one indexed query."""
        return await self._one(select(keys).where(keys.c.digest.in_(digests)).limit(1))

    async def get(self, key_id: str) -> KeyRecord | None:
        """Return the record with this id."""
        try:
            return await self._one(select(keys).where(keys.c.id == key_id))
        except ValueError:
            # An id that the database cannot keep is no key's.
            return None

    async def list(
        self, *, team: str | None = None, after: str | None = None, limit: int = 100
    ) -> Sequence[KeyRecord]:
        """Return records in the order of their ids, those after `after`; None is every team."""
        query = select(keys).order_by(keys.c.id).limit(limit)
        if team is not None:
            query = query.where(keys.c.team == team)
        if after is not None:
            query = query.where(keys.c.id > after)

        async def work(connection: AsyncConnection) -> Sequence[KeyRecord]:
            return [record_of(row) for row in (await connection.execute(query)).mappings()]

        return await self._read(work)

    async def add(self, record: KeyRecord) -> None:
        """Keep a new record. Raises ValueError where its id or its digest is taken."""
        row = row_of(record) | {"revision": 0}

        async def work(connection: AsyncConnection) -> None:
            await _log(connection, record.digest)
            await connection.execute(insert(keys), row)

        await self._write(work)

    async def replace(self, record: KeyRecord) -> bool:
        """Replace the record where its revision is still that of the stored one."""
        row = row_of(record) | {"revision": record.revision + 1}
        del row["last_used_at"]
        same = (keys.c.id == record.id) & (keys.c.revision == record.revision)

        async def work(connection: AsyncConnection) -> bool:
            before = await connection.scalar(select(keys.c.digest).where(same))
            if before is None:
                return False
            await _log(connection, before, record.digest)
            return (await connection.execute(update(keys).where(same).values(row))).rowcount == 1

        return await self._write(work)

    async def touch(self, used: Mapping[str, datetime]) -> None:
        """Note when keys were last used."""
        # In one order everywhere: two processes that lock the same rows must not wait in a circle.
        rows = [{"key": key_id, "used": moment} for key_id, moment in sorted(used.items())]
        if not rows:
            return

        async def work(connection: AsyncConnection) -> None:
            await connection.execute(_TOUCH, rows)

        await self._write(work)

    async def changed_since(self, mark: str | None) -> tuple[Collection[str] | None, str]:
        """Return the digests of records written since a mark, and the present mark."""
        if mark is None:
            return (), await self._read(_present)
        number, _, token = mark.partition(":")
        seen = int(number)
        query = select(changes).where(changes.c.version >= seen).order_by(changes.c.version)

        async def work(connection: AsyncConnection) -> tuple[Collection[str] | None, str]:
            rows = (await connection.execute(query)).all()
            if not rows or (rows[0].version, rows[0].token) != (seen, token):
                return None, await _present(connection)
            changed = {row.digest for row in rows if row.version > seen}
            return changed, f"{rows[-1].version}:{rows[-1].token}"

        return await self._read(work)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._database.aclose()

    async def _one(self, query: Any) -> KeyRecord | None:
        async def work(connection: AsyncConnection) -> KeyRecord | None:
            row = (await connection.execute(query)).mappings().first()
            return None if row is None else record_of(row)

        return await self._read(work)

    async def _read(self, work: Work[T]) -> T:
        await self._database.prepare(SCHEMA)
        return await self._database.read(work)

    async def _write(self, work: Work[T]) -> T:
        await self._database.prepare(SCHEMA)
        try:
            return await self._database.write(work)
        except IntegrityError as error:
            raise ValueError("There is a key with this id or this secret already.") from error


async def _log(connection: AsyncConnection, *digests: str) -> None:
    """Enter a change under the next version, which is ours alone until we commit."""
    await connection.execute(update(version).values(version=version.c.version + 1))
    number = (await connection.execute(select(version.c.version))).scalar_one()
    token = secrets.token_hex(8)
    await connection.execute(
        insert(changes),
        [{"version": number, "digest": digest, "token": token} for digest in {*digests}],
    )
    await connection.execute(delete(changes).where(changes.c.version <= number - KEPT_CHANGES))


async def _present(connection: AsyncConnection) -> str:
    query = select(changes).order_by(changes.c.version.desc()).limit(1)
    row = (await connection.execute(query)).one()
    return f"{row.version}:{row.token}"
