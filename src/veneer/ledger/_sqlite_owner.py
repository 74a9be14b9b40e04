"""This process as an owner of rows in a ledger's file, as it is written there."""

import sqlite3

from veneer.ledger import _sqlite_tables as tables
from veneer.ledger._lease import Lease
from veneer.ledger.lookout import Owner


class Ownership(Lease):
    """Writes that we live, and removes owners that are over."""

    def renew(self, connection: sqlite3.Connection, *, known: bool) -> None:
        """Show that we live, if it is time; `known` is whether our row is there."""
        if known and not self.has_to_renew:
            return
        now, until = self._clock(), self._until()
        if known:
            connection.execute(tables.RENEW_OWNER, (until, self.id))
        else:
            name = self._become_another()
            self.id = (
                connection.execute(tables.MAKE_OWNER, (self.token, name, until)).lastrowid or 0
            )
        self._renewed(now)

    def bury(self, connection: sqlite3.Connection) -> bool:
        """Remove the owners that are over, if it is time to look; return whether it was."""
        if not self.has_to_look:
            return False
        now = self._clock()
        others = connection.execute(tables.FIND_OWNERS, (self.id,)).fetchall()
        over = self._lookout.look([Owner(number, beats) for number, beats in others])
        connection.executemany(tables.REMOVE_OWNER, [(number,) for number in over])
        self._looked(now)
        return True

    def resign(self, connection: sqlite3.Connection) -> None:
        """Remove ourselves: what we hold is nobody's."""
        connection.execute(tables.RESIGN, (self.id, self.token))
