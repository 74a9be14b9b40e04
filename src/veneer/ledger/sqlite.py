"""The ledger in an SQLite file: for the workers of one machine, and over restarts."""

import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from time import monotonic, time

from veneer.ledger._options import DEFAULT_DRAIN, DEFAULT_LEASE, DEFAULT_TIMEOUT, check_seconds
from veneer.ledger._queued import QueuedLedger
from veneer.ledger._sqlite_owner import Ownership
from veneer.ledger._sqlite_rows import Rows
from veneer.ledger._sqlite_tables import FORMAT
from veneer.ledger._sqlite_turns import Turns
from veneer.ledger._sqlite_writer import Writer
from veneer.ledger.columns import is_id
from veneer.ledger.entry import Account, Balance, Entry
from veneer.stores.sqlite_file import absolute, open_file


class SqliteLedger(QueuedLedger):
    """Keeps rows in the file at `path`, which all processes of this machine may share.

    It is made when it is first used where there is none, for its owner only; SQLite puts two more
    beside it. It is not for network file systems, and for nothing else: a file with other tables
    is refused. What is committed survives the death of every process; a power cut may take the last
    of it.

    What a process holds is its own until it shows no life for `lease` seconds (default 30; twice
    that passes at the most); then any other closes it as `abandoned`, without charge, or with what
    was held where `charge_abandoned` is set. Nothing of that goes by the time of day.

    `hold`, `balances` and `find` raise `LedgerUnavailableError` after `timeout` seconds (default
    2), at once for a file that is damaged, of something else or of a newer version and for a full
    disk, and `hold` where 10,000 settlements wait. Leaving the lifespan waits for those up to
    `drain` seconds (default 10).

    All work on the file is done in one thread, which starts with the lifespan or the first call and
    ends with the lifespan. One instance is for one event loop at a time; it may be forked. `clock`
    gives the seconds of this process, `wall` those since the epoch. Raises ValueError for a path
    that no file can have, and for numbers that cannot be.
    """

    def __init__(  # noqa: PLR0913 - each has its name and a default
        self,
        path: str | os.PathLike[str],
        *,
        lease: float = DEFAULT_LEASE,
        timeout: float = DEFAULT_TIMEOUT,
        drain: float = DEFAULT_DRAIN,
        charge_abandoned: bool = False,
        clock: Callable[[], float] = monotonic,
        wall: Callable[[], float] = time,
    ) -> None:
        check_seconds(lease=lease, timeout=timeout, drain=drain)
        self._path = absolute(
            path, instead="for a ledger that lasts as long as the process, take the one in memory"
        )
        super().__init__(f"the ledger {self._path}")
        self._drain = drain
        self._ownership = partial(Ownership, lease, clock=clock, wall=wall)
        self._rows = partial(
            Rows,
            charge_abandoned=charge_abandoned,
            watching=lambda: bool(self._watchers),
            wall=wall,
        )
        self._turns = Turns(self._writer, timeout=timeout, written=self._written)

    async def balances(self, accounts: Sequence[Account], /) -> list[Balance]:
        """Tell how accounts stand."""
        found: list[Balance] = await self._ask(lambda rows: rows.balances(accounts))
        return found

    async def find(self, call: str, /) -> Entry | None:
        """Return the row of a call."""
        if not is_id(call):
            return None
        found: Entry | None = await self._ask(lambda rows: rows.find(call))
        return found

    def _outbox(self) -> Turns:
        self._turns.start()
        return self._turns

    async def _stop(self) -> int:
        return await self._turns.stop(self._drain)

    def _writer(self) -> Writer:
        owner = self._ownership()

        def opening(path: Path) -> Rows:
            return self._rows(open_file(path, FORMAT), owner)

        return Writer(self._path, opening, owner.due_in)
