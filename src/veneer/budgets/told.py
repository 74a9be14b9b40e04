"""Budgets as they are told to callers who make no call, and only ask."""

import time
from collections.abc import Callable, Iterable, Sequence

from starlette.types import Scope

from veneer.auth.peers import Peers
from veneer.budgets.accounts import Accounts
from veneer.budgets.policy import BudgetPolicy
from veneer.facts import BudgetStanding
from veneer.ledger.ledger import Ledger

# What budgets may go by of which a request is known that makes no call.
KNOWN = frozenset({"key", "team", "user", "tag", "peer", "all"})


class Told:
    """Finds out how a caller's budgets stand in the ledger.

    Budgets by model, by operation, or by a function of the host's are left out, for nobody knows of
    a call that is not made which one it is counted on. `reads` are the facts that the others need.
    """

    def __init__(
        self,
        ledger: Ledger,
        budgets: Sequence[BudgetPolicy],
        *,
        trusted_proxies: Iterable[str] = (),
        clock: Callable[[], float] = time.time,
    ) -> None:
        known = [policy for policy in budgets if _is_known(policy)]
        self._accounts = Accounts(known, peers=Peers(trusted_proxies))
        self.reads = self._accounts.reads
        self._ledger = ledger
        self._clock = clock

    async def standings(self, scope: Scope) -> list[BudgetStanding]:
        """Return how they stand; raises `LedgerUnavailableError` where nobody can tell."""
        accounts = self._accounts.accounts_for(scope, self._clock())
        balances = await self._ledger.balances(accounts)
        return [self._accounts.standing(balance) for balance in balances]


def _is_known(policy: BudgetPolicy) -> bool:
    by = policy.partition
    if callable(by):
        return False
    return KNOWN.issuperset([by] if isinstance(by, str) else by)
