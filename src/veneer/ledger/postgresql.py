"""The ledger in PostgreSQL: for many processes on many machines."""

from collections.abc import Callable, Sequence
from functools import partial
from time import monotonic, time

from veneer.ledger._options import DEFAULT_DRAIN, DEFAULT_LEASE, DEFAULT_TIMEOUT, check_seconds
from veneer.ledger._postgresql_owner import Ownership
from veneer.ledger._postgresql_queue import Queue
from veneer.ledger._postgresql_rows import Rows
from veneer.ledger._postgresql_sweep import Sweep
from veneer.ledger._postgresql_writer import Writer
from veneer.ledger._queued import QueuedLedger
from veneer.ledger.columns import is_id
from veneer.ledger.entry import Account, Balance, Entry
from veneer.stores.opening import open_database


class PostgresqlLedger(QueuedLedger):
    """Keeps rows in the database at `url`, which any number of processes may share.

    Its tables, whose names begin with `veneer_`, are made when it is first used where there are
    none. Any pooler may be in between. What comes up at the same time is one transaction, which
    locks the accounts that it needs.

    What a process holds is its own until it shows no life for `lease` seconds (default 30; twice
    that passes at the most); then any other closes it as `abandoned`, without charge, or with what
    was held where `charge_abandoned` is set. Nothing of that goes by the time of day.

    `hold`, `balances` and `find` raise `LedgerUnavailableError` after `timeout` seconds (default
    2), sooner where the server can be known to be away, and `hold` where 10,000 settlements wait.
    Leaving the lifespan waits for those up to `drain` seconds (default 10).

    All work on the database is done in one task, which starts with the lifespan or the first call
    and ends with the lifespan, or its event loop. One instance is for one event loop at a time; it
    may be forked. `clock` gives the seconds of this process, `wall` those since the epoch. Raises
    ValueError for a URL that cannot be, and for numbers that cannot be.
    """

    def __init__(  # noqa: PLR0913 - each has its name and a default
        self,
        url: str,
        *,
        lease: float = DEFAULT_LEASE,
        timeout: float = DEFAULT_TIMEOUT,
        drain: float = DEFAULT_DRAIN,
        charge_abandoned: bool = False,
        clock: Callable[[], float] = monotonic,
        wall: Callable[[], float] = time,
    ) -> None:
        super().__init__("the ledger in PostgreSQL")
        check_seconds(lease=lease, timeout=timeout, drain=drain)
        self._opening = partial(open_database, url, timeout=timeout)
        # Only to see that it can be: connections are of one process and one event loop.
        self._opening()
        self._timeout = timeout
        self._drain = drain
        self._ownership = partial(Ownership, lease, clock=clock, wall=wall)
        self._rows = partial(Rows, watching=lambda: bool(self._watchers))
        self._sweep = partial(Sweep, charges=charge_abandoned, wall=wall)
        self._writer: Writer | None = None

    async def balances(self, accounts: Sequence[Account], /) -> list[Balance]:
        """Tell how accounts stand."""
        found: list[Balance] = await self._ask(
            lambda rows, connection: rows.balances(connection, accounts)
        )
        return found

    async def find(self, call: str, /) -> Entry | None:
        """Return the row of a call."""
        if not is_id(call):
            return None
        found: Entry | None = await self._ask(lambda rows, connection: rows.find(connection, call))
        return found

    def _outbox(self) -> Queue:
        return self._running().queue

    async def _stop(self) -> int:
        # Started anew where its loop has ended before it could finish.
        writer, self._writer = self._running(), None
        await writer.stop(self._drain)
        return writer.queue.left

    def _running(self) -> Writer:
        writer = self._writer
        if writer is None or not writer.is_ours:
            owner = self._ownership()
            rows, sweep = self._rows(owner), self._sweep(owner)
            writer = self._writer = Writer(
                self._opening, rows, sweep, timeout=self._timeout, written=self._written
            )
        elif not writer.runs:
            writer.start()
        return writer
