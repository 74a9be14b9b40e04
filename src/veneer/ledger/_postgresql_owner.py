"""This process as an owner of rows in PostgreSQL, as it is written there."""

from sqlalchemy.ext.asyncio import AsyncConnection

from veneer.ledger import _postgresql_tables as tables
from veneer.ledger._lease import Lease
from veneer.ledger._postgresql_query import fetched
from veneer.ledger.lookout import Owner


class Ownership(Lease):
    """Writes that we live, and removes owners that are over."""

    async def renew(self, connection: AsyncConnection, *, known: bool) -> None:
        """Show that we live, if it is time; `known` is whether our row is there."""
        if known and not self.has_to_renew:
            return
        now, until = self._clock(), self._until()
        if known:
            await connection.exec_driver_sql(tables.RENEW_OWNER, (until, self.id))
        else:
            name = self._become_another()
            [(self.id,)] = await fetched(connection, tables.MAKE_OWNER, self.token, name, until)
        self._renewed(now)

    async def bury(self, connection: AsyncConnection) -> None:
        """Remove the owners that are over; each statement stands alone."""
        now = self._clock()
        beats: dict[int, int] = dict(await fetched(connection, tables.FIND_OWNERS, self.id))
        over = self._lookout.look([Owner(number, times) for number, times in beats.items()])
        if over:
            asked = (over, [beats[number] for number in over])
            await connection.exec_driver_sql(tables.REMOVE_OWNERS, asked)
        self._looked(now)

    async def wait(self, connection: AsyncConnection) -> None:
        """Wait until every transaction of ours is over."""
        await connection.exec_driver_sql(tables.WAIT_FOR_OWNER, (self.id, self.token))

    async def resign(self, connection: AsyncConnection) -> None:
        """Remove ourselves: what we hold is nobody's."""
        await connection.exec_driver_sql(tables.REMOVE_OWNER, (self.id, self.token))
