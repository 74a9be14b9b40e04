"""Overview: how all accounts of budgets stand, as those see it who set limits."""

from collections.abc import Iterable
from typing import Literal

import msgspec

from veneer.books.books import MOST_BALANCES, Books
from veneer.budgets.policy import BudgetPolicy
from veneer.ledger.entry import Limit

# Who says what the limit is: an operator by hand, or the policy in the configuration.
Origin = Literal["set", "configured"]

_Key = tuple[str, tuple[str, ...]]
_Span = tuple[int | None, int | None]


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """How an account stands; amounts are in picodollars.

    `limit` is None where nothing is refused, and where it is not known, which is where there is no
    `origin`. A key's own limit is not known here, and goes before the configured one. `period` is
    the policy's, if that is known; `starts` and `ends` are seconds since the epoch, both None where
    nothing is counted yet and no policy known, and `ends` also for the total.
    """

    budget: str
    partition: tuple[str, ...]
    period: str | None
    starts: int | None
    ends: int | None
    limit: int | None
    origin: Origin | None
    spent: int = 0
    held: int = 0

    @property
    def remaining(self) -> int | None:
        """What is neither spent nor held, if there is a limit."""
        return None if self.limit is None else self.limit - self.spent - self.held


class Overview(msgspec.Struct, frozen=True):
    """Lines by budget and partition, and whether there are `more` accounts than were asked for."""

    lines: list[Line]
    more: bool


async def overview(
    books: Books, policies: Iterable[BudgetPolicy], at: float, *, limit: int = MOST_BALANCES
) -> Overview:
    """Tell how accounts stand at a time, up to a limit; raises as `books` do.

    Limits that are set for somebody whose calls have not been counted yet have lines, too. Of a
    budget that is among `policies` accounts are left out that were counted in another period,
    before it was changed.
    """
    known = {policy.name: policy for policy in policies}
    balances = await books.budgets(at, limit=limit + 1)
    by_hand = {(limit.budget, limit.partition): limit for limit in await books.limits()}
    more = len(balances) > limit
    del balances[limit:]
    waiting = {} if more else dict(by_hand)
    lines = []
    for balance in balances:
        account = balance.account
        policy = known.get(account.budget)
        span = (account.starts, account.ends)
        if policy is None or policy.period.period_at(at) == span:
            key = (account.budget, account.partition)
            waiting.pop(key, None)
            line = _line(key, policy, by_hand.get(key), span)
            lines.append(msgspec.structs.replace(line, spent=balance.spent, held=balance.held))
    # Where there are more accounts, theirs are among them, perhaps.
    lines += [_unused(limit, known.get(limit.budget), at) for limit in waiting.values()]
    return Overview(sorted(lines, key=lambda line: (line.budget, line.partition)), more)


def _unused(limit: Limit, policy: BudgetPolicy | None, at: float) -> Line:
    span = (None, None) if policy is None else policy.period.period_at(at)
    return _line((limit.budget, limit.partition), policy, limit, span)


def _line(key: _Key, policy: BudgetPolicy | None, by_hand: Limit | None, span: _Span) -> Line:
    limit: int | None = None
    origin: Origin | None = None
    if by_hand is not None:
        limit, origin = by_hand.amount, "set"
    elif policy is not None:
        limit, origin = policy.limit, "configured"
    return Line(
        budget=key[0],
        partition=key[1],
        period=None if policy is None else policy.period.name,
        starts=span[0],
        ends=span[1],
        limit=limit,
        origin=origin,
    )
