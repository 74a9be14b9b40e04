"""Who writes into a ledger in PostgreSQL: we show that we live, and look at the others."""

import os
import secrets
import socket
from collections.abc import Callable

from sqlalchemy.ext.asyncio import AsyncConnection

from veneer.ledger import _postgresql_tables as tables
from veneer.ledger._postgresql_query import fetched
from veneer.ledger.watch import Owner, Watch

# A lease has so many renewals: one may come late without anybody believing that we are over.
_RENEWALS = 3


class Ownership:
    """This process as an owner of rows, and when it has to write of that.

    It outlasts connections. Where its row is gone, for others have believed that it is over, it
    goes on as another. `lease` is in seconds, `clock` gives those of this process, `wall` those
    since the epoch.
    """

    def __init__(
        self, lease: float, *, clock: Callable[[], float], wall: Callable[[], float]
    ) -> None:
        self._lease = lease
        self._clock = clock
        self._wall = wall
        self._watch = Watch(lease, clock)
        self._renew_at = self._look_at = clock()
        self.token = secrets.token_hex(16)
        self.id = 0

    def due_in(self) -> float:
        """Return the seconds until there is something to write, also where nobody calls."""
        return max(0.0, min(self._renew_at, self._look_at) - self._clock())

    @property
    def has_to_renew(self) -> bool:
        """Whether it is time to show that we live."""
        return self._clock() >= self._renew_at

    @property
    def has_to_look(self) -> bool:
        """Whether it is time to look at the others."""
        return self._clock() >= self._look_at

    async def renew(self, connection: AsyncConnection, *, known: bool) -> None:
        """Show that we live, if it is time; `known` is whether our row is there."""
        if known and not self.has_to_renew:
            return
        now, until = self._clock(), self._wall() + self._lease
        if known:
            await connection.exec_driver_sql(tables.RENEW_OWNER, (until, self.id))
        else:
            self.token = secrets.token_hex(16)
            name = f"{socket.gethostname()}:{os.getpid()}"
            made = await fetched(connection, tables.MAKE_OWNER, self.token, name, until)
            [(self.id,)] = made
        self._renew_at = now + self._lease / _RENEWALS

    async def bury(self, connection: AsyncConnection) -> None:
        """Remove the owners that are over; each statement stands alone."""
        now = self._clock()
        beats: dict[int, int] = dict(await fetched(connection, tables.FIND_OWNERS, self.id))
        over = self._watch.look([Owner(number, times) for number, times in beats.items()])
        if over:
            asked = (over, [beats[number] for number in over])
            await connection.exec_driver_sql(tables.REMOVE_OWNERS, asked)
        self._look_at = now + self._lease / 2

    async def wait(self, connection: AsyncConnection) -> None:
        """Wait until every transaction of ours is over."""
        await connection.exec_driver_sql(tables.WAIT_FOR_OWNER, (self.id, self.token))

    async def resign(self, connection: AsyncConnection) -> None:
        """Remove ourselves: what we hold is nobody's."""
        await connection.exec_driver_sql(tables.REMOVE_OWNER, (self.id, self.token))

    def forget(self) -> None:
        """Write again what may not have been written."""
        self._renew_at = self._look_at = self._clock()
