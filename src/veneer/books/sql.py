"""Books over a ledger in a SQL database: the same queries for SQLite and PostgreSQL."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from time import monotonic
from typing import TypeVar

from sqlalchemy import ColumnElement, and_, delete, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from veneer.books import _limits
from veneer.books._audit import Audit
from veneer.books._living import gone_among
from veneer.books._snapshot import audit, beats, open_calls
from veneer.books._usage_query import lines, usage_query
from veneer.books.books import (
    LEASE,
    MOST_BALANCES,
    MOST_FINDINGS,
    MOST_LINES,
    By,
    Findings,
    UsageLine,
)
from veneer.books.tables import Layout
from veneer.ledger import naming
from veneer.ledger.entry import Account, Balance, Limit
from veneer.ledger.ledger import LedgerUnavailableError
from veneer.stores.database import Database, Work
from veneer.stores.unavailable import StoreUnavailableError

T = TypeVar("T")


class SqlBooks:
    """Reads a ledger's tables, and sets limits in them; see `Books` for what its methods promise.

    The tables are those of a ledger that has been used: none is made here. `clock` and `sleep` are
    those that processes are watched by.
    """

    def __init__(
        self,
        database: Database,
        layout: Layout,
        *,
        clock: Callable[[], float] = monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._database = database
        self._layout = layout
        self._clock = clock
        self._sleep = sleep
        self._is_ledger = False

    async def usage(
        self,
        by: By,
        *,
        since: float | None = None,
        until: float | None = None,
        limit: int = MOST_LINES,
    ) -> list[UsageLine]:
        """Add up calls by group."""
        query = usage_query(self._layout, by, since, until, limit)

        async def work(connection: AsyncConnection) -> list[UsageLine]:
            return lines((await connection.execute(query)).all(), by)

        return await self._read(work)

    async def budgets(self, at: float, *, limit: int = MOST_BALANCES) -> list[Balance]:
        """Tell how accounts stand whose period a time lies in."""
        accounts, limits = self._layout.accounts.c, self._layout.limits.c
        is_its = and_(limits.budget == accounts.budget, limits.partition == accounts.partition)
        query = (
            select(
                accounts.budget,
                accounts.partition,
                accounts.starts,
                accounts.ends,
                limits.amount,
                accounts.spent,
                accounts.held,
            )
            .select_from(self._layout.accounts.outerjoin(self._layout.limits, is_its))
            .where(accounts.starts <= at, or_(accounts.ends.is_(None), accounts.ends > at))
            .order_by(accounts.budget, accounts.partition, accounts.starts)
            .limit(limit)
        )

        async def work(connection: AsyncConnection) -> list[Balance]:
            found = await connection.execute(query)
            return [
                Balance(
                    Account(budget, naming.read(partition), starts, ends, amount),
                    int(spent),
                    int(held),
                )
                for budget, partition, starts, ends, amount, spent, held in found
            ]

        return sorted(await self._read(work), key=_place)

    async def limits(self) -> list[Limit]:
        """Return the limits that operators have set."""
        limits = self._layout.limits.c
        query = select(limits.budget, limits.partition, limits.amount)

        async def work(connection: AsyncConnection) -> list[Limit]:
            return [
                Limit(budget, naming.read(partition), amount)
                for budget, partition, amount in await connection.execute(query)
            ]

        return sorted(await self._read(work), key=lambda limit: (limit.budget, limit.partition))

    async def set_limit(self, limit: Limit, /) -> None:
        """Set a limit, in place of one for the same partition."""
        _limits.check(limit)
        values = {
            "budget": limit.budget,
            "partition": naming.written(limit.partition),
            "amount": limit.amount,
        }

        async def work(connection: AsyncConnection) -> None:
            await self._change(connection)
            is_its = self._is_limit(limit.budget, limit.partition)
            await connection.execute(delete(self._layout.limits).where(is_its))
            await connection.execute(insert(self._layout.limits), values)

        await self._write(work)

    async def clear_limit(self, budget: str, partition: tuple[str, ...], /) -> bool:
        """Take a limit away; return whether there was one."""
        is_its = self._is_limit(budget, partition)

        async def work(connection: AsyncConnection) -> bool:
            await self._change(connection)
            gone = await connection.execute(delete(self._layout.limits).where(is_its))
            return gone.rowcount > 0

        return await self._write(work)

    async def verify(self, *, lease: float = LEASE, most: int = MOST_FINDINGS) -> Findings:
        """Check that all adds up; the snapshot is over before processes are watched."""
        found, before = await self._read(partial(audit, layout=self._layout, most=most))
        for owner in found.open.keys() - before.keys():
            found.dead(owner, found.open[owner])
        if suspects := found.open.keys() & before.keys():
            await self._watch(found, set(suspects), before, lease)
        return found.findings()

    async def aclose(self) -> None:
        """Close every connection."""
        await self._database.aclose()

    async def _watch(
        self, found: Audit, suspects: set[int], before: Mapping[int, int], lease: float
    ) -> None:
        gone = await gone_among(
            suspects,
            before=before,
            ask=partial(self._read, partial(beats, layout=self._layout)),
            lease=lease,
            clock=self._clock,
            sleep=self._sleep,
        )
        if gone:
            # Another process may have closed them meanwhile, as it should.
            left = await self._read(partial(open_calls, layout=self._layout, owners=gone))
            for owner, count in left.items():
                found.dead(owner, count)

    def _is_limit(self, budget: str, partition: tuple[str, ...]) -> ColumnElement[bool]:
        limits = self._layout.limits.c
        return and_(limits.budget == budget, limits.partition == naming.written(partition))

    async def _change(self, connection: AsyncConnection) -> None:
        """Have writers read limits anew; whoever else changes them waits until this is in."""
        revision = self._layout.revision
        await connection.execute(update(revision).values(limits=revision.c.limits + 1))

    async def _read(self, work: Work[T]) -> T:
        with _by_books():
            await self._checked()
            return await self._database.read(work)

    async def _write(self, work: Work[T]) -> T:
        with _by_books():
            await self._checked()
            return await self._database.write(work)

    async def _checked(self) -> None:
        if not self._is_ledger:
            await self._layout.check(self._database)
            self._is_ledger = True


def _place(balance: Balance) -> tuple[str, tuple[str, ...], int]:
    # Databases order texts each in their own way.
    account = balance.account
    return (account.budget, account.partition, account.starts)


@contextmanager
def _by_books() -> Iterator[None]:
    """Say of the database what books say of a ledger."""
    try:
        yield
    except StoreUnavailableError as error:
        raise LedgerUnavailableError(str(error)) from error
