"""Callers' keys for providers in a SQL database: one implementation for SQLite and PostgreSQL."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, delete, insert, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from veneer.provider_keys.record import Owner, ProviderKeyRecord
from veneer.stores.database import Database, T, Work
from veneer.stores.provider_key_tables import SCHEMA, provider_keys, record_of, row_of

_c = provider_keys.c


class SqlProviderKeyStore:
    """Keeps sealed keys in a database; see `ProviderKeyStore` for what its methods promise."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(self, owners: Sequence[Owner]) -> Sequence[ProviderKeyRecord]:
        """Return all keys of these owners: one indexed query."""
        return await self._records(select(provider_keys).where(or_(*map(_of, owners))))

    async def list(self, owner: Owner | None = None) -> Sequence[ProviderKeyRecord]:
        """Return the keys of an owner, or all, in the order of owners and providers."""
        query = select(provider_keys).order_by(_c.owner_kind, _c.owner_id, _c.provider)
        return await self._records(query if owner is None else query.where(_of(owner)))

    async def put(self, record: ProviderKeyRecord) -> None:
        """Keep a key, in place of the one that its owner had for this provider."""
        row = row_of(record)

        async def work(connection: AsyncConnection) -> None:
            changed = await connection.execute(update(provider_keys).where(_is(record)).values(row))
            if not changed.rowcount:
                await connection.execute(insert(provider_keys), row)

        try:
            await self._write(work)
        except IntegrityError:
            # Somebody else was first, whose key is there now to be changed.
            await self._write(work)

    async def replace(self, old: ProviderKeyRecord, new: ProviderKeyRecord) -> bool:
        """Keep `new` in place of `old`, and return whether that is still what is there."""
        same = _is(old) & (_c.sealed == old.sealed)

        async def work(connection: AsyncConnection) -> bool:
            query = update(provider_keys).where(same).values(row_of(new))
            return (await connection.execute(query)).rowcount == 1

        return await self._write(work)

    async def delete(self, owner: Owner, provider: str) -> bool:
        """Forget a key, and return whether there was one."""

        async def work(connection: AsyncConnection) -> bool:
            query = delete(provider_keys).where(_of(owner) & (_c.provider == provider))
            return (await connection.execute(query)).rowcount == 1

        return await self._write(work)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._database.aclose()

    async def _records(self, query: Any) -> Sequence[ProviderKeyRecord]:
        async def work(connection: AsyncConnection) -> Sequence[ProviderKeyRecord]:
            return [record_of(row) for row in (await connection.execute(query)).mappings()]

        await self._database.prepare(SCHEMA)
        return await self._database.read(work)

    async def _write(self, work: Work[T]) -> T:
        await self._database.prepare(SCHEMA)
        return await self._database.write(work)


def _of(owner: Owner) -> ColumnElement[bool]:
    return (_c.owner_kind == owner.kind) & (_c.owner_id == owner.id)


def _is(record: ProviderKeyRecord) -> ColumnElement[bool]:
    return _of(record.owner) & (_c.provider == record.provider)
