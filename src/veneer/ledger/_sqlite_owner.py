"""Who writes into a ledger's file: this process shows that it lives, and looks at the others."""

import os
import secrets
import socket
import sqlite3
from collections.abc import Callable

from veneer.ledger.watch import Owner, Watch

# A lease has so many renewals: one may come late without anybody believing that we are over.
_RENEWALS = 3


class Ownership:
    """This process as an owner of rows, and when it has to write of that.

    It outlasts the connections to the file. Where its row is gone, for others have believed that it
    is over, it goes on as another. `lease` is in seconds, `clock` gives those of this process,
    `wall` those since the epoch.
    """

    def __init__(
        self, lease: float, *, clock: Callable[[], float], wall: Callable[[], float]
    ) -> None:
        self._lease = lease
        self._clock = clock
        self._wall = wall
        self._watch = Watch(lease, clock)
        self._renew_at = 0.0
        self._look_at = 0.0
        self.token = secrets.token_hex(16)
        self.id = 0

    def due_in(self) -> float:
        """Return the seconds until there is something to write, also where nobody calls."""
        return max(0.0, min(self._renew_at, self._look_at) - self._clock())

    def renew(self, connection: sqlite3.Connection, *, known: bool) -> None:
        """Show that we live, if it is time; `known` is whether our row is there."""
        now = self._clock()
        if known and now < self._renew_at:
            return
        until = self._wall() + self._lease
        if known:
            connection.execute(
                "UPDATE owners SET beats = beats + 1, alive_until = ? WHERE id = ?",
                (until, self.id),
            )
        else:
            self.token = secrets.token_hex(16)
            cursor = connection.execute(
                "INSERT INTO owners (token, name, beats, alive_until) VALUES (?, ?, 0, ?)",
                (self.token, f"{socket.gethostname()}:{os.getpid()}", until),
            )
            self.id = cursor.lastrowid or 0
        self._renew_at = now + self._lease / _RENEWALS

    def bury(self, connection: sqlite3.Connection) -> bool:
        """Remove the owners that are over, if it is time to look; return whether it was."""
        now = self._clock()
        if now < self._look_at:
            return False
        others = connection.execute("SELECT id, beats FROM owners WHERE id != ?", (self.id,))
        over = self._watch.look([Owner(number, beats) for number, beats in others.fetchall()])
        connection.executemany("DELETE FROM owners WHERE id = ?", [(number,) for number in over])
        self._look_at = now + self._lease / 2
        return True

    def resign(self, connection: sqlite3.Connection) -> None:
        """Remove ourselves: what we hold is nobody's."""
        connection.execute("DELETE FROM owners WHERE id = ? AND token = ?", (self.id, self.token))

    def forget(self) -> None:
        """Write again what may not have been written."""
        self._renew_at = self._look_at = self._clock()
