"""Books over the ledger in memory, for those who are in its process."""

from collections import defaultdict

import msgspec

from veneer.books import _limits
from veneer.books._audit import Audit, AuditedRow
from veneer.books.books import (
    LEASE,
    MOST_BALANCES,
    MOST_FINDINGS,
    MOST_LINES,
    By,
    Findings,
    UsageLine,
)
from veneer.books.grouping import DAY, LAST, added, day_of, in_order
from veneer.ledger.entry import Account, Balance, Entry, Limit
from veneer.ledger.memory import MemoryLedger


class MemoryBooks:
    """Reads what a ledger in memory still keeps; see `Books` for what its methods promise.

    That is all calls that are open, and the last of those that are over: usage is of these alone.
    So what is spent on an account may be more than its rows come to. Its own process lives.
    """

    def __init__(self, ledger: MemoryLedger) -> None:
        self._ledger = ledger

    async def usage(
        self,
        by: By,
        *,
        since: float | None = None,
        until: float | None = None,
        limit: int = MOST_LINES,
    ) -> list[UsageLine]:
        """Add up the calls that are kept, by group."""
        calls: dict[str | None, list[UsageLine]] = defaultdict(list)
        for entry in self._ledger.entries():
            at = entry.hold.at
            if (since is None or at >= since) and (until is None or at < until):
                group = _group(entry, by)
                calls[group].append(_line(entry))
        groups = [
            msgspec.structs.replace(added(lines, 1), group=group) for group, lines in calls.items()
        ]
        lines = in_order(groups, by)
        if len(lines) <= limit + 1:
            return lines
        if by == "day":
            # Those without one have room last.
            lines.sort(key=lambda line: line.group or "", reverse=True)
        kept, rest = lines[:limit], lines[limit:]
        return [*in_order(kept, by), added(rest, len(rest))]

    async def budgets(self, at: float, *, limit: int = MOST_BALANCES) -> list[Balance]:
        """Tell how accounts stand whose period a time lies in."""
        found = [each for each in self._ledger.standings() if _is_in(each.account, at)]
        return sorted(found, key=lambda each: _key(each.account))[:limit]

    async def limits(self) -> list[Limit]:
        """Return the limits that are set."""
        return sorted(self._ledger.limits(), key=lambda limit: (limit.budget, limit.partition))

    async def set_limit(self, limit: Limit, /) -> None:
        """Set a limit, in place of one for the same partition."""
        _limits.check(limit)
        self._ledger.set_limit(limit)

    async def clear_limit(self, budget: str, partition: tuple[str, ...], /) -> bool:
        """Take a limit away; return whether there was one."""
        return self._ledger.clear_limit(budget, partition)

    async def verify(
        self,
        *,
        lease: float = LEASE,  # noqa: ARG002 - nobody but us has calls here
        most: int = MOST_FINDINGS,
    ) -> Findings:
        """Check that all that is kept adds up."""
        audit = Audit(most, keeps_all=False)
        numbers = {}
        for number, balance in enumerate(self._ledger.standings(), 1):
            numbers[_key(balance.account)] = number
            audit.account(number, balance.spent, balance.held)
        for entry in self._ledger.entries():
            accounts = [numbers.get(_key(account)) for account in entry.hold.accounts]
            # Accounts are dropped before the last of their rows.
            audit.row(_audited(entry, [number for number in accounts if number is not None]))
        audit.compare()
        return audit.findings()

    async def aclose(self) -> None:
        """Nothing is open."""


def _key(account: Account) -> tuple[str, tuple[str, ...], int]:
    return (account.budget, account.partition, account.starts)


def _is_in(account: Account, at: float) -> bool:
    return account.starts <= at and (account.ends is None or at < account.ends)


def _group(entry: Entry, by: By) -> str | None:
    hold, end = entry.hold, entry.settlement
    if by == "day":
        return day_of(int(hold.at) // DAY) if 0 <= hold.at < LAST else None
    if by == "model":
        told = (None, None) if end is None else (end.priced_model, end.answered_model)
        return next((name for name in (*told, hold.model) if name is not None), None)
    return {"team": hold.team, "key": hold.key, "user": hold.user}[by]


def _line(entry: Entry) -> UsageLine:
    end = entry.settlement
    if end is None:
        return UsageLine(group=None, calls=1, open=1, held=entry.hold.amount)
    usage = end.usage
    return UsageLine(
        group=None,
        calls=1,
        failed=int(end.state != "completed"),
        estimated=int(end.estimated),
        abandoned=int(end.state == "abandoned"),
        input_tokens=usage.input_tokens if usage else 0,
        cached_input_tokens=usage.cached_input_tokens if usage else 0,
        output_tokens=usage.output_tokens if usage else 0,
        reasoning_tokens=usage.reasoning_tokens if usage else 0,
        spent=end.total,
    )


def _audited(entry: Entry, accounts: list[int]) -> AuditedRow:
    hold, end = entry.hold, entry.settlement
    return AuditedRow(
        call=hold.call,
        owner=0,
        state="held" if end is None else end.state,
        amount=hold.amount,
        total=0 if end is None else end.total,
        parts=msgspec.json.encode({} if end is None else end.parts),
        accounts=accounts,
    )
