"""When a process has to show that it lives, and to look whether others do."""

import os
import secrets
import socket
from collections.abc import Callable

from veneer.ledger.lookout import Lookout

# A lease has so many renewals: one may come late without anybody believing that we are over.
_RENEWALS = 3


class Lease:
    """This process as an owner of rows, whatever they are in, and when it has to write of that.

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
        self._lookout = Lookout(lease, clock)
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

    def forget(self) -> None:
        """Write again what may not have been written."""
        self._renew_at = self._look_at = self._clock()

    def _until(self) -> float:
        """Return when we are over if we show no more that we live, since the epoch."""
        return self._wall() + self._lease

    def _become_another(self) -> str:
        """Get a new token; return a name, for people."""
        self.token = secrets.token_hex(16)
        return f"{socket.gethostname()}:{os.getpid()}"

    def _renewed(self, at: float) -> None:
        self._renew_at = at + self._lease / _RENEWALS

    def _looked(self, at: float) -> None:
        self._look_at = at + self._lease / 2
