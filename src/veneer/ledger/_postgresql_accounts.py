"""The accounts in PostgreSQL: their ids, and how they stand."""

from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from veneer.ledger import _postgresql_tables as tables
from veneer.ledger._postgresql_query import fetched
from veneer.ledger.entry import Account, Balance
from veneer.ledger.judging import Limits, limited
from veneer.ledger.naming import clean, read, written

# Holds' accounts whose ids are remembered.
_REMEMBERED = 10_000

_encode = msgspec.json.Encoder().encode


class Resolved(msgspec.Struct, frozen=True):
    """The ids of a hold's accounts, in their order; and each once."""

    keys: tuple[int, ...]
    unique: tuple[int, ...]


Ids = Mapping[tuple[Account, ...], Resolved]


class _Name(msgspec.Struct, frozen=True):
    """What an account is told from others by, as it is written."""

    budget: str
    partition: str
    starts: int

    @property
    def digest(self) -> str:
        return sha256(_encode(self)).hexdigest()


class Accounts:
    """Knows the ids of accounts, which never change."""

    def __init__(self) -> None:
        self._resolved: dict[tuple[Account, ...], Resolved] = {}

    def known(self, asked: Iterable[tuple[Account, ...]]) -> Ids | None:
        """Return the ids of holds' accounts, None where some are to be looked for."""
        try:
            return {accounts: self._resolved[accounts] for accounts in asked}
        except KeyError:
            return None

    async def resolve(
        self, connection: AsyncConnection, asked: Iterable[tuple[Account, ...]]
    ) -> Ids:
        """Return the ids of holds' accounts, which are made where they are new.

        Each statement stands alone: what is remembered is committed.
        """
        digests = {account: _name(account).digest for accounts in asked for account in accounts}
        ids = await _ids(connection, digests.values())
        new = {digest: _made(account) for account, digest in digests.items() if digest not in ids}
        if new:
            rows = [{"digest": digest, **row} for digest, row in new.items()]
            await connection.exec_driver_sql(tables.MAKE_ACCOUNTS, (_encode(rows).decode(),))
            # Some may be those that others have made at the same time.
            ids |= await _ids(connection, new)
        resolved = {}
        for accounts in asked:
            keys = tuple(ids.get(digests[account], 0) for account in accounts)
            resolved[accounts] = Resolved(keys, tuple(dict.fromkeys(keys)))
        if len(self._resolved) >= _REMEMBERED:
            self._resolved.clear()
        self._resolved |= resolved
        return resolved

    def forget(self) -> None:
        """Forget ids, of which somebody has removed some."""
        self._resolved.clear()

    async def balances(
        self, connection: AsyncConnection, accounts: Sequence[Account]
    ) -> list[Balance]:
        """Tell how accounts stand."""
        digests = [_name(account).digest for account in accounts]
        found = await fetched(connection, tables.FIND_BALANCES, digests)
        totals = {digest: (int(spent), int(held)) for digest, spent, held in found}
        _, limits = await find_limits(connection)
        return [
            Balance(limited(account, limits), *totals.get(digest, (0, 0)))
            for account, digest in zip(accounts, digests, strict=True)
        ]


async def named(connection: AsyncConnection, keys: Sequence[int]) -> tuple[Account, ...]:
    """Return the accounts that have these ids."""
    found = await fetched(connection, tables.FIND_ACCOUNTS, list(keys))
    return tuple(
        Account(budget, read(partition), starts, ends, None)
        for budget, partition, starts, ends in found
    )


async def find_limits(connection: AsyncConnection) -> tuple[int, Limits]:
    """Return the limits that operators have set, after the revision that they are of."""
    found = await fetched(connection, tables.FIND_LIMITS)
    limits = {
        (budget, read(partition)): None if amount is None else int(amount)
        for _, budget, partition, amount in found
        if budget is not None
    }
    return found[0][0], limits


async def _ids(connection: AsyncConnection, digests: Iterable[str]) -> dict[str, int]:
    return dict(await fetched(connection, tables.FIND_IDS, list(digests)))


def _name(account: Account) -> _Name:
    budget = clean(account.budget).replace("\0", "")
    return _Name(budget, written(account.partition), account.starts)


def _made(account: Account) -> dict[str, object]:
    return {**msgspec.structs.asdict(_name(account)), "ends": account.ends}
