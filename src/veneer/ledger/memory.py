"""The ledger in memory: one process's own, gone when it ends."""

from collections import deque
from collections.abc import AsyncIterator, Callable, Container, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from time import time

import msgspec

from veneer.ledger._ends import abandoned
from veneer.ledger.columns import ended, entry, opened, settled, unclosed
from veneer.ledger.entry import Account, Balance, Entry, Exhausted, Hold, Limit, Settlement
from veneer.ledger.judging import Judge, Row, Totals, limited
from veneer.ledger.ledger import LedgerUnavailableError, Watcher

# So many of the oldest accounts are looked at for each new one, and this many seconds after its
# period is over, when nothing is held on it any more, one is dropped.
_LOOKS = 2
_GRACE = 86400.0

_UNCLOSED = tuple(unclosed().values())


# Holds' accounts whose keys are remembered.
_REMEMBERED = 10_000


class _Key(msgspec.Struct, frozen=True, cache_hash=True, gc=False):
    """An account, whatever its limit is now."""

    budget: str
    partition: tuple[str, ...]
    starts: int


class _Keys(msgspec.Struct, frozen=True, gc=False):
    """The keys of a hold's accounts, in their order; each once; and these accounts."""

    keys: tuple[_Key, ...]
    unique: tuple[_Key, ...]
    named: tuple[Account, ...]


class _Kept(Row[_Key], kw_only=True, gc=False):
    opened: tuple[object, ...]
    named: tuple[Account, ...]
    closed: tuple[object, ...] | None = None


class MemoryLedger:
    """Keeps rows in this process, for tests and where nothing has to last.

    All that are open are kept, `max_open` at the most (beyond that `hold` raises
    `LedgerUnavailableError`), and of those that are closed the last `max_closed`. Accounts are
    dropped a day after their period. What is settled is in at once. Leaving the last lifespan
    closes what is held. `clock` gives seconds since the epoch. Raises ValueError for a number that
    cannot be.
    """

    def __init__(
        self,
        *,
        max_open: int = 100_000,
        max_closed: int = 10_000,
        clock: Callable[[], float] = time,
    ) -> None:
        if max_open < 1 or max_closed < 0:
            raise ValueError(f"max_open is {max_open}, max_closed {max_closed}: too few.")
        self._max_open = max_open
        self._max_closed = max_closed
        self._clock = clock
        self._rows: dict[str, _Kept] = {}
        self._closed: deque[str] = deque()
        self._limits: dict[tuple[str, tuple[str, ...]], int | None] = {}
        self._judge: Judge[_Key] = Judge({}, self._limits)
        self._watchers: list[Watcher] = []
        self._oldest: deque[Account] = deque()
        # Of accounts that have totals.
        self._keys: dict[tuple[Account, ...], _Keys] = {}
        self._users = 0

    async def hold(self, hold: Hold, /) -> tuple[Balance, ...] | Exhausted:
        """Open a row and return how its accounts stand, or what is exhausted; see `Ledger`."""
        columns = opened(hold)
        if hold.call in self._rows:
            raise ValueError(f"The call {hold.call} has a row.")
        if len(self._rows) - len(self._closed) >= self._max_open:
            raise LedgerUnavailableError(f"{self._max_open} calls are open in the ledger in memory")
        keys = self._keys.get(hold.accounts) or self._keys_of(hold.accounts)
        row = _row(hold, columns, keys)
        answer = self._judge.admit(row, hold.accounts, keys.keys)
        self._judge.changed.clear()
        if isinstance(answer, tuple):
            self._rows[hold.call] = row
        return answer

    async def settle(self, settlement: Settlement, /) -> None:
        """Close a row once; see `Ledger`."""
        columns = settled(settlement)
        if columns is None:
            return
        row = self._rows.get(settlement.call)
        if row is None:
            if settlement.hold is None:
                return
            hold = settlement.hold
            keys = self._keys_of(hold.accounts)
            row = _row(hold, opened(hold), keys)
            self._judge.hold(row, hold.accounts, keys.keys)
            self._rows[settlement.call] = row
        self._close(row, settlement, columns)
        moved = self._judge.moved
        if moved:
            self._judge.moved = []
            for watcher in self._watchers:
                watcher(moved)

    def watch(self, watcher: Watcher, /) -> None:
        """Have settlements told; see `Ledger`."""
        self._watchers.append(watcher)
        self._judge.watching = True

    def set_limit(self, limit: Limit, /) -> None:
        """Set a limit, in place of one for the same partition."""
        self._limits[limit.budget, limit.partition] = limit.amount

    def clear_limit(self, budget: str, partition: tuple[str, ...], /) -> bool:
        """Take a limit away; return whether there was one."""
        return self._limits.pop((budget, partition), self) is not self

    def limits(self) -> list[Limit]:
        """Return the limits that are set."""
        return [Limit(*key, amount) for key, amount in self._limits.items()]

    def entries(self) -> list[Entry]:
        """Return all rows that are kept, those that closed last at the end."""
        return [self._entry(row) for row in self._rows.values()]

    def standings(self) -> list[Balance]:
        """Return how all accounts stand that are kept."""
        return [
            Balance(limited(account, self._limits), totals.spent, totals.held)
            for account in self._oldest
            for totals in (self._judge.totals[_key(account)],)
        ]

    async def balances(self, accounts: Sequence[Account], /) -> list[Balance]:
        """Tell how accounts stand."""
        totals = [self._judge.totals.get(_key(account), Totals()) for account in accounts]
        return [
            Balance(limited(account, self._limits), total.spent, total.held)
            for account, total in zip(accounts, totals, strict=True)
        ]

    async def find(self, call: str, /) -> Entry | None:
        """Return the row of a call."""
        row = self._rows.get(call)
        return None if row is None else self._entry(row)

    def _entry(self, row: _Kept) -> Entry:
        return entry((*row.opened, *(row.closed or _UNCLOSED)), row.named)

    def lifespan(self) -> AbstractAsyncContextManager[object]:
        """Return the context in which it can be used."""
        return self._lifespan()

    @asynccontextmanager
    async def _lifespan(self) -> AsyncIterator[None]:
        self._users += 1
        try:
            yield
        finally:
            self._users -= 1
            if not self._users:
                self._abandon()

    def _abandon(self) -> None:
        now = self._clock()
        for call, row in list(self._rows.items()):
            if row.closed is None:
                end = abandoned(call, now)
                self._close(row, end, ended(end))

    def _close(self, row: _Kept, settlement: Settlement, columns: tuple[object, ...]) -> None:
        was_open = row.state == "held"
        if not self._judge.close(row, settlement.state, settlement.total):
            return
        self._judge.changed.clear()
        row.closed = columns
        if was_open:
            self._closed.append(settlement.call)
            if len(self._closed) > self._max_closed:
                del self._rows[self._closed.popleft()]

    def _keys_of(self, accounts: tuple[Account, ...]) -> _Keys:
        """Return the keys of accounts, which have totals then."""
        named = {
            _key(account): msgspec.structs.replace(account, limit=None) for account in accounts
        }
        new = named.keys() - self._judge.totals.keys()
        self._drop(_LOOKS * len(new), named)
        for key in new:
            self._judge.totals[key] = Totals()
            self._oldest.append(named[key])
        if len(self._keys) >= _REMEMBERED:
            self._keys.clear()
        keys = _Keys(tuple(map(_key, accounts)), tuple(named), tuple(named.values()))
        self._keys[accounts] = keys
        return keys

    def _drop(self, looks: int, used: Container[_Key]) -> None:
        """Drop some of the accounts that count no more."""
        for _ in range(min(looks, len(self._oldest))):
            account = self._oldest.popleft()
            over = account.ends is not None and account.ends + _GRACE < self._clock()
            key = _key(account)
            if over and key not in used and not self._judge.totals[key].held:
                del self._judge.totals[key]
                self._keys.clear()
            else:
                self._oldest.append(account)


def _row(hold: Hold, columns: tuple[object, ...], keys: _Keys) -> _Kept:
    return _Kept(
        state="held",
        amount=hold.amount,
        total=0,
        accounts=keys.unique,
        opened=columns,
        named=keys.named,
    )


def _key(account: Account) -> _Key:
    return _Key(account.budget, account.partition, account.starts)
